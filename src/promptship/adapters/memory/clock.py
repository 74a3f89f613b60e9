"""A clock that stands still until it is told to move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class MemoryClock:
    """Time for tests and simulations."""

    def __init__(self, at: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._at = at

    def now(self) -> datetime:
        """The time it was set to, UTC."""
        return self._at

    def advance(self, seconds: float) -> datetime:
        """Move on by `seconds`; returns the new time."""
        self._at += timedelta(seconds=seconds)
        return self._at
