"""The machine's clock."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """`ports.Clock` of a running process."""

    def now(self) -> datetime:
        """Wall time, UTC."""
        return datetime.now(UTC)
