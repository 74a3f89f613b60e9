"""Experiments with several arms, from their start to their end, with the product's own split, watcher and journal."""

from __future__ import annotations

from typing import Any

import pytest

from promptship.errors import ConfigError, NotFound, Refused
from promptship.lifecycle import experiments, kill
from promptship.lifecycle.ending import roll_back_prompt
from promptship.lifecycle.experiment_arms import Asked
from promptship.lifecycle.experiment_record import ArmsExperiment, Status, find, listed, read
from promptship.lifecycle.opening import open_release
from promptship.release.phase import Phase
from promptship.routing.table import Split
from tests.support.arms_traffic import serve, version_of
from tests.support.house import PATH, PROMPT, STAGES, House

SHORT, WARM = "Say hello shortly.", "Say hello warmly."
BAD = {version_of("Say hello."): 0.1, version_of(SHORT): 0.1, version_of(WARM): 0.4}


def prepared(plan: str = STAGES) -> tuple[House, str, str]:
    house = House(plan=plan)
    house.adopt()
    return house, house.commit(SHORT), house.commit(WARM)


def start(house: House, *arms: str, control: str = "", **more: Any) -> ArmsExperiment:
    words: dict[str, Any] = {"share": 1.0, "lasts_s": None, "metrics": (), "actor": "person:mira"}
    return experiments.start(house.app, "support", Asked(arms, control), **(words | more))


def split(house: House) -> Split | None:
    route = house.routes.get("support")
    assert route is not None
    return route.split


def until_over(house: House, turns: int, bad: dict[str, float], *, requests: int = 120) -> None:
    for _ in range(turns):
        serve(house, requests, bad)
        house.look()


def test_three_arms_are_served_by_weight_and_the_bad_one_is_dropped() -> None:
    house, short, warm = prepared()
    begun = start(house, f"short={short}", f"warm={warm}:2")
    assert begun.status is Status.RUNNING
    assert [arm.name for arm in begun.arms] == ["control", "short", "warm"]
    assert begun.control.version == version_of("Say hello.")
    served = serve(house, 400, BAD)
    assert set(served) == {"control", "short", "warm"}
    assert abs(served["warm"] / 400 - 0.5) < 0.15  # six standard errors
    until_over(house, 10, BAD)

    found = read(house.app, begun.id)
    assert set(found.dropped) == {"warm"}
    assert "feedback:escalated" in found.dropped["warm"]
    assert found.status is Status.RUNNING
    after = serve(house, 200, BAD)
    assert after["warm"] == 0
    assert after["dropped"] > 50  # served by the control's version, counted nowhere
    records = house.routes.history("support")
    assert (
        records[0].reason
        == f"experiment {begun.id}: control 25%, short 25%, warm 50% dropped of 100% of the units"
    )
    assert records[0].actor == "watcher"


def test_arms_that_are_all_worse_end_it_and_everybody_gets_stable() -> None:
    house, short, warm = prepared()
    begun = start(house, f"short={short}", f"warm={warm}")
    until_over(house, 12, {**BAD, version_of(SHORT): 0.5})
    found = read(house.app, begun.id)
    assert (found.status, found.reason) == (Status.STOPPED, "every arm was worse than the control")
    assert split(house) is None
    assert serve(house, 10, BAD) == {"stable": 10}


def test_good_arms_stay_until_the_time_is_over() -> None:
    house, short, warm = prepared()
    begun = start(house, f"short={short}", f"warm={warm}", lasts_s=300.0)
    until_over(house, 10, dict.fromkeys(BAD, 0.1), requests=30)
    assert read(house.app, begun.id).dropped == {}
    until_over(house, 6, dict.fromkeys(BAD, 0.1), requests=30)
    found = read(house.app, begun.id)
    assert (found.status, found.reason) == (Status.STOPPED, "its time is over (5 min)")
    assert split(house) is None


def test_the_watcher_keeps_it_alive_and_without_one_stable_serves() -> None:
    house, short, _ = prepared()
    start(house, f"short={short}")
    for _ in range(5):
        house.clock.advance(20)
        house.look()
    served = serve(house, 20, BAD, seconds=1)
    assert set(served) == {"control", "short"}
    house.clock.advance(31)
    assert serve(house, 10, BAD, seconds=0.1) == {"lapsed": 10}


def test_a_canary_and_an_experiment_exclude_each_other() -> None:
    house, short, _ = prepared()
    release = house.push("Say hello twice.")
    assert house.run_flow(release) == "canary"
    with pytest.raises(Refused, match=rf"release {release} of support is in its canary.*exclude each other"):
        start(house, f"short={short}")
    roll_back_prompt(house.app, "support", actor="person:mira", reason="enough")

    begun = start(house, f"short={short}")
    with pytest.raises(Refused, match=f"experiment {begun.id} of support is running already"):
        start(house, f"short={short}")
    newer = house.push("Say hello thrice.")
    assert house.run_flow(newer) == "evaluated"
    assert f"waits for experiment {begun.id}" in house.release(newer).reason
    assert split(house) is not None
    assert experiments.stop(house.app, "support", actor="person:mira", reason="seen enough") == begun.id
    assert house.run_flow(newer) == "canary"


