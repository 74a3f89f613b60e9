"""A paused release stands still, but for what is bad news."""

from __future__ import annotations

from datetime import timedelta

import pytest

from promptship.errors import IllegalTransition
from promptship.lifecycle import steps, telling
from promptship.lifecycle.approval import approve, reject
from promptship.lifecycle.ending import cancel, expire
from promptship.lifecycle.pausing import pause, resume
from promptship.lifecycle.reconcile import reconcile
from promptship.render.release import release_text, title
from promptship.routing.table import Route
from tests.support.house import House


@pytest.fixture
def house() -> House:
    house = House()
    house.adopt()
    return house


def held(house: House, release: str, reason: str = "freeze") -> None:
    assert pause(house.app, release, actor="person:mira", reason=reason).is_paused


def freed(house: House, release: str) -> None:
    assert not resume(house.app, release, actor="person:mira").is_paused


def route_of(house: House) -> Route:
    route = house.routes.get("support")
    assert route is not None
    return route


def test_no_step_begins_and_no_run_is_asked_for(house: House) -> None:
    release = house.push("Be kind.")
    held(house, release)
    before = len(house.orchestrator.started)
    assert house.run_flow(release) == "requested"
    house.clock.advance(3600)
    reconcile(house.app)
    assert len(house.orchestrator.started) == before
    freed(house, release)
    assert house.orchestrator.started[before:] == [release]
    assert house.run_flow(release) == "canary"


def test_a_suite_that_ran_meanwhile_is_kept_and_nothing_follows(house: House) -> None:
    release = house.push("Be kind.")
    steps.lint(house.app, release)
    held(house, release)
    assert steps.evaluated(house.app, release) is steps.Standing.PARKED
    kept = steps.record_evaluation(
        house.app, release, stable=route_of(house).stable, verdict={"suites": []}, passes=True, because=""
    )
    assert kept is steps.Standing.GO_ON
    assert steps.start_canary(house.app, release) is steps.Standing.PARKED
    assert route_of(house).split is None


def test_a_canary_keeps_its_share_and_does_not_advance(house: House) -> None:
    release = house.push("Be kind.")
    house.run_flow(release)
    held(house, release)
    stood = house.until(release, "awaiting_approval", bad=0.02, turns=12)
    assert (stood.phase, stood.stage) == ("canary", 0)
    split = route_of(house).split
    assert split is not None
    assert split.lease_s > 0, "it is watched"
    assert stood.looks > 1
    freed(house, release)
    assert house.until(release, "awaiting_approval", bad=0.02).phase == "awaiting_approval"


def test_a_guardrail_still_rolls_back(house: House) -> None:
    release = house.push("Be rude.")
    house.run_flow(release)
    held(house, release)
    assert house.until(release, "rolled_back", bad=0.9).phase == "rolled_back"
    assert route_of(house).split is None
    assert not house.release(release).is_paused


def test_questions_wait(house: House) -> None:
    release = house.in_question("Be kind.")
    held(house, release)
    assert telling.ask(house.app, release) is steps.Standing.PARKED
    assert not house.approvals.cards
    freed(house, release)
    telling.ask(house.app, release)
    assert len(house.approvals.cards) == 1


def test_a_yes_counts_and_promotes_only_after_the_pause(house: House) -> None:
    release = house.in_question("Be kind.")
    held(house, release)
    approve(house.app, release, who="mira", via="cli")
    assert house.run_flow(release) == "approved"
    assert steps.promote(house.app, release) is steps.Standing.PARKED
    freed(house, release)
    assert house.run_flow(release) == "promoted"


def test_a_deadline_moves_by_the_length_of_the_pause(house: House) -> None:
    release = house.in_question("Be kind.")
    until = house.release(release).expires_at
    assert until is not None
    house.clock.advance(60)
    held(house, release)
    house.clock.advance(30 * 86400)
    assert expire(house.app, release).phase == "awaiting_approval"
    freed(house, release)
    assert house.release(release).expires_at == until + timedelta(days=30)
    house.clock.advance((until - house.clock.now()).total_seconds() + 30 * 86400 + 1)
    assert expire(house.app, release).phase == "rolled_back"


@pytest.mark.parametrize("end", ["reject", "cancel"])
def test_people_may_end_it(house: House, end: str) -> None:
    release = house.in_question("Be kind.")
    held(house, release)
    if end == "reject":
        reject(house.app, release, who="mira", via="cli", reason="no")
    else:
        cancel(house.app, release, actor="person:mira", reason="no")
    assert not house.release(release).is_open
    assert route_of(house).split is None


def test_twice_is_once(house: House) -> None:
    release = house.push("Be kind.")
    held(house, release)
    held(house, release, "again")
    freed(house, release)
    freed(house, release)
    assert house.kinds(release) == ["requested", "paused", "resumed"]


def test_what_has_ended_cannot_be_paused(house: House) -> None:
    release = house.push("Be kind.")
    cancel(house.app, release, actor="person:mira", reason="no")
    for use_case in (pause, resume):
        with pytest.raises(IllegalTransition, match="ended already"):
            use_case(house.app, release, actor="person:mira")


def test_it_is_seen_and_secrets_are_not(house: House) -> None:
    release = house.push("Be kind.")
    held(house, release, "freeze until api_key=sk-1234567890abcdefghij")
    shown = release_text(house.release(release), house.ledger.events(release))
    assert title(house.release(release)).endswith("REQUESTED, PAUSED")
    assert "by mira: freeze until" in shown
    assert "sk-1234567890" not in shown


def test_a_cancel_in_the_orchestrator_gives_the_traffic_back(house: House) -> None:
    release = house.push("Be kind.")
    house.run_flow(release)
    assert route_of(house).split is not None
    house.orchestrator.cancels.add(release)
    house.look()
    assert house.release(release).phase == "cancelled"
    assert route_of(house).split is None
    assert "cancelled in Prefect" in house.release(release).reason
    assert house.ledger.events(release)[-1].actor == "prefect"


def test_an_orchestrator_that_is_down_cancels_nothing_and_stops_no_look(house: House) -> None:
    release = house.push("Be rude.")
    house.run_flow(release)
    house.orchestrator.cancels.add(release)
    house.orchestrator.down = True
    assert house.until(release, "rolled_back", bad=0.9).phase == "rolled_back"
