"""What the headers of an answer say about a provider's rate limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from promptship.chat import RateLimits

_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NAMES: Final = (
    # requests left, tokens left, requests reset, tokens reset
    (
        "x-ratelimit-remaining-requests",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-requests",
        "x-ratelimit-reset-tokens",
    ),
    (
        "anthropic-ratelimit-requests-remaining",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-requests-reset",
        "anthropic-ratelimit-tokens-reset",
    ),
    ("x-ratelimit-remaining", "", "x-ratelimit-reset", ""),
)


def limits_of(headers: Mapping[str, str], *, now: datetime | None = None) -> RateLimits | None:
    """What is left, as OpenAI (and those like it, Azure among them) or Anthropic says it; None: nothing is said.

    `headers` have lower-case names. `reset_s` belongs to what runs out first: requests when none is left, else tokens when none is
    left, else the later of the two.
    """
    for requests, tokens, requests_reset, tokens_reset in _NAMES:
        requests_left, tokens_left = _count(headers.get(requests)), _count(headers.get(tokens))
        if requests_left is None and tokens_left is None:
            continue
        resets = (
            seconds(headers.get(requests_reset, ""), now=now),
            seconds(headers.get(tokens_reset, ""), now=now),
        )
        return RateLimits(
            requests_left=requests_left,
            tokens_left=tokens_left,
            reset_s=_binding(requests_left, tokens_left, *resets),
        )
    return None


def seconds(text: str, *, now: datetime | None = None) -> float | None:
    """`1s`, `6m0s`, `20ms`, `17` or a time such as `2026-11-22T12:00:30Z`, as seconds from now; None: unreadable. Never negative."""
    text = text.strip()
    if not text:
        return None
    parts = _SPAN.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))
    now = now or datetime.now(UTC)
    try:
        value = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - the test for NaN
        return None
    is_moment = value > _EPOCH_S_MIN  # seconds since 1970, as some gateways send them
    return max(0.0, value - now.timestamp() if is_moment else value)


_EPOCH_S_MIN: Final = 1_000_000_000.0


def _count(value: str | None) -> int | None:
    try:
        return max(0, int(float(value))) if value else None
    except (ValueError, OverflowError):
        return None


def _binding(
    requests_left: int | None, tokens_left: int | None, requests_s: float | None, tokens_s: float | None
) -> float | None:
    if requests_left == 0 and requests_s is not None:
        return requests_s
    if tokens_left == 0 and tokens_s is not None:
        return tokens_s
    return max((one for one in (requests_s, tokens_s) if one is not None), default=None)
