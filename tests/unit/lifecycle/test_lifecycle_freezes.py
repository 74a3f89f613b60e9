"""Freezes in the life of a release: nothing gets more traffic, everything else goes on, and it goes on by itself afterwards."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from promptship.errors import ConfigError, NotFound, Refused
from promptship.lifecycle import freezes
from promptship.lifecycle.approval import approve
from promptship.lifecycle.ending import cancel, roll_back_prompt
from promptship.lifecycle.experiment_arms import Asked
from promptship.lifecycle.experiments import start
from promptship.lifecycle.freezes import Freeze
from promptship.lifecycle.reconcile import reconcile
from promptship.release.phase import Phase
from promptship.render.release import release_list, release_text
from promptship.settings import FreezeSettings
from tests.support.environments import chained, push, run
from tests.support.house import STAGES, House


def frozen(house: House, *, hours: float = 1, **where: Any) -> Any:
    """The settings gain a freeze that begins now; returns its end."""
    now = house.clock.now()
    until = now + timedelta(hours=hours)
    one = FreezeSettings(name="holidays", reason="nobody is there", since=now, until=until, **where)
    house.app = replace(house.app, settings=house.app.settings.model_copy(update={"freezes": (one,)}))
    house.watcher.app = house.app
    return until


def ready() -> tuple[House, str]:
    """A release that has not begun."""
    house = House()
    house.adopt()
    return house, house.push("Say a good hello.")


def test_no_canary_begins_and_it_begins_when_the_freeze_is_over() -> None:
    house, release = ready()
    until = frozen(house)
    assert house.run_flow(release) == "evaluated"
    standing = house.release(release)
    assert standing.freeze is not None
    assert (standing.freeze.reason, standing.freeze.until) == ("freeze holidays: nobody is there", until)
    assert house.due_at(release) == until
    text = release_text(standing, house.ledger.events(release))
    assert "EVALUATED, FROZEN" in text
    assert "no more traffic until" in text
    summaries = house.ledger.summaries()
    shown = release_list(summaries, house.clock.now(), frozen=freezes.held_back(house.app, summaries))
    assert "evaluated, frozen" in shown
    house.clock.advance(3600)
    assert reconcile(house.app) == 1
    assert house.run_flow(release) == "canary"
    assert house.release(release).freeze is None


def test_a_canary_keeps_its_share_is_said_once_to_be_frozen_and_advances_afterwards() -> None:
    house, release = ready()
    house.run_flow(release)
    frozen(house)
    for _ in range(12):
        house.traffic(200, bad=0.02)
        house.look()
    standing = house.release(release)
    assert (standing.phase, standing.stage, standing.share) == (Phase.CANARY, 0, 0.2)
    assert house.kinds(release).count("frozen") == 1
    route = house.routes.get("support")
    assert route is not None
    assert route.split is not None
    assert route.split.lease_s > 0
    house.clock.advance(3600)
    house.traffic(200, bad=0.02)
    house.look()
    standing = house.release(release)
    assert (standing.stage, standing.freeze) == (1, None)
    assert house.until(release, "awaiting_approval", bad=0.02).phase == "awaiting_approval"


def test_bad_news_do_not_wait() -> None:
    house, release = ready()
    house.run_flow(release)
    frozen(house)
    assert house.until(release, "rolled_back", bad=0.9).phase == "rolled_back"
    other = house.push("Say another hello.")
    house.run_flow(other)
    assert cancel(house.app, other, actor="person:mira", reason="no").phase == "cancelled"


def test_people_are_asked_and_the_promotion_waits() -> None:
    house, release = ready()
    house.run_flow(release)
    house.until(release, "awaiting_approval", bad=0.02)
    until = frozen(house)
    house.run_flow(release)
    approve(house.app, release, who="mira", via="cli")
    house.run_flow(release)
    standing = house.release(release)
    assert (standing.phase, standing.approvers) == (Phase.APPROVED, ("mira",))
    assert standing.freeze is not None
    assert house.due_at(release) == until
    house.clock.advance(3600)
    assert house.run_flow(release) == "promoted"


def test_a_rollback_of_what_serves_goes_on() -> None:
    house, release = ready()
    house.run_flow(release)
    house.until(release, "awaiting_approval", bad=0.02)
    house.run_flow(release)
    house.promote(release)
    frozen(house)
    assert roll_back_prompt(house.app, "support", actor="person:mira", reason="worse") == release


@pytest.mark.parametrize(
    ("where", "stops"),
    [
        ({"environments": ("production",)}, True),
        ({"environments": ("staging",)}, False),
        ({"prompts": ("sup*",)}, True),
        ({"prompts": ("sales*",), "environments": ("production",)}, False),
    ],
)
def test_a_freeze_holds_where_it_says(where: Any, stops: bool) -> None:
    house, release = ready()
    frozen(house, **where)
    assert house.run_flow(release) == ("evaluated" if stops else "canary")


def test_a_freeze_of_one_environment_leaves_the_others() -> None:
    house = chained()
    house.adopt()
    frozen(house, environments=("production",))
    release = push(house, "New.")
    run(house, release)
    approve(house.app, release, who="mira", via="cli")
    assert run(house, release) == "promoted"


def test_an_approver_lets_one_release_go_on() -> None:
    house, release = ready()
    frozen(house)
    house.run_flow(release)
    with pytest.raises(Refused, match="not a configured approver"):
        freezes.override(house.app, release, who="eve", reason="because")
    with pytest.raises(Refused, match="say why"):
        freezes.override(house.app, release, who="mira", reason=" ")
    assert house.release(release).freeze is not None
    freezes.override(house.app, release, who="mira@example.org", reason="mends an outage")
    fact = house.ledger.events(release)[-1]
    assert (fact.actor, fact.fact.kind) == ("person:mira", "freeze_overridden")
    assert house.due_at(release) == house.clock.now()
    assert house.run_flow(release) == "canary"
    assert freezes.override(house.app, release, who="mira", reason="again").through_freezes == "mira"
    assert house.kinds(release).count("freeze_overridden") == 1


def test_a_person_begins_and_ends_a_freeze_and_what_waited_goes_on() -> None:
    house, release = ready()
    incident = Freeze(name="incident", reason="the provider is down", environments=("production",))
    freezes.begin(house.app, incident, actor="person:mira")
    with pytest.raises(Refused, match="there is a freeze incident already"):
        freezes.begin(house.app, incident, actor="person:noor")
    house.run_flow(release)
    standing = house.release(release)
    assert standing.freeze is not None
    assert standing.freeze.until is None
    (one,) = freezes.in_force(house.app)
    assert (one.freeze.name, one.freeze.by, one.until) == ("incident", "person:mira", None)
    started = len(house.orchestrator.started)
    assert freezes.end_freeze(house.app, "incident", actor="person:mira") == 1
    assert len(house.orchestrator.started) == started + 1
    assert house.run_flow(release) == "canary"
    with pytest.raises(NotFound, match="no freeze incident"):
        freezes.end_freeze(house.app, "incident", actor="person:mira")
    assert [entry.kind for entry in house.journal.entries("freeze:incident")] == ["on", "off"]


def test_a_freeze_that_a_person_began_ends_by_its_time_and_may_begin_again() -> None:
    house = House()
    until = house.clock.now() + timedelta(hours=2)
    freezes.begin(house.app, Freeze(name="now", until=until), actor="person:mira")
    assert len(freezes.freezes(house.app)) == 1
    house.clock.advance(7200)
    assert freezes.freezes(house.app) == []
    freezes.begin(house.app, Freeze(name="now"), actor="person:mira")
    assert [one.until for one in freezes.freezes(house.app)] == [None]
    with pytest.raises(ConfigError):
        freezes.begin(house.app, Freeze(name="other", environments=("nowhere",)), actor="person:mira")


def test_no_experiment_begins_in_a_freeze() -> None:
    house = House()
    house.adopt()
    frozen(house)
    asked = Asked(arms=("kind=stable",))
    with pytest.raises(Refused, match=r"no experiment with support begins until .*: freeze holidays"):
        start(house.app, "support", asked, share=0.5, lasts_s=None, metrics=(), actor="person:mira")


def test_a_holdback_goes_on_until_the_freeze_is_over() -> None:
    house = House(plan=STAGES.replace('lease = "30s"', 'lease = "30s"\nholdback = 0.3\nholdback_for = "1h"'))
    house.adopt()
    release = house.in_question("Say a good hello.")
    house.promote(release)
    frozen(house, hours=2)

    def held() -> bool:
        house.look()
        route = house.routes.get("support")
        assert route is not None
        return route.split is not None and route.split.held is not None and route.split.lease_s > 0

    assert held()
    house.clock.advance(3600 + 60)
    assert held()
    house.clock.advance(3600)
    assert not held()
