"""Do the work of a run: hold units, settle groups, hand every row on at once, and never pay a finished one twice.

Works for any kind of unit (`promptship.evals.units`); knows neither suites nor promptfoo.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from promptship.errors import PromptshipError
from promptship.evals.rows import Arm, Row
from promptship.evals.score import Scored
from promptship.evals.services import Services
from promptship.evals.units import Group, Unit

LOOK_EVERY: Final = 25
"""Rows between two questions whether the outcome is certain."""

OnRow = Callable[[Row], None]
Decided = Callable[[Sequence[Row]], bool | None]
"""Gets the rows finished since it was last asked, without answers; true: the outcome is certain, ask nothing more."""
Progress = Callable[[Row, bool], None]
"""Gets every row, and whether it was taken over from an earlier run."""


Hopeless = Callable[[Mapping[str, PromptshipError]], bool]
"""Gets `Fuses.dead`, which is not empty; true: nothing more can come of the run."""


class Fuses(Protocol):
    """`promptship.evals.calls.Calls`, as far as the runner needs it."""

    @property
    def dead(self) -> Mapping[str, PromptshipError]:
        """Endpoints and models that cannot answer, and why."""
        ...


class Ending(StrEnum):
    """Why a run ended."""

    COMPLETE = "complete"  # every unit has a row
    DECIDED = "decided"  # nothing that was still to be asked could change the outcome
    DEAD = "dead"  # what it asks answers no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a run came to."""

    rows: tuple[Row, ...]
    """Of every unit that was held or taken over, without answers (`Row.slim`), sorted by key."""
    ending: Ending
    reused: int = 0
    """Rows taken over from an earlier run."""
    dead: Mapping[str, PromptshipError] = field(default_factory=dict)
    """Endpoints and models whose fuse blew; with ending COMPLETE their rows are Unscored."""


async def run(
    work: Iterable[Group],
    services: Services,
    asking: Fuses | None = None,
    *,
    concurrency: int,
    on_row: OnRow | None = None,
    finished: Iterable[Row] = (),
    decided: Decided | None = None,
    progress: Progress | None = None,
    hopeless: Hopeless | None = None,
) -> Ran:
    """Hold every unit of `work`, at most `concurrency` groups at once; one group at a time is taken from it.

    `on_row` gets every new row with its answers, as soon as its group is settled. `finished`: rows of an earlier run; those that
    have a score and the unit's digest are taken over (a group that has to be settled only as a whole). `hopeless`: whether the
    run ends because of what is dead; without it the remaining rows fail one by one, at once.

    On cancellation the calls under way are dropped; rows that were handed on stay.
    """
    keep = _Keep(on_row, progress)
    ready = {row.key: row.slim() for row in finished if isinstance(row.score, Scored)}
    state = _Work(iter(work), services, ready, keep, decided, asking, hopeless)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(state.go())
    except BaseExceptionGroup as errors:
        raise _first(errors) from None
    return Ran(
        rows=tuple(sorted(keep.rows, key=lambda row: row.key)), ending=state.ending, reused=keep.reused,
        dead={} if asking is None else asking.dead,
    )  # fmt: skip


class _Keep:
    """Rows as they come."""

    def __init__(self, on_row: OnRow | None, progress: Progress | None) -> None:
        self._on_row = on_row
        self._progress = progress
        self.rows: list[Row] = []
        self.reused = 0

    def new(self, row: Row) -> None:
        if self._on_row is not None:
            self._on_row(row)
        self._kept(row, reused=False)

    def old(self, row: Row) -> None:
        self.reused += 1
        self._kept(row, reused=True)

    def _kept(self, row: Row, *, reused: bool) -> None:
        if self._progress is not None:
            self._progress(row, reused)
        self.rows.append(row.slim())


class _Work:
    """What the workers of one run share; all in one event loop."""

    def __init__(
        self,
        groups: Iterable[Group],
        services: Services,
        ready: Mapping[tuple[str, Arm, int], Row],
        keep: _Keep,
        decided: Decided | None,
        asking: Fuses | None,
        hopeless: Hopeless | None,
    ) -> None:
        self._groups, self._services, self._ready, self._keep = groups, services, ready, keep
        self._decided, self._asking, self._hopeless = decided, asking, hopeless
        self._looked_at = 0
        self.ending = Ending.COMPLETE

    async def go(self) -> None:
        """Do groups until there is none, or the run ends for another reason."""
        for group in self._groups:
            await self._do(group)
            if self.ending is Ending.COMPLETE:
                self._look()
            if self.ending is not Ending.COMPLETE:
                return
            # A group without a single real wait (all from a cache) would keep every other task waiting.
            await asyncio.sleep(0)

    async def _do(self, group: Group) -> None:
        kept = [self._kept(unit) for unit in group.units]
        if group.settle is None:
            for row in kept:
                if row is not None:
                    self._keep.old(row)
            missing = [unit for unit, row in zip(group.units, kept, strict=True) if row is None]
            await _side_by_side([self._hold_one(unit) for unit in missing])
            return
        if group.units and None not in kept:
            for row in kept:
                assert row is not None  # noqa: S101 - just looked
                self._keep.old(row)
            return
        # What was settled before cannot be settled again, and a settlement needs all answers: the whole group anew.
        held: dict[int, Row] = {}

        async def hold(number: int, unit: Unit) -> None:
            held[number] = await unit.hold(self._services)

        await _side_by_side([hold(number, unit) for number, unit in enumerate(group.units)])
        for row in await group.settle([held[number] for number in range(len(group.units))], self._services):
            self._keep.new(row)

    async def _hold_one(self, unit: Unit) -> None:
        self._keep.new(await unit.hold(self._services))

    def _kept(self, unit: Unit) -> Row | None:
        row = self._ready.get((unit.case, unit.arm, unit.trial)) if self._ready else None
        return row if row is not None and row.digest == unit.digest else None

    def _look(self) -> None:
        if self._asking is not None and self._hopeless is not None:
            dead = self._asking.dead
            if dead and self._hopeless(dead):
                self.ending = Ending.DEAD
                return
        rows = self._keep.rows
        if self._decided is not None and len(rows) - self._looked_at >= LOOK_EVERY:
            new, self._looked_at = rows[self._looked_at :], len(rows)
            if self._decided(new):
                self.ending = Ending.DECIDED


async def _side_by_side(doing: Sequence[Coroutine[None, None, None]]) -> None:
    if len(doing) == 1:
        await doing[0]
    elif doing:
        async with asyncio.TaskGroup() as group:
            for one in doing:
                group.create_task(one)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended the run: ours before any other, and never a group."""
    plain: list[BaseException] = []
    waiting: list[BaseException] = [errors]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
        else:
            plain.append(error)
    return next((error for error in plain if isinstance(error, PromptshipError)), plain[0])