def test_a_larger_share_only_adds_and_a_smaller_one_is_refused() -> None:
    house, short, _ = prepared()
    begun = start(house, f"short={short}", share=0.2)
    before = serve(house, 200, BAD)
    assert abs(before["not_drawn"] / 200 - 0.8) < 0.17  # six standard errors
    experiments.grow(house.app, begun.id, 0.6, actor="person:mira")
    running = split(house)
    assert running is not None
    assert (running.share, running.salt) == (0.6, begun.id)
    for wrong in (0.6, 0.5):
        with pytest.raises(Refused, match="would take the arm"):
            experiments.grow(house.app, begun.id, wrong, actor="person:mira")


@pytest.mark.parametrize(
    ("arms", "control", "metrics", "said"),
    [
        ((), "", (), "at least one arm"),
        (("short",), "", (), "NAME=VERSION"),
        (("short=stable:0",), "", (), "a weight above 0"),
        (("short=stable:x",), "", (), "a weight above 0"),
        (("Short=stable",), "", (), "a lower-case name"),
        (("a=stable", "a=stable"), "", (), "each name once"),
        (("a=stable",), "b", (), "expected the name of an arm: a"),
        (("a=stable",), "", (), "an arm to compare with it"),
        (("a=stable", "b=stable"), "", ("nonsense",), "a metric such as"),
        (("b", "=stable"), "c", ("nonsense",), "nonsense"),
    ],
)
def test_what_cannot_be_is_said_at_once(
    arms: tuple[str, ...], control: str, metrics: tuple[str, ...], said: str
) -> None:
    house = House()
    house.adopt()
    with pytest.raises(ConfigError, match=said):
        start(house, *arms, control=control, metrics=metrics)
    assert listed(house.app) == []
    assert split(house) is None


def test_versions_must_be_the_prompts_and_must_have_passed_what_they_went_through() -> None:
    house, short, _ = prepared()
    with pytest.raises(NotFound, match="no version of support"):
        start(house, "a=ffffffffffff")
    rejected = house.push("Say nothing.")
    house.run_flow(rejected, passes=False)
    assert house.release(rejected).phase is Phase.REJECTED
    for named in (house.release(rejected).commit, version_of("Say nothing.")):
        with pytest.raises(Refused, match=f"was rejected \\({rejected}\\)"):
            start(house, f"a={named}")
    broken = house.commit(
        "ok", **{PATH: PROMPT.format(text="{{missing}} {{").replace("model: sim-1", "model: 3")}
    )
    with pytest.raises((Refused, NotFound)):
        start(house, f"a={broken}")
    other = house.commit(SHORT, **{PATH: PROMPT.format(text='"Hi {{ name }}"') + "variables: {name: {}}\n"})
    with pytest.raises(Refused, match="takes other variables than the stable version"):
        start(house, f"a={other}")
    assert split(house) is None
    assert start(house, f"a={short}", "b=stable", control="a").control.name == "a"


def test_the_control_may_be_another_version_than_stable() -> None:
    house, short, warm = prepared()
    begun = start(house, f"short={short}", f"warm={warm}", "now=stable", control="short")
    assert [arm.name for arm in begun.arms] == ["short", "warm", "now"]
    until_over(house, 8, BAD)
    assert set(read(house.app, begun.id).dropped) == {"warm"}


def test_the_plan_may_allow_none() -> None:
    house, short, _ = prepared(STAGES + "[plans.default.experiment]\nallowed = false\n")
    with pytest.raises(Refused, match="allows no experiment"):
        start(house, f"short={short}")


def test_the_policy_of_the_plan_goes_with_the_route() -> None:
    house, short, _ = prepared(STAGES + '[plans.default.experiment]\nconsent = "required"\n')
    start(house, f"short={short}")
    assert serve(house, 10, BAD) == {"no_consent": 10}


def risky() -> tuple[House, str]:
    house = House()
    house.commit()
    risk = PROMPT.format(text="Say hello.") + "risk: high\n"
    house.commit("Say hello.", **{PATH: risk})
    experiments_commit = house.repository.resolve("main").id
    from promptship.lifecycle.adopting import adopt

    adopt(house.app, [], ref=experiments_commit, actor="person:test")
    return house, house.commit(SHORT)


