"""What a server that is like OpenAI's does not have, told from its answers: an API, an option. Pure."""

from __future__ import annotations

from typing import Any, Final

import orjson

_ABSENT: Final = frozenset({404, 405, 501})
_REFUSED: Final = frozenset({400, 422})
_NO_SUCH_PATH: Final = frozenset(
    {"", "None", "404", "405", "501", "unknown_url", "not_found", "not_found_error"}
)
OPTION: Final = b"stream_options"


def may_be_absent(status: int) -> bool:
    """Whether the body is worth a look."""
    return status in _ABSENT


def is_absent(status: int, body: bytes) -> bool:
    """Whether the answer means that there is no such API, not that there is no such model or conversation."""
    if status != 404:  # noqa: PLR2004 - Not Found
        return True
    try:
        error = orjson.loads(body)["error"]
        return error.get("param") is None and str(error.get("code") or "") in _NO_SUCH_PATH
    except (ValueError, KeyError, TypeError, AttributeError):
        return True  # a page, `{"detail": "Not Found"}`: no word of OpenAI's


def may_refuse_option(status: int, sent: bytes) -> bool:
    """Whether the answer may be about `stream_options`."""
    return status in _REFUSED and OPTION in sent


def without_option(sent: bytes) -> bytes:
    """The same request without `stream_options`."""
    fields: dict[str, Any] = orjson.loads(sent)
    fields.pop("stream_options", None)
    return orjson.dumps(fields)
