"""One POST to somebody who is told of releases, and what the answer means."""

from __future__ import annotations

from typing import Any, Final

import httpx

from promptship.errors import Refused, Unavailable

LATER: Final = frozenset({408, 425, 429})
"""Answers below 500 after which the same may be sent again."""
MENDED: Final = frozenset({401, 403, 404})
"""Other credentials, another address: of a service of ours, which somebody mends."""


def post(client: httpx.Client, url: str, who: str, *, later: frozenset[int] = LATER, **words: Any) -> None:
    """Send it.

    Args:
        client: with the deadline.
        url: where to.
        who: for errors.
        later: answers below 500 that are tried again.
        words: of the request.

    Raises:
        Unavailable: no answer, 5xx, or one of `later`.
        Refused: any other answer but 2xx.
    """
    try:
        answer = client.post(url, **words)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"{who}: no answer ({type(error).__name__})") from error
    if answer.is_success:
        return
    said = f"{who} answered {answer.status_code}"
    if answer.is_server_error or answer.status_code in later:
        after = answer.headers.get("Retry-After", "")
        raise Unavailable(said, retry_after_s=float(after) if after.isdecimal() else None)
    raise Refused(said)