def test_a_high_risk_needs_two_people_before_any_traffic() -> None:
    house, short = risky()
    waiting = start(house, f"short={short}")
    assert (waiting.status, waiting.risk, waiting.required) == (Status.WAITING, "high", 2)
    assert split(house) is None
    with pytest.raises(Refused, match="not a configured approver"):
        experiments.approve(house.app, waiting.id, who="eve", via="cli")
    assert experiments.approve(house.app, waiting.id, who="mira", via="cli").status is Status.WAITING
    with pytest.raises(Refused, match="approved it already"):
        experiments.approve(house.app, waiting.id, who="mira", via="cli")
    with pytest.raises(Refused, match="is waiting already"):
        start(house, f"short={short}")
    begun = experiments.approve(house.app, waiting.id, who="noor", via="cli")
    assert (begun.status, begun.approvers) == (Status.RUNNING, ("mira", "noor"))
    assert split(house) is not None
    kinds = [entry.kind for entry in house.journal.entries(f"experiment:{begun.id}")]
    assert kinds == ["opened", "approval_refused", "approved", "approval_refused", "approved", "began"]
    with pytest.raises(Refused, match="nothing to decide"):
        experiments.approve(house.app, waiting.id, who="mira", via="cli")


def test_nobody_agrees_and_it_is_over() -> None:
    house, short = risky()
    waiting = start(house, f"short={short}")
    house.clock.advance(25 * 3600)
    house.look()
    found = read(house.app, waiting.id)
    assert (found.status, found.reason) == (Status.STOPPED, "nobody agreed in time")


def test_the_kill_switch_and_a_rollback_end_it() -> None:
    for ending in ("kill", "rollback"):
        house, short, _ = prepared()
        begun = start(house, f"short={short}")
        if ending == "kill":
            switched = kill.kill(
                house.app, "support", actor="person:mira", reason="fire", to=version_of("Say hello.")
            )
            assert switched.ended == (begun.id,)
            assert serve(house, 5, BAD) == {"killed": 5}
            with pytest.raises(Refused, match="kill switch of support is on"):
                start(house, f"short={short}")
            kill.undo(house.app, "support", actor="person:mira", reason="mended")
        else:
            assert roll_back_prompt(house.app, "support", actor="person:mira", reason="fire") == begun.id
        house.look()
        assert read(house.app, begun.id).status is Status.STOPPED
        assert "fire" in read(house.app, begun.id).reason
        assert split(house) is None
        assert serve(house, 5, BAD) == {"stable": 5}


def test_a_route_without_a_journal_and_a_journal_without_a_route_are_mended() -> None:
    house, short, _ = prepared()
    begun = start(house, f"short={short}")
    # Somebody died between the route and the journal: the watcher writes the end down.
    route = house.routes.get("support")
    assert route is not None
    from promptship.lifecycle.groups import without_split

    house.routes.randomise(without_split(route), actor="person:mira", at=house.clock.now(), reason="by hand")
    house.look()
    found = read(house.app, begun.id)
    assert (found.status, found.reason) == (Status.STOPPED, "its arms no longer serve: by hand")
    with pytest.raises(Refused, match="stopped already"):
        experiments.stop(house.app, begun.id, actor="person:mira", reason="again")


def test_what_won_goes_through_a_release() -> None:
    house, short, _ = prepared()
    begun = start(house, f"short={short}")
    for wrong, said in (("warm", "has no arm warm"), ("control", "stable version already")):
        with pytest.raises((NotFound, Refused), match=said):
            experiments.promote(house.app, begun.id, wrong, actor="person:mira")
    opened = experiments.promote(house.app, "support", "short", actor="person:mira")
    assert split(house) is None
    assert read(house.app, begun.id).reason.startswith(f"arm short is being released as {opened.release_id}")
    assert house.release(opened.release_id).version is None  # nothing is taken for granted
    assert house.run_flow(opened.release_id) == "canary"
    assert house.release(opened.release_id).version == version_of(SHORT)


def test_looks_come_with_requests_and_say_what_they_counted() -> None:
    house, short, warm = prepared()
    begun = start(house, f"short={short}", f"warm={warm}", metrics=("refusal_rate",))
    serve(house, 10, BAD)
    house.look()
    assert read(house.app, begun.id).looks == ()
    serve(house, 40, BAD)
    house.look()
    house.look()
    (look,) = read(house.app, begun.id).looks
    assert look["requests"] == 50
    assert set(look["counts"]) == {"control", "short", "warm"}
    assert find(house.app, "support").id == find(house.app, begun.id[:6]).id == begun.id
    assert [one.id for one in listed(house.app)] == [begun.id]
    with pytest.raises(NotFound):
        find(house.app, "nothing")
    assert house.ledger.verify().problems == ()
    assert open_release(house.app, prompt="support", ref=short, actor="person:mira").created
