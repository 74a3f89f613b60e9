"""Numbers in one voice, for every table and every sentence. What was not measured is said so: it is never shown as a 0."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

NOT_MEASURED: Final = "not measured"

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86400


def percent(fraction: float | None) -> str:
    """`4.1%` from 0.0412. 0% and 100% are said only of exactly none and exactly all."""
    if fraction is None or not math.isfinite(fraction):
        return NOT_MEASURED
    value = fraction * 100
    if 0 < value < 0.01:  # noqa: PLR2004 - the smallest step that is shown
        return "<0.01%"
    if 99.99 < value < 100:  # noqa: PLR2004 - the largest one
        return ">99.99%"
    return f"{_trimmed(value, 2 if value < 1 or value > 99 else 1)}%"  # noqa: PLR2004 - near the ends more digits matter


def points(difference: float | None) -> str:
    """A difference of two fractions: `+1.2 points` from 0.012."""
    if difference is None or not math.isfinite(difference):
        return NOT_MEASURED
    return f"{difference * 100:+.2f}".rstrip("0").rstrip(".") + " points"


def between(low: float | None, high: float | None) -> str:
    """Two fractions as an interval: `69.3% to 98%`."""
    ends = percent(low), percent(high)
    return NOT_MEASURED if NOT_MEASURED in ends else " to ".join(ends)


def decimal(value: float | None) -> str:
    """A number without a unit, such as a score, with three digits that matter: `0.833`, `12.5`, `1,204`."""
    if value is None or not math.isfinite(value):
        return NOT_MEASURED
    if value and not 0.001 <= abs(value) < 1_000_000:  # noqa: PLR2004 - too many zeros to count
        return f"{value:.1e}"
    digits = 3 if abs(value) < 10 else 1 if abs(value) < 1000 else 0  # noqa: PLR2004 - about three digits
    return _trimmed(value, digits)


def money(usd: float | None) -> str:
    """US dollars: `$0.0042`, `$1.20`, `$1,204`. $0 is said only of exactly nothing."""
    if usd is None or not math.isfinite(usd):
        return NOT_MEASURED
    if usd < 0:
        return f"-{money(-usd)}"
    if usd == 0:
        return "$0"
    if usd < 0.0001:  # noqa: PLR2004 - the smallest step that is shown
        return "<$0.0001"
    if usd >= 999.995:  # noqa: PLR2004 - cents of thousands say nothing
        return f"${usd:,.0f}"
    whole, _, cents = f"{usd:.{4 if usd < 0.1 else 2}f}".partition(".")  # noqa: PLR2004 - prices of single answers are small
    return f"${whole}.{cents[:2]}{cents[2:].rstrip('0')}"


def milliseconds(duration_ms: float | None) -> str:
    """A duration that was measured in milliseconds: `340 ms`, `4.5 s`."""
    return duration(None if duration_ms is None else duration_ms / 1000)


def count(number: int | None) -> str:
    """`1,234`."""
    return NOT_MEASURED if number is None else f"{number:,}"


def plural(number: int, noun: str) -> str:
    """`1 request`, `1,234 requests`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def evidence(e_value: float | None) -> str:
    """An e-value: `0.52`, `23.4`, `51,200`. It is 1 without evidence and grows with it.

    Three significant digits, rounded down: 59.99 must not read as the 60 that it has not reached.
    """
    if e_value is None or math.isnan(e_value):
        return NOT_MEASURED
    if e_value > 1_000_000:  # noqa: PLR2004 - longer than its meaning
        return "over 1,000,000"
    if e_value < 0.001:  # noqa: PLR2004 - below it the digits say nothing more
        return "under 0.001"
    unit = 10.0 ** (math.floor(math.log10(e_value)) - 2)
    down = math.floor(e_value / unit + 1e-6) * unit  # 8.0 / 0.01 may be 799.99...
    return f"{down:,.0f}" if down >= 100 else f"{down:.3g}"  # noqa: PLR2004 - three digits before the point


def at_least(bound: float | None) -> str:
    """A threshold that something has to reach: `20`, `66.67`, `1,200`."""
    if bound is None or math.isnan(bound):
        return NOT_MEASURED
    return f"{round(bound, 2):,.10g}"


def duration(seconds: float | None) -> str:
    """`120 ms`, `4.5 s`, `45 s`, `3 min 20 s`, `1 h 5 min`, `2 d 3 h`: the two largest units."""
    if seconds is None or not math.isfinite(seconds):
        return NOT_MEASURED
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if 0 < seconds < 0.9995:  # noqa: PLR2004 - rounds to 1,000 ms from here on
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:  # noqa: PLR2004 - rounds to 10 s from here on
        return f"{_trimmed(seconds, 1)} s"
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return _two(whole, _MINUTE_S, "min", 1, "s")
    if whole < _DAY_S:
        return _two(whole, _HOUR_S, "h", _MINUTE_S, "min")
    return _two(whole, _DAY_S, "d", _HOUR_S, "h")


def moment(at: datetime | None) -> str:
    """`2026-03-04 14:02 UTC`."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def clock(at: datetime) -> str:
    """`2026-03-04 14:02:09`, UTC, for lines of a timeline."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def short(digest: str | None) -> str:
    """The first characters of a commit or a version digest, enough to find it again; `none` without one."""
    return "none" if digest is None else digest[:12]


def _trimmed(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _two(seconds: int, large_s: int, large: str, small_s: int, small: str) -> str:
    """Largest unit, and the next one when it is not 0."""
    whole, rest = divmod(seconds, large_s)
    return f"{whole} {large} {rest // small_s} {small}" if rest // small_s else f"{whole} {large}"
