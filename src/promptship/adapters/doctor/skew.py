"""Clocks of the parts against this machine's."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Final

from promptship.adapters.doctor.found import Found, fail, ok, warn

WARN_S: Final = 2.0
FAIL_S: Final = 30.0
"""Leases of releases are half a minute: with clocks further apart two machines move one release."""


def clock(whose: str, ahead_s: float) -> Iterator[Found]:
    """What a difference means; a `Date` header is exact to a second, so less than two say nothing."""
    said = f"{abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'} this machine's"
    advice = "let both machines take the time from NTP (timedatectl set-ntp true)"
    if abs(ahead_s) > FAIL_S:
        yield fail(f"{whose} clock", said, advice)
    elif abs(ahead_s) > WARN_S:
        yield warn(f"{whose} clock", said, advice)
    else:
        yield ok(f"{whose} clock", "agrees with this machine's")


def ahead_s(date: str, now_s: float) -> float | None:
    """How far a `Date` header is ahead; None: there is none that can be read."""
    try:
        return parsedate_to_datetime(date).timestamp() + 0.5 - now_s
    except (TypeError, ValueError):
        return None
