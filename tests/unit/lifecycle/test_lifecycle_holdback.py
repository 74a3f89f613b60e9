"""After a promotion some units keep the version before; what shows up slowly is undone."""

from __future__ import annotations

import pytest

from promptship.errors import Refused
from promptship.lifecycle import experiments, kill
from promptship.lifecycle.ending import roll_back_prompt
from promptship.lifecycle.experiment_arms import Asked
from promptship.release.phase import Phase
from promptship.release.plan import Canary
from promptship.routing.split import takes_candidate
from tests.support.arms_traffic import serve, version_of
from tests.support.house import STAGES, House

OLD, NEW = "Say hello.", "Say hello twice."
PLAN = STAGES.replace('lease = "30s"', 'lease = "30s"\nholdback = 0.3\nholdback_for = "2h"')
FINE = {version_of(OLD): 0.1, version_of(NEW): 0.02}


def promoted(plan: str = PLAN) -> tuple[House, str]:
    house = House(plan=plan)
    house.adopt()
    release = house.push(NEW)
    house.run_flow(release)
    for _ in range(40):
        if house.release(release).phase is Phase.AWAITING_APPROVAL:
            break
        serve(house, 200, FINE)
        house.look()
    house.promote(release)
    return house, release


def ended(house: House, release: str) -> str:
    (last,) = house.journal.entries(f"holdback:{release}", limit=1)
    assert last.kind == "ended"
    return str(last.data["reason"])


def test_the_version_before_keeps_its_share_and_nobody_goes_back() -> None:
    house, release = promoted()
    route = house.routes.get("support")
    assert route is not None
    split = route.split
    assert split is not None
    assert (route.stable, split.held, split.candidate) == (version_of(NEW), version_of(OLD), version_of(NEW))
    assert (split.share, split.stage, split.salt) == (0.7, 2, house.release(release).salt)
    held = {f"user-{n}" for n in range(2000) if not takes_candidate(split.salt, f"user-{n}", split.share)}
    had = {f"user-{n}" for n in range(2000) if takes_candidate(split.salt, f"user-{n}", 0.5)}
    assert abs(len(held) / 2000 - 0.3) < 0.07
    assert not held & had
    assert house.release(release).phase is Phase.PROMOTED


def test_a_version_that_turns_bad_is_rolled_back_by_itself() -> None:
    house, release = promoted()
    waiting = house.push("Say hello thrice.")
    for _ in range(12):
        serve(house, 150, {version_of(OLD): 0.1, version_of(NEW): 0.5})
        house.look()
        if house.release(release).phase is Phase.ROLLED_BACK:
            break
    found = house.release(release)
    assert found.phase is Phase.ROLLED_BACK
    assert found.reason.startswith("against the holdback: feedback:escalated")
    route = house.routes.get("support")
    assert route is not None
    assert (route.stable, route.split) == (version_of(OLD), None)
    assert house.routes.history("support")[0].actor == "watcher"
    assert house.release(waiting).phase is Phase.CANCELLED
    house.look()
    assert "rolled back" in ended(house, release)
    assert house.ledger.verify().problems == ()


def test_a_good_version_is_left_alone_until_the_time_is_over() -> None:
    house, release = promoted()
    for _ in range(5):
        serve(house, 60, FINE)
        house.look()
    looks = house.journal.entries(f"holdback:{release}", kind="looked")
    assert 1 <= len(looks) <= 5
    assert looks[-1].data["counts"]["requests"]["stable"]["requests"] > 0
    house.clock.advance(2 * 3600)
    house.look()
    route = house.routes.get("support")
    assert route is not None
    assert (route.stable, route.split) == (version_of(NEW), None)
    assert ended(house, release) == "its time is over (2 h)"
    assert house.release(release).phase is Phase.PROMOTED


def test_without_a_watcher_everybody_gets_what_was_promoted() -> None:
    house, _ = promoted()
    house.clock.advance(31)
    assert serve(house, 10, FINE, seconds=0.1) == {"lapsed": 10}
    route = house.routes.get("support")
    assert route is not None
    assert route.stable == version_of(NEW)


@pytest.mark.parametrize("how", ["newer", "rollback", "kill", "person"])
def test_what_ends_it(how: str) -> None:
    house, release = promoted()
    serve(house, 60, FINE)
    house.look()
    with pytest.raises(Refused, match=f"release {release} of support holds the version before back"):
        experiments.start(
            house.app,
            "support",
            Asked(("a=stable", "b=stable")),
            share=1.0,
            lasts_s=None,
            metrics=(),
            actor="x",
        )
    if how == "newer":
        newer = house.push("Say hello thrice.")
        assert house.run_flow(newer) == "canary"
    elif how == "rollback":
        assert roll_back_prompt(house.app, "support", actor="person:mira", reason="worse") == release
    elif how == "kill":
        kill.kill(house.app, "support", actor="person:mira", reason="fire", to=version_of(OLD))
        kill.undo(house.app, "support", actor="person:mira", reason="mended")
    else:
        assert experiments.stop(house.app, "support", actor="person:mira", reason="seen enough") == release
    route = house.routes.get("support")
    assert route is not None
    assert route.stable == version_of(OLD if how == "rollback" else NEW)
    assert (route.split is not None) == (how == "newer")
    if route.split is not None:
        assert route.split.is_canary
    house.look()
    assert ended(house, release).startswith("something else has the traffic")


def test_there_is_none_unless_the_plan_says_so() -> None:
    house, _ = promoted(STAGES)
    route = house.routes.get("support")
    assert route is not None
    assert (route.stable, route.split) == (version_of(NEW), None)


@pytest.mark.parametrize(("holdback", "fits"), [(0.5, True), (0.0, True), (0.51, False), (-0.1, False)])
def test_a_holdback_is_at_most_half(holdback: float, *, fits: bool) -> None:
    if fits:
        assert Canary(holdback=holdback).holdback == holdback
    else:
        with pytest.raises(ValueError, match="holdback"):
            Canary(holdback=holdback)


def test_no_stage_may_reach_into_it() -> None:
    house = House(plan=PLAN.replace("share = 0.5", "share = 0.9"))
    house.adopt()
    release = house.push(NEW)
    assert house.run_flow(release) == "rejected"
    assert (
        "holdback = 0.3 leaves a share of 0.7 to the stages, and one has 0.9" in house.release(release).reason
    )
    with pytest.raises(Refused, match=r"plan of support .* cannot be read: .*holdback = 0\.3"):
        experiments.start(
            house.app,
            "support",
            Asked(("a=stable", "b=stable")),
            share=1.0,
            lasts_s=None,
            metrics=(),
            actor="x",
        )
