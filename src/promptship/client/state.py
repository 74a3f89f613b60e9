"""What a client knows about itself, for a health check or a dashboard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Source = Literal["gateway", "disk", "bundle", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One moment's."""

    source: Source
    """Who told the routes that are served: the gateway in this process's life, the last known ones on disk, or the bundle."""
    revision: int | None
    """Of these routes; None: there are none."""
    age_s: float | None
    """Seconds since they were confirmed by a control plane; about a second while all is well."""
    trouble: str
    """Why the gateway does not tell routes now, in one line; empty: it does."""
    queued: int
    """Reports (observations and feedback) that wait to be sent."""
    sent: int
    """Reports the gateway has taken, since the start."""
    dropped: int
    """Reports lost since the start: the queue was full, or the client was closed before they could be sent."""
    refused: int
    """Reports the gateway would not take, since the start."""
