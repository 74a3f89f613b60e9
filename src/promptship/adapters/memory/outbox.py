"""The outbox in memory."""

# ruff: noqa: D102 - the port says what each method means

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from promptship.ports import DeadLetter, Ledger, Pending


@dataclass(slots=True)
class _Mark:
    seq: int = -1
    tries: int = 0
    due_at: datetime | None = None


class MemoryOutbox:
    """`ports.Outbox` in memory, beside any ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._marks: dict[str, dict[str, _Mark]] = {}
        self._letters: list[DeadLetter] = []

    def begin(self, sink: str, *, at: datetime) -> bool:  # noqa: ARG002 - as the port has it
        if sink in self._marks:
            return False
        there = self._ledger.summaries(limit=1_000_000)
        self._marks[sink] = {summary.id: _Mark(summary.seq) for summary in there}
        return True

    def pending(self, sink: str, *, at: datetime, limit: int = 100) -> Sequence[Pending]:
        found = []
        for summary in reversed(self._ledger.summaries(limit=1_000_000)):
            mark = self._marks.get(sink, {}).get(summary.id, _Mark())
            if mark.seq < summary.seq and (mark.due_at is None or mark.due_at <= at):
                found.append(Pending(release_id=summary.id, after=mark.seq, tries=mark.tries))
        return tuple(found[:limit])

    def told(self, sink: str, release_id: str, *, seq: int) -> None:
        if self._mark(sink, release_id).seq < seq:
            self._marks[sink][release_id] = _Mark(seq)

    def failed(self, sink: str, release_id: str, *, error: str, due_at: datetime) -> None:  # noqa: ARG002 - as the port has it
        mark = self._mark(sink, release_id)
        mark.tries, mark.due_at = mark.tries + 1, due_at

    def bury(self, sink: str, release_id: str, *, seq: int, error: str, at: datetime) -> None:
        letter = DeadLetter(sink=sink, release_id=release_id, seq=seq, at=at, error=error)
        if not any((one.sink, one.release_id, one.seq) == (sink, release_id, seq) for one in self._letters):
            self._letters.append(letter)
        self.told(sink, release_id, seq=seq)

    def dead_letters(self, sink: str | None = None, *, limit: int = 100) -> Sequence[DeadLetter]:
        return tuple(one for one in reversed(self._letters) if sink in {None, one.sink})[:limit]

    def dig_up(self, letter: DeadLetter) -> None:
        key = (letter.sink, letter.release_id, letter.seq)
        self._letters = [one for one in self._letters if (one.sink, one.release_id, one.seq) != key]

    def _mark(self, sink: str, release_id: str) -> _Mark:
        return self._marks.setdefault(sink, {}).setdefault(release_id, _Mark())
