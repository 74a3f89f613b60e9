"""What one turn of the watcher starts, and what must not stop it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from promptship.adapters.memory.measurements import MemoryMeasurements
from promptship.errors import Unavailable
from promptship.lifecycle.approval import approve
from promptship.lifecycle.reconcile import DOWN_MAX, reconcile
from promptship.release.events import Requested
from promptship.release.phase import Phase
from promptship.watcher import Watcher
from tests.support.house import House


@pytest.fixture
def house() -> House:
    house = House()
    house.adopt()
    house.traffic(300, bad=0.1, seconds=300)
    house.look()
    return house


def test_while_people_think_looks_start_no_runs(house: House) -> None:
    release = house.in_question("Say hello twice.")
    house.run_flow(release)
    before = len(house.orchestrator.started)
    for _ in range(20):
        house.traffic(50, bad=0.02, seconds=5)
        house.look()
    assert house.release(release).looks > 10
    assert len(house.orchestrator.started) == before


def test_what_a_look_makes_due_gets_a_run_in_the_same_turn(house: House) -> None:
    release = house.push("Say hello twice.")
    house.run_flow(release)
    house.orchestrator.runs.clear()
    house.until(release, "awaiting_approval", bad=0.02)
    assert house.orchestrator.started == [release]
    house.run_flow(release)
    approve(house.app, release, who="mira", via="cli")
    house.orchestrator.runs.clear()
    house.until(release, "rolled_back", bad=0.9)
    assert set(house.orchestrator.started) == {release}


class Broken(MemoryMeasurements):
    """Telemetry with a defect that one release brings to light."""

    def __init__(self, whose: Callable[[], str]) -> None:
        super().__init__(bucket_s=1.0)
        self._whose = whose

    def counts(self, release_id: str, *words: Any, **more: Any) -> Any:
        if release_id == self._whose():
            raise ZeroDivisionError
        return super().counts(release_id, *words, **more)


def test_a_look_that_breaks_costs_only_its_own_release_the_traffic(house: House) -> None:
    release = house.push("Say hello twice.")
    house.run_flow(release)
    broken = Broken(lambda: release)
    watcher = Watcher(replace(house.app, measurements=broken))
    house.clock.advance(20)
    assert watcher.turn()
    house.clock.advance(20)
    route = house.routes.get("support")
    assert route is not None
    assert route.split is not None
    assert route.split.lease_s == 0, "the lease was renewed without a look"


def test_a_release_that_cannot_be_read_does_not_keep_others_waiting(house: House) -> None:
    broken, _ = house.ledger.open_release(
        Requested(prompt="other", path="prompts/other.yaml", commit="c" * 40, author=""),
        actor="push:a",
        at=house.clock.now(),
    )
    house.clock.advance(1)
    release = house.push("Say hello twice.")
    house.orchestrator.runs.clear()
    kept = house.ledger._releases[broken]
    kept.links[0] = replace(kept.links[0], fact="{}")
    house.clock.advance(house.app.settings.watcher.retry_every + 1)
    assert reconcile(house.app) == 2
    assert house.orchestrator.started == [release]


def test_an_orchestrator_that_hangs_is_asked_a_few_times_and_later_for_all(house: House) -> None:
    due = [house.ledger.open_release(
        Requested(prompt=f"p{n}", path="prompts/p.yaml", commit="c" * 40, author=""), actor="push:a", at=house.clock.now(),
    )[0] for n in range(DOWN_MAX + 5)]  # fmt: skip
    asked: list[str] = []
    start = house.orchestrator.start

    def hangs(release_id: str, *, key: str) -> str:
        asked.append(key)
        raise Unavailable("no answer")

    house.orchestrator.start = hangs  # type: ignore[method-assign]
    house.clock.advance(1)
    assert reconcile(house.app) == len(due)
    assert len(asked) == DOWN_MAX, "each call may take its whole deadline, and canaries wait"
    house.orchestrator.start = start  # type: ignore[method-assign]
    reconcile(house.app)
    assert sorted(house.orchestrator.started) == sorted(due)


def test_two_watchers_do_not_work_at_the_same_time_and_nothing_is_doubled(house: House) -> None:
    release = house.push("Say hello twice.")
    house.run_flow(release)
    second = Watcher(house.app)
    house.look()
    assert not second.turn()
    house.clock.advance(60)
    assert second.turn()
    assert house.release(release).phase is Phase.CANARY
    assert house.kinds(release) == ["requested", "linted", "evaluated", "stage_started"]
