from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from promptship.errors import PromptshipError, Unavailable
from promptship.evals.rows import Arm, Row
from promptship.evals.runner import Ending, Ran, run
from promptship.evals.score import Scored
from promptship.evals.services import Services
from promptship.evals.units import Group
from tests.support.services import FakeScripts


@dataclass
class Made:
    """A unit that is held at once."""

    case: str
    arm: Arm = "a"
    trial: int = 0
    digest: str = "d"
    held: list[str] = field(default_factory=list)
    error: Exception | None = None

    async def hold(self, services: Services) -> Row:
        self.held.append(self.arm)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return Row(
            case=self.case, arm=self.arm, trial=self.trial, digest=self.digest, score=Scored(True, 1.0),
            answers=(f"{self.case} {self.arm}",),
        )  # fmt: skip


SERVICES = Services(scripts=FakeScripts())


async def test_a_group_is_settled_once_all_its_answers_are_there_and_handed_on_after() -> None:
    settled: list[list[str]] = []
    handed: list[Row] = []

    async def settle(rows: Sequence[Row], services: Services) -> Sequence[Row]:
        settled.append([row.answers[0] for row in rows] + [str(len(handed))])
        return [replace(row, score=Scored(row.arm == "b", 0.5)) for row in rows]

    group = Group((Made("x", "a"), Made("x", "b")), settle)
    result = await run([group], SERVICES, concurrency=2, on_row=handed.append)
    assert settled == [["x a", "x b", "0"]]
    assert [row.score for row in handed] == [Scored(False, 0.5), Scored(True, 0.5)]
    assert [row.answers for row in result.rows] == [(), ()]
    again = await run([group], SERVICES, concurrency=1, finished=handed)
    assert (again.reused, len(settled)) == (2, 1)
    half = await run([group], SERVICES, concurrency=1, finished=handed[:1])
    assert (half.reused, len(settled)) == (0, 2)


async def test_it_stops_as_soon_as_the_outcome_is_certain_and_keeps_what_was_paid() -> None:
    looked: list[int] = []

    def decided(rows: Sequence[Row]) -> bool:
        looked.append(len(rows))
        return sum(looked) >= 50

    units = [Made(f"c{n}") for n in range(500)]
    result = await run([Group((unit,)) for unit in units], SERVICES, concurrency=4, decided=decided)
    assert result.ending is Ending.DECIDED
    assert sum(looked) == 50
    assert len(result.rows) == sum(bool(unit.held) for unit in units) < 60


@dataclass
class Dead:
    """Fuses that blow after some rows."""

    dead: dict[str, PromptshipError] = field(default_factory=dict)


@pytest.mark.parametrize("needed", [None, {"one"}, {"one", "two"}])
async def test_it_ends_when_nothing_more_can_come_of_it_and_not_before(needed: set[str] | None) -> None:
    fuses = Dead()
    units = [Made(f"c{n}") for n in range(50)]

    def on_row(row: Row) -> None:
        fuses.dead["one"] = Unavailable("down")

    result = await run(
        [Group((unit,)) for unit in units], SERVICES, fuses, concurrency=2, on_row=on_row,
        hopeless=None if needed is None else lambda dead: needed <= set(dead),
    )  # fmt: skip
    assert (result.ending is Ending.DEAD) == (needed == {"one"}) == (len(result.rows) < 50)
    assert list(result.dead) == ["one"]


async def test_an_error_that_no_unit_may_raise_ends_the_run_as_itself() -> None:
    units = [Made("x"), Made("y", error=ZeroDivisionError("bug")), Made("z")]
    with pytest.raises(ZeroDivisionError, match="bug"):
        await run([Group(tuple(units))], SERVICES, concurrency=2)


async def test_a_run_that_is_cancelled_keeps_the_rows_it_handed_on() -> None:
    rows: list[Row] = []
    enough = asyncio.Event()

    def on_row(row: Row) -> None:
        rows.append(row)
        if len(rows) == 10:
            enough.set()

    work = (Group((Made(f"c{n}"),)) for n in range(10**9))
    task = asyncio.create_task(run(work, SERVICES, concurrency=3, on_row=on_row))
    await enough.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(rows) < 20


async def test_work_is_made_while_running_not_before() -> None:
    made = 0

    def work() -> Iterator[Group]:
        nonlocal made
        for n in range(100):
            made += 1
            yield Group((Made(f"c{n}"),))

    ahead: list[int] = []
    result: Ran = await run(work(), SERVICES, concurrency=3, progress=lambda row, reused: ahead.append(made))
    assert len(result.rows) == len(ahead) == 100
    assert all(now - done <= 3 for done, now in enumerate(ahead))
