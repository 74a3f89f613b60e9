"""A release from push to end, over the memory adapters."""

import pytest

from promptship.errors import Refused
from promptship.lifecycle.approval import approve, reject
from promptship.lifecycle.ending import cancel, roll_back_prompt
from promptship.lifecycle.opening import open_for_push, open_release
from promptship.lifecycle.reconcile import reconcile, run_lease
from promptship.release.phase import Phase
from tests.support.house import STAGES, House


@pytest.fixture
def house() -> House:
    house = House()
    house.adopt()
    house.traffic(300, bad=0.1, seconds=300)
    house.look()
    return house


def test_a_better_prompt_is_promoted(house: House) -> None:
    before = house.serving()
    release = house.push("Say hello twice.")
    assert house.run_flow(release) == "canary"
    standing = house.until(release, "awaiting_approval", bad=0.02)
    assert standing.phase is Phase.AWAITING_APPROVAL
    assert standing.question == "promote"
    house.run_flow(release)
    assert len(house.approvals.cards) == 1
    approve(house.app, release, who="mira", via="cli", reason="fewer escalations")
    assert house.run_flow(release) == "promoted"
    assert house.serving() != before
    assert house.kinds(release) == [
        "requested", "linted", "evaluated", "stage_started", "stage_started", "approval_requested",
        "approval_asked", "approval_given", "approved", "promoted", "concluded",
    ]  # fmt: skip
    assert house.ledger.verify().problems == ()


def test_a_worse_prompt_is_rolled_back_by_itself(house: House) -> None:
    before = house.serving()
    release = house.push("Be concise.")
    house.run_flow(release)
    standing = house.until(release, "rolled_back", bad=0.5)
    assert standing.phase is Phase.ROLLED_BACK
    assert "feedback:escalated" in standing.reason
    route = house.routes.get("support")
    assert route is not None
    assert route.split is None
    assert house.serving() == before
    assert house.run_flow(release) == "rolled_back"
    assert house.kinds(release)[-2:] == ["rolled_back", "concluded"]


def test_lint_errors_stop_a_release_before_anything_is_spent(house: House) -> None:
    release = house.push("Say hello to {{ nobody }}.")
    assert house.run_flow(release) == "rejected"
    standing = house.release(release)
    assert "nobody" in standing.reason
    assert house.kinds(release) == ["requested", "rejected", "concluded"]


def test_a_regression_stops_a_release_before_any_traffic(house: House) -> None:
    release = house.push("Say goodbye.")
    assert house.run_flow(release, passes=False) == "rejected"
    assert "stage_started" not in house.kinds(release)


def test_every_step_may_run_twice(house: House) -> None:
    release = house.push("Say hello twice.")
    for _ in range(3):
        house.run_flow(release)
    house.until(release, "awaiting_approval", bad=0.02)
    for _ in range(3):
        house.run_flow(release)
    approve(house.app, release, who="mira", via="cli")
    for _ in range(3):
        house.run_flow(release)
    kinds = house.kinds(release)
    once = {"linted", "evaluated", "approval_asked", "approved", "promoted", "concluded"}
    assert {kind: kinds.count(kind) for kind in once} == dict.fromkeys(once, 1)
    assert len(house.approvals.cards) == 1


def test_the_same_push_twice_is_one_release(house: House) -> None:
    before = house.repository.resolve("main").id
    after = house.commit("Say hello twice.")
    first = open_for_push(house.app, before=before, after=after, actor="push:a")
    second = open_for_push(house.app, before=before, after=after, actor="push:b")
    assert [o.created for o in (*first, *second)] == [True, False]
    assert first[0].release_id == second[0].release_id


def test_a_newer_push_supersedes_one_without_traffic(house: House) -> None:
    older = house.push("Say hello twice.")
    newer = house.push("Say hello three times.")
    assert house.release(older).phase is Phase.SUPERSEDED
    assert house.release(newer).phase is Phase.REQUESTED


