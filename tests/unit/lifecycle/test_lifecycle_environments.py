"""Environments: what a push, a promotion and a person open where, by which plan, and with whose yes."""

import pytest

from promptship.errors import ConfigError, NotFound, Refused
from promptship.lifecycle import pushes
from promptship.lifecycle.adopting import adopt
from promptship.lifecycle.approval import approve, reject
from promptship.lifecycle.ending import roll_back_prompt
from promptship.lifecycle.environments import branches, following, names, releases_in
from promptship.lifecycle.kill import kill
from promptship.lifecycle.model_use import in_use
from promptship.lifecycle.onward import pass_on, promote_between, standings
from promptship.lifecycle.opening import open_release, take_push
from promptship.lifecycle.telling import conclude
from promptship.settings import EnvironmentSettings
from tests.support.environments import chained, open_in, promote, push, run, serves
from tests.support.house import House


def test_who_has_one_environment_sees_nothing_of_them() -> None:
    settings = House().app.settings
    assert names(settings) == ("production",)
    assert branches(settings) == {"main": ("",)}
    assert following(settings, "support") == ()


def test_a_push_is_released_in_every_environment_of_its_branch_and_nowhere_else() -> None:
    house = chained(dev=EnvironmentSettings(branch="staging"))
    before = house.commit("Say hello.")
    after = house.commit("Say a good hello.")
    house.repository.branch("staging", after)
    taken = take_push(house.app, before=before, after=after, actor="push:x", branch="staging")
    assert {one.prompt for one in taken.opened} == {"staging/support", "dev/support"}
    assert len({one.release_id for one in taken.opened}) == 2
    # production has releases from staging only
    assert take_push(house.app, before=before, after=after, actor="push:x").opened == ()


def test_what_is_promoted_in_staging_opens_a_release_in_production_once() -> None:
    house = chained()
    house.adopt()
    release = push(house, "Say a good hello.")
    assert house.release(release).prompt == "staging/support"
    assert promote(house, release) == "promoted"
    (onward,) = open_in(house, "support")
    assert (onward.commit, onward.path) == (house.release(release).commit, "prompts/support.yaml")
    first = house.ledger.events(onward.id)[0]
    assert first.actor == "environment:staging"
    assert release in onward.reason
    conclude(house.app, release)
    pass_on(house.app, house.release(release))
    assert [one.id for one in open_in(house, "support")] == [onward.id]
    assert serves(house, "support") != serves(house, "staging/support")
    # production goes by the prompt's own plan: its canary begins
    assert run(house, onward.id) == "canary"
    assert house.release(release).plan != house.release(onward.id).plan


def test_what_is_promoted_next_replaces_what_was_passed_on_before() -> None:
    house = chained()
    house.adopt()
    older, newer = push(house, "One."), push(house, "Two.")
    assert house.release(older).phase == "superseded"
    promote(house, newer)
    (onward,) = open_in(house, "support")
    promote(house, push(house, "Three."))
    (last,) = open_in(house, "support")
    assert last.id != onward.id
    assert house.release(onward.id).phase == "superseded"


def test_what_staging_serves_no_more_when_its_promotion_is_told_is_not_passed_on() -> None:
    house = chained()
    house.adopt()
    adopt(house.app, [], ref="main", actor="person:x", environment="staging")
    release = push(house, "One.")
    run(house, release)
    assert approve(house.app, release, who="mira", via="cli").phase == "promoted"
    serving = house.release(release)
    roll_back_prompt(house.app, "staging/support", actor="person:mira", reason="worse")
    pass_on(house.app, serving)  # whoever was about to read it as promoted
    assert open_in(house, "support") == []


def test_a_rollback_in_staging_stops_what_it_had_passed_on() -> None:
    house = chained()
    house.adopt()
    promote(house, push(house, "One."))
    release = push(house, "Two.")
    promote(house, release)
    (onward,) = open_in(house, "support")
    run(house, onward.id)
    roll_back_prompt(house.app, "staging/support", actor="person:mira", reason="worse")
    run(house, release)
    assert house.release(onward.id).phase == "cancelled"
    assert "rolled back in staging" in house.release(onward.id).reason
    route = house.routes.get("support")
    assert route is not None
    assert route.split is None


