"""Steps that cannot be done: tried again, or over with a reason, never in circles."""

import pytest

from promptship.errors import ConfigError, NotFound, Problem, Refused, Unavailable
from promptship.lifecycle import steps
from promptship.lifecycle.ending import cancel
from promptship.lifecycle.steps import Standing
from promptship.lifecycle.stumbling import PAUSE_S_MAX, stumble
from promptship.release.phase import Phase
from tests.support.house import STAGES, House

WRONG = [
    ConfigError([Problem("suites/support.yaml", "cases[0].vars.name", "missing", "expected variables")]),
    Refused("provider sim does not accept the key of SIM_API_KEY (401)"),
    NotFound("no commit 1234"),
]


@pytest.fixture
def house() -> House:
    house = House()
    house.adopt()
    house.traffic(300, bad=0.1, seconds=300)
    house.look()
    return house


@pytest.mark.parametrize("error", WRONG, ids=lambda error: type(error).__name__)
def test_what_is_wrong_fails_a_release_at_once_with_the_reason(house: House, error: Exception) -> None:
    release = house.push("Say hello twice.")
    steps.lint(house.app, release)
    assert stumble(house.app, release, step="regress", error=error) is Standing.OVER
    standing = house.release(release)
    assert standing.phase is Phase.FAILED
    assert standing.reason == f"regress: {error}"
    assert house.run_flow(release) == "failed"
    assert house.due_at(release) is None


@pytest.mark.parametrize("error", [Unavailable("sim is down"), ZeroDivisionError("prompt text")])
def test_what_may_work_later_is_tried_until_the_plan_gives_up(house: House, error: Exception) -> None:
    release = house.push("Say hello twice.")
    steps.lint(house.app, release)
    began, tries = house.clock.now(), 0
    while house.release(release).is_open:
        assert stumble(house.app, release, step="regress", error=error) in {Standing.PARKED, Standing.OVER}
        tries += 1
        assert house.due_at(release) is not None
        house.clock.advance((house.due_at(release) - house.clock.now()).total_seconds())
    passed_s = (house.clock.now() - began).total_seconds()
    assert 3600 < passed_s <= 3600 + 2 * house.app.settings.watcher.retry_every
    assert tries > 10
    assert house.release(release).phase is Phase.FAILED
    assert "prompt text" not in house.release(release).reason


def test_waiting_for_another_release_does_not_count_as_stumbling(house: House) -> None:
    running = house.push("Say hello twice.")
    house.run_flow(running)
    waiting = house.push("Say hello three times.")
    for _ in range(30):
        assert house.run_flow(waiting) == "requested"
        house.clock.advance(300)
    cancel(house.app, running, actor="person:test", reason="make room")
    down = Unavailable("git is slow")
    assert stumble(house.app, waiting, step="lint", error=down) is Standing.PARKED
    assert house.run_flow(waiting) == "canary"


def test_an_outage_before_the_suites_does_not_count_against_them() -> None:
    house = House(plan=STAGES.replace("[plans.default]", '[plans.default]\ngive_up_after = "10m"'))
    house.adopt()
    release = house.push("Say hello twice.")
    for _ in range(20):
        stumble(house.app, release, step="lint", error=Unavailable("git is slow"))
        house.clock.advance(60)
    steps.lint(house.app, release)
    assert stumble(house.app, release, step="regress", error=Unavailable("down")) is Standing.PARKED


def test_an_ending_is_not_stumbled_over(house: House) -> None:
    release = house.push("Say hello twice.")
    steps.lint(house.app, release)
    cancel(house.app, release, actor="person:test", reason="not today")
    before = house.kinds(release)
    assert stumble(house.app, release, step="regress", error=Unavailable("sim is down")) is Standing.OVER
    assert house.kinds(release) == before
    assert house.release(release).reason == "not today"


def test_nobody_makes_a_release_wait_for_a_day(house: House) -> None:
    release = house.push("Say hello twice.")
    slow = Unavailable("come back tomorrow", retry_after_s=86400)
    stumble(house.app, release, step="regress", error=slow)
    assert (house.due_at(release) - house.clock.now()).total_seconds() == PAUSE_S_MAX


@pytest.mark.parametrize("error", [Unavailable("Slack is down"), *WRONG])
def test_a_release_with_evidence_waits_and_still_knows_why_people_are_asked(
    house: House, error: Exception
) -> None:
    release = house.in_question("Say hello twice.")
    before = house.release(release)
    assert stumble(house.app, release, step="approve", error=error) is Standing.PARKED
    assert house.release(release).reason == before.reason
    expires_at = before.expires_at
    assert expires_at is not None
    house.clock.advance((expires_at - house.clock.now()).total_seconds() - 5)
    stumble(house.app, release, step="approve", error=error)
    assert house.due_at(release) == expires_at