def test_a_newer_push_waits_for_a_running_canary(house: House) -> None:
    running = house.push("Say hello twice.")
    house.run_flow(running)
    newer = house.push("Say hello three times.")
    assert house.run_flow(newer) == "requested"
    assert house.release(running).phase is Phase.CANARY
    cancel(house.app, running, actor="person:test", reason="make room")
    house.orchestrator.runs.clear()
    house.run_flow(running)
    assert newer in house.orchestrator.started
    assert house.run_flow(newer) == "canary"


def test_a_newer_push_cancels_a_running_canary_when_the_plan_says_so() -> None:
    house = House(plan=STAGES.replace('"wait"', '"cancel"'))
    house.adopt()
    running = house.push("Say hello twice.")
    house.run_flow(running)
    newer = house.push("Say hello three times.")
    assert house.release(running).phase is Phase.CANCELLED
    route = house.routes.get("support")
    assert route is not None
    assert route.split is None
    assert house.run_flow(newer) == "canary"


def test_a_change_the_model_does_not_see_is_not_released(house: House) -> None:
    release = house.push("Say hello.  # only a comment")
    house.run_flow(release)
    assert house.release(release).phase is Phase.CANCELLED
    assert "nothing the model sees" in house.release(release).reason


def test_a_first_version_goes_to_a_person() -> None:
    house = House()
    house.commit("Say hello.")
    opened = open_release(house.app, prompt="support", ref="main", actor="person:test")
    assert house.run_flow(opened.release_id) == "awaiting_approval"
    assert house.release(opened.release_id).question == "first"
    approve(house.app, opened.release_id, who="noor@example.org", via="cli")
    assert house.run_flow(opened.release_id) == "promoted"


def test_reject_gives_the_traffic_back(house: House) -> None:
    before = house.serving()
    release = house.push("Say hello twice.")
    house.run_flow(release)
    house.until(release, "awaiting_approval", bad=0.02)
    reject(house.app, release, who="UMIRA", via="slack", reason="not now")
    assert house.release(release).phase is Phase.ROLLED_BACK
    assert house.serving() == before


@pytest.mark.parametrize("who", ["eve", "", "dev@example.org"])
def test_strangers_cannot_approve_and_are_remembered(house: House, who: str) -> None:
    release = house.push("Say hello twice.")
    house.run_flow(release)
    house.until(release, "awaiting_approval", bad=0.02)
    with pytest.raises(Refused):
        approve(house.app, release, who=who, via="slack")
    assert house.release(release).phase is Phase.AWAITING_APPROVAL
    assert house.kinds(release)[-1] == "approval_refused"


def test_an_old_card_does_nothing(house: House) -> None:
    release = house.push("Say hello twice.")
    house.run_flow(release)
    seq = house.until(release, "awaiting_approval", bad=0.02).question_seq
    with pytest.raises(Refused, match="old"):
        approve(house.app, release, who="mira", via="slack", seq=seq - 1)
    approve(house.app, release, who="mira", via="slack", seq=seq)
    assert house.release(release).phase is Phase.PROMOTED


def test_two_approvers_are_two_different_people() -> None:
    house = House(plan=STAGES + "\n[plans.default.approval]\nrequired = 2\nnot_author = true\n")
    house.adopt()
    release = house.push("Say hello twice.")
    house.run_flow(release)
    house.until(release, "awaiting_approval", bad=0.02)
    approve(house.app, release, who="mira", via="cli")
    assert house.release(release).phase is Phase.AWAITING_APPROVAL
    with pytest.raises(Refused, match="already"):
        approve(house.app, release, who="mira@example.org", via="cli")
    approve(house.app, release, who="noor", via="cli")
    assert house.release(release).phase is Phase.PROMOTED


def test_nobody_answers_and_it_expires_into_rollback(house: House) -> None:
    release = house.push("Say hello twice.")
    house.run_flow(release)
    house.until(release, "awaiting_approval", bad=0.02)
    house.run_flow(release)
    house.clock.advance(24 * 3600 + 1)
    reconcile(house.app)
    standing = house.release(release)
    assert standing.phase is Phase.ROLLED_BACK
    assert "nobody decided" in standing.reason