def test_promoting_by_hand_releases_what_is_stable_there() -> None:
    house = chained(dev=EnvironmentSettings(plan="quick"))
    house.adopt()
    release = open_release(
        house.app, prompt="support", ref=house.commit("New."), actor="person:x", environment="dev"
    )
    assert release.prompt == "dev/support"
    promote(house, release.release_id)
    opened = promote_between(house.app, "support", source="dev", target="production", actor="person:mira")
    assert opened is not None
    assert (opened.prompt, opened.created) == ("support", True)
    again = promote_between(house.app, "support", source="dev", target="production", actor="person:mira")
    assert again is not None
    assert (again.release_id, again.created) == (opened.release_id, False)


def test_promoting_says_no_to_what_makes_no_sense() -> None:
    house = chained()
    house.adopt()
    one = house.app
    with pytest.raises(NotFound, match="staging serves no prompt support"):
        promote_between(one, "support", source="staging", target="production", actor="person:mira")
    with pytest.raises(ConfigError, match="environments here: staging, production"):
        promote_between(one, "support", source="stagin", target="production", actor="person:mira")
    with pytest.raises(Refused, match="is where it is already"):
        promote_between(one, "support", source="staging", target="staging", actor="person:mira")
    adopt(one, ["support"], ref="main", actor="person:x", environment="staging")
    assert promote_between(one, "support", source="production", target="staging", actor="p") is None
    kill(one, "staging/support", actor="person:mira", reason="fire", to=str(serves(house, "staging/support")))
    with pytest.raises(Refused, match="kill switch"):
        promote_between(one, "support", source="staging", target="production", actor="person:mira")
    route = house.routes.get("support")
    assert route is not None
    assert route.killed is None


def test_only_the_environments_approvers_may_say_yes_there_and_any_may_say_no() -> None:
    house = chained(staging=EnvironmentSettings(branch="staging", plan="quick", approvers=("noor",)))
    house.adopt()
    release = push(house, "New.")
    run(house, release)
    with pytest.raises(Refused, match="mira may not approve in this environment"):
        approve(house.app, release, who="mira", via="cli")
    assert approve(house.app, release, who="noor", via="cli").phase in {"approved", "promoted"}
    other = push(house, "Newer.")
    run(house, other)
    assert reject(house.app, other, who="mira", via="cli").phase == "rolled_back"


def test_lists_and_the_status_go_by_environment() -> None:
    house = chained()
    house.adopt()
    release = push(house, "New.")
    promote(house, release)
    app = house.app
    everywhere = releases_in(app, "", prompt=None, phases=None, limit=10)
    assert {one.prompt for one in everywhere} == {"support", "staging/support"}
    assert [one.id for one in releases_in(app, "staging", prompt=None, phases=None, limit=10)] == [release]
    assert {one.prompt for one in releases_in(app, "", prompt="support", phases=None, limit=10)} == {
        "support"
    }
    with pytest.raises(ConfigError):
        releases_in(app, "nowhere", prompt=None, phases=None, limit=10)
    rows = {(one.prompt, one.environment): one for one in standings(app)}
    assert rows.keys() == {("support", "staging"), ("support", "production")}
    staging, production = rows["support", "staging"], rows["support", "production"]
    assert staging.route is not None
    assert staging.route.stable == house.release(release).version
    assert (staging.release, staging.since) == (None, house.clock.now())
    assert production.release is not None


def test_models_in_use_are_those_of_the_default_environment() -> None:
    house = chained()
    house.adopt()
    promote(house, push(house, "New."))
    assert [used.prompts for used in in_use(house.app)] == [(("support", str(serves(house, "support"))),)]


def test_every_branch_is_polled_with_a_place_of_its_own() -> None:
    house = chained(production=EnvironmentSettings(branch="main"))
    first = house.commit("One.")
    house.repository.branch("staging", first)
    assert pushes.poll(house.app) is None  # what is there was there
    second = house.commit("Two.")
    taken = pushes.poll(house.app)
    assert taken is not None
    assert [one.prompt for one in taken.opened] == ["support"]
    house.repository.branch("staging", second)
    taken = pushes.poll(house.app)
    assert taken is not None
    assert [one.prompt for one in taken.opened] == ["staging/support"]
    assert pushes.poll(house.app) is None
    assert pushes.seen(house.app, "staging") == second
