"""One bite of the spool, parsed and weighed, ready to be written in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from promptship.adapters.telemetry import grouping, units
from promptship.adapters.telemetry.grouping import HOUR_MS, Group, Place, UnitGains
from promptship.adapters.telemetry.lines import Columns, Ints, read_columns
from promptship.adapters.telemetry.said import rows_of
from promptship.adapters.telemetry.segments import Bad, Slice, lines_at
from promptship.routing.observation import Feedback, Observation, Score


@dataclass(slots=True)
class Batch:
    """Records of all streams. `duplicates`: lines dropped because their record is there already."""

    taken: list[Slice]
    served: Columns
    scored: Columns
    said: list[dict[str, Any]]
    said_lines: int
    bad: list[Bad]
    width_ms: int
    duplicates: int = 0
    groups: list[Group] = field(default_factory=list)
    ids: dict[int, list[str]] = field(default_factory=dict)
    units: dict[Place, UnitGains] = field(default_factory=dict)

    def drop(self, seen: Iterable[tuple[int, str]] = ()) -> None:
        """Take out records whose (hour, id) was counted before, and all but the first of those that are here twice. Then weigh."""
        counted = set(seen)
        ids = [_of_observations(self.served), _of_scores(self.scored)]
        gone = [_repeated(one, counted) for one in ids]
        if gone[0]:
            self.served = self.served.without(gone[0])
            ids[0] = _of_observations(self.served)
        if gone[1]:
            self.scored = self.scored.without(gone[1])
            ids[1] = _of_scores(self.scored)
        self.duplicates += len(gone[0]) + len(gone[1])
        self.ids = {}
        for one in ids:
            for hour, names in one.by_hour():
                self.ids.setdefault(hour, []).extend(names)
        self.groups = grouping.together(
            grouping.of_observations(self.served, self.width_ms),
            grouping.of_scores(self.scored, self.width_ms),
        )
        self.units = units.combined(
            grouping.units_of_observations(self.served), grouping.units_of_scores(self.scored)
        )


def parsed(said: Sequence[Slice], scored: Sequence[Slice], served: Sequence[Slice], width_ms: int) -> Batch:
    """The batch of some slices, without repeated records."""
    taken = [*said, *scored, *served]
    bad = [line for piece in taken for line in piece.bad]
    columns = []
    for model, slices in ((Feedback, said), (Score, scored), (Observation, served)):
        found, wrong = read_columns(model, slices) if slices else (Columns.empty(model), {})
        bad += lines_at(list(slices), wrong)
        columns.append(found)
    words, scores, rows = columns
    batch = Batch(taken, rows, scores, rows_of(words, width_ms), words.count, bad, width_ms)
    batch.drop()
    return batch


def score_id(request: str, name: str) -> str:
    """Under which a score is remembered; no id of a request has a space in it."""
    return f"{request} {name}"


@dataclass(frozen=True, slots=True)
class _Ids:
    """Ids of records, each with the hour of its request."""

    hours: Ints
    names: list[str]

    def by_hour(self) -> Iterator[tuple[int, list[str]]]:
        if not self.names:
            return
        if self.hours.min() == self.hours.max():  # nearly always
            yield int(self.hours[0]), self.names
            return
        for hour in np.unique(self.hours).tolist():
            yield hour, [self.names[at] for at in np.flatnonzero(self.hours == hour)]


def _of_observations(rows: Columns) -> _Ids:
    return _Ids((rows.floats("at_ms") // HOUR_MS).astype(np.int64), rows["id"])


def _of_scores(rows: Columns) -> _Ids:
    names = [score_id(*asked) for asked in zip(rows["request"], rows["name"], strict=True)]
    return _Ids((rows.floats("request_at_ms") // HOUR_MS).astype(np.int64), names)


def _repeated(ids: _Ids, counted: set[tuple[int, str]]) -> list[int]:
    if not counted and len(set(ids.names)) == len(ids.names):
        return []
    seen = set(counted)
    repeated = []
    for at, one in enumerate(zip(ids.hours.tolist(), ids.names, strict=True)):
        if one in seen:
            repeated.append(at)
        seen.add(one)
    return repeated