def test_a_guardrail_still_rolls_back_while_people_think(house: House) -> None:
    release = house.push("Say hello twice.")
    house.run_flow(release)
    house.until(release, "awaiting_approval", bad=0.02)
    assert house.until(release, "rolled_back", bad=0.9).phase is Phase.ROLLED_BACK


def test_rollback_returns_to_the_version_before(house: House) -> None:
    first = house.serving()
    release = house.push("Say hello twice.")
    house.run_flow(release)
    house.until(release, "awaiting_approval", bad=0.02)
    approve(house.app, release, who="mira", via="cli")
    house.run_flow(release)
    waiting = house.push("Say hello three times.")
    assert house.serving() != first
    assert (
        roll_back_prompt(house.app, "support", actor="person:test", reason="support line is on fire")
        == release
    )
    assert house.serving() == first
    assert house.release(release).phase is Phase.ROLLED_BACK
    assert house.release(waiting).phase is Phase.CANCELLED


def test_bad_telemetry_holds_and_never_judges(house: House) -> None:
    from promptship.canary.evidence import Health

    release = house.push("Be concise.")
    house.run_flow(release)
    house.measurements.health = Health(problems=("half of the rows have no latency",))
    for _ in range(5):
        house.traffic(200, bad=0.9)
        house.look()
    assert house.release(release).phase is Phase.CANARY
    house.measurements.health = Health()
    assert house.until(release, "rolled_back", bad=0.9).phase is Phase.ROLLED_BACK


def test_without_looks_the_lease_lapses(house: House) -> None:
    release = house.push("Say hello twice.")
    house.run_flow(release)
    house.look()
    house.clock.advance(31)
    route = house.routes.get("support")
    assert route is not None
    assert route.split is not None
    assert route.split.lease_s == 0
    house.look()
    route = house.routes.get("support")
    assert route is not None
    assert route.split is not None
    assert route.split.lease_s > 0


def test_a_dead_orchestrator_delays_and_loses_nothing(house: House) -> None:
    house.orchestrator.down = True
    release = house.push("Say hello twice.")
    assert house.orchestrator.started == []
    house.orchestrator.down = False
    reconcile(house.app)
    assert house.orchestrator.started == [release]
    reconcile(house.app)
    assert house.orchestrator.started == [release]
    house.clock.advance(house.app.settings.watcher.retry_every + 1)
    reconcile(house.app)
    assert house.orchestrator.started == [release, release]


def test_a_verdict_takes_effect_only_on_telemetry_that_has_just_been_checked(house: House) -> None:
    from promptship.canary.evidence import Health

    release = house.push("Be concise.")
    house.run_flow(release)
    house.traffic(20, bad=0.5)
    house.look()  # the gate has passed; the next scheduled check is a minute away
    house.measurements.health = Health(problems=("half of the rows have no latency",))
    for _ in range(5):
        house.traffic(200, bad=0.9)
        house.look()
    assert house.release(release).phase is Phase.CANARY


def test_a_release_that_a_live_run_is_moving_gets_no_second_run(house: House) -> None:
    release = house.push("Say hello twice.")
    house.orchestrator.runs.clear()
    house.clock.advance(house.app.settings.watcher.retry_every + 1)
    assert house.ledger.acquire(run_lease(release), "a live run", ttl_s=30, at=house.clock.now())
    reconcile(house.app)
    assert house.orchestrator.started == []
    house.clock.advance(31)  # the run died: nobody renewed its lease
    reconcile(house.app)
    assert house.orchestrator.started == [release]


def test_a_lost_wake_up_is_made_good_and_waiting_costs_no_runs(house: House) -> None:
    running = house.push("Say hello twice.")
    house.run_flow(running)
    waiting = house.push("Say hello three times.")
    assert house.run_flow(waiting) == "requested"
    house.orchestrator.runs.clear()
    for _ in range(3):
        house.clock.advance(house.app.settings.watcher.retry_every + 1)
        reconcile(house.app)
    assert house.orchestrator.started == []
    cancel(house.app, running, actor="person:test", reason="make room")
    house.orchestrator.down = True
    house.run_flow(running)  # concludes, and cannot wake anybody
    house.orchestrator.down = False
    reconcile(house.app)
    assert waiting in house.orchestrator.started
