"""Files of answers that are being scored: which judgements are still to be made, and what is known of the others."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from promptship.adapters.samples import SampleFile
from promptship.routing.observation import Score
from promptship.routing.sampling import Sample

KEPT: Final = ".kept"
"""Noted in place of a check's name once a text is kept; no check is called so."""
_OUTCOMES: Final[dict[str, bool | None]] = {"passed": True, "failed": False, "none": None}


@dataclass(slots=True, eq=False)
class Opened:
    """One file: its answers, and by (request, check) what came of the judgements that are made."""

    file: SampleFile
    samples: dict[str, Sample]
    bad: int
    """Lines that were no samples."""
    bytes: int
    outcomes: dict[tuple[str, str], bool | None] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    jobs: int = 0
    """Judgements that are not made yet."""

    @classmethod
    def of(cls, file: SampleFile) -> Opened:
        """What an earlier scorer noted is not done again. Raises OSError."""
        samples, bad = file.read()
        opened = cls(file, {sample.id: sample for sample in samples}, bad, file.path.stat().st_size)
        for line in file.done():
            words = line.split(" ")
            if len(words) == 3 and words[2] in _OUTCOMES:  # noqa: PLR2004 - request, check, outcome
                if words[1] == KEPT:
                    opened.kept.add(words[0])
                else:
                    opened.outcomes[words[0], words[1]] = _OUTCOMES[words[2]]
        opened.jobs = sum(1 for _ in opened.left())
        return opened

    def left(self) -> Iterator[tuple[Sample, str]]:
        """Judgements still to be made."""
        for sample in self.samples.values():
            for name in dict.fromkeys(sample.checks):
                if (sample.id, name) not in self.outcomes:
                    yield sample, name

    def settle(self, request: str, name: str, passed: bool | None) -> None:
        """A judgement is made, and its score written. Raises OSError."""
        self.outcomes[request, name] = passed
        self.jobs -= 1
        word = next(word for word, outcome in _OUTCOMES.items() if outcome is passed)
        self.file.note(f"{request} {name} {word}")

    def note_kept(self, request: str) -> None:
        """The text is kept, or is not to be. Raises OSError."""
        self.kept.add(request)
        self.file.note(f"{request} {KEPT} none")

    def about(self, sample: Sample) -> dict[str, bool | None] | None:
        """By check what came of a sample; None: not all of it is known yet."""
        names = set(sample.checks)
        if any((sample.id, name) not in self.outcomes for name in names):
            return None
        return {name: self.outcomes[sample.id, name] for name in sorted(names)}


@dataclass(slots=True, eq=False)
class Job:
    """One judgement. `score`: made, but the spool did not take it yet."""

    opened: Opened
    sample: Sample
    name: str
    tries: int = 0
    score: Score | None = None


@dataclass(slots=True)
class Queue:
    """Jobs by the time they are due; those of equal times in the order they came."""

    _heap: list[tuple[float, int, Job]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, job: Job, due: float) -> None:
        """Do it at that time (monotonic seconds) or later."""
        heapq.heappush(self._heap, (due, next(self._order), job))

    def take(self, now: float) -> Job | None:
        """The next job that is due."""
        if not self._heap or self._heap[0][0] > now:
            return None
        return heapq.heappop(self._heap)[2]
