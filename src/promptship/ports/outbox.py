"""How far everybody outside has been told of what the ledger holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A release with events that a sink has not been told of."""

    release_id: str
    after: int
    """Seq of the last event that the sink knows; -1: none."""
    tries: int
    """How often the next one was tried in vain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event that a sink could not be told of. The events after it are told."""

    sink: str
    release_id: str
    seq: int
    at: datetime
    error: str
    """Why, redacted."""


class Outbox(Protocol):
    """Per sink and release, the last event that was told, kept beside the ledger: a crash repeats one event at most, and loses none."""

    def begin(self, sink: str, *, at: datetime) -> bool:
        """Follow the ledger for this sink from now on: what happened before is not told. False: it is followed already."""
        ...

    def pending(self, sink: str, *, at: datetime, limit: int = 100) -> Sequence[Pending]:
        """Releases with news for this sink that are not waiting for a later try, in the order in which they were opened."""
        ...

    def told(self, sink: str, release_id: str, *, seq: int) -> None:
        """Everything up to `seq` was told. A mark never goes back."""
        ...

    def failed(self, sink: str, release_id: str, *, error: str, due_at: datetime) -> None:
        """The next event could not be told; try again at `due_at`."""
        ...

    def bury(self, sink: str, release_id: str, *, seq: int, error: str, at: datetime) -> None:
        """Give an event up: keep it as a dead letter and go on behind it."""
        ...

    def dead_letters(self, sink: str | None = None, *, limit: int = 100) -> Sequence[DeadLetter]:
        """The newest first."""
        ...

    def dig_up(self, letter: DeadLetter) -> None:
        """A dead letter was told after all; nothing happens if it is no more."""
        ...
