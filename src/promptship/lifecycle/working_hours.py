"""Working time: when people may be asked, and how much of it has passed. Pure; days follow the wall clock of a time zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from promptship.settings.people import WorkingHours

_DAYS_MAX = 3660
"""No deadline is further away (`DURATION_S_MAX` of real time); a week without a day of work does not exist."""


def opens(hours: WorkingHours | None, at: datetime) -> datetime:
    """`at` itself within working hours, else the moment they begin next (UTC)."""
    if hours is None:
        return at
    for begin, end in _spans(hours, at):
        if at < end:
            return max(at, begin.astimezone(UTC))
    return at


def after(hours: WorkingHours | None, since: datetime, seconds: float) -> datetime:
    """The moment (UTC) when `seconds` of working time have passed since `since`."""
    if hours is None:
        return since + timedelta(seconds=seconds)
    left = timedelta(seconds=seconds)
    end = since
    for begin, end in _spans(hours, since):
        # In UTC: on the day the clocks change, the difference of two wall clocks is an hour off.
        start = max(since, begin.astimezone(UTC))
        length = max(end.astimezone(UTC) - start, timedelta())
        if left <= length:
            return start + left
        left -= length
    return end.astimezone(UTC)


def _spans(hours: WorkingHours, since: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Working days from the local day of `since` on."""
    zone = ZoneInfo(hours.zone)
    first = since.astimezone(zone).date()
    for number in range(_DAYS_MAX):
        noon = datetime.combine(first + timedelta(days=number), time(12), tzinfo=zone)
        span = hours.span(noon)
        if span is not None:
            yield span
