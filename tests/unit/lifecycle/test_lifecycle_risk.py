"""A high risk waits for two people before its first request; where no experiment is allowed, people decide without one."""

import pytest

from promptship.errors import Refused
from promptship.lifecycle import steps
from promptship.lifecycle.approval import approve, reject
from promptship.release.events import ApprovalRequested
from promptship.release.phase import Phase
from promptship.settings import Settings
from tests.support.house import MIRA, PATH, STAGES, House, settings

HIGH = """
name: support
owner: team@example.org
risk: high
model: sim-1
messages:
  - role: system
    content: {text}
"""


def high(house: House, text: str) -> str:
    return house.push(text, **{PATH: HIGH.format(text=text)})


def has_traffic(house: House) -> bool:
    route = house.routes.get("support")
    return route is not None and route.split is not None


def test_no_traffic_before_two_different_people_have_agreed() -> None:
    house = House()
    house.adopt()
    release = high(house, "Say hello twice.")
    assert house.run_flow(release) == "awaiting_approval"
    assert house.release(release).question == "traffic"
    for _ in range(3):
        house.traffic(20, bad=0.0)
        house.look()
        assert not has_traffic(house)
    approve(house.app, release, who="mira", via="cli")
    assert house.run_flow(release) == "awaiting_approval"
    with pytest.raises(Refused, match="already"):
        approve(house.app, release, who="mira", via="slack")
    assert not has_traffic(house)
    approve(house.app, release, who="noor", via="cli")
    assert house.release(release).phase is Phase.CANARY
    assert has_traffic(house)
    assert house.run_flow(release) == "canary"
    assert "promoted" not in house.kinds(release)


def test_the_yes_to_traffic_is_no_yes_to_promotion() -> None:
    house = House()
    house.adopt()
    house.traffic(300, bad=0.1, seconds=300)
    house.look()
    release = high(house, "Say hello twice.")
    house.run_flow(release)
    for who in ("mira", "noor"):
        approve(house.app, release, who=who, via="cli")
    assert steps.promote(house.app, release) is steps.Standing.PARKED  # whatever order steps are taken in
    house.run_flow(release)
    asked = house.until(release, "awaiting_approval", bad=0.02)
    assert (asked.question, asked.approvers, asked.is_delivered) == ("promote", (), False)
    assert house.run_flow(release) == "awaiting_approval"
    assert [card.ask for card in house.approvals.cards.values()] == [False, True]
    assert len(house.release(release).asked) == 2
    approve(house.app, release, who="mira", via="cli")
    assert house.run_flow(release) == "promoted"
    assert house.ledger.verify().problems == ()


def test_a_no_and_silence_end_it_without_traffic() -> None:
    for ending in ("no", "silence"):
        house = House()
        house.adopt()
        release = high(house, "Say hello twice.")
        house.run_flow(release)
        if ending == "no":
            reject(house.app, release, who="noor", via="cli")
        else:
            house.clock.advance(24 * 3600 + 1)
            house.look()
        assert house.release(release).phase is Phase.ROLLED_BACK
        assert "stage_started" not in house.kinds(release)


def test_a_push_does_not_lower_the_class_it_is_judged_by() -> None:
    house = House()
    house.repository.commit(
        {PATH: HIGH.format(text="Say hello.").encode(), "promptship.toml": STAGES.encode()},
        author="dev@example.org",
    )
    from promptship.lifecycle.adopting import adopt

    adopt(house.app, [], ref="main", actor="person:test")
    release = house.push("Say hello twice.")  # the file says nothing of risk any more
    assert house.run_flow(release) == "awaiting_approval"
    assert (house.release(release).risk, house.release(release).required) == ("high", 2)


@pytest.mark.parametrize("risk", ["low", "medium"])
def test_exactly_a_high_risk_is_asked_about(risk: str) -> None:
    house = House()
    house.adopt()
    text = HIGH.replace("risk: high", f"risk: {risk}").format(text="Say hello twice.")
    assert house.run_flow(house.push("x", **{PATH: text})) == "canary"


def test_one_approver_is_too_few_and_lint_says_so() -> None:
    house = House()
    house.adopt()
    few: Settings = settings().model_copy(update={"approvers": (MIRA,)})
    object.__setattr__(house.app, "settings", few)
    release = high(house, "Say hello twice.")
    assert house.run_flow(release) == "rejected"
    assert (
        "2 approvals are required for the first traffic of a high risk, 1 configured"
        in house.release(release).reason
    )


def test_without_an_experiment_people_decide_and_nobody_is_randomised() -> None:
    house = House(
        plan=STAGES.replace(
            "[plans.default.canary]", "experiment = {allowed = false}\n[plans.default.canary]"
        )
    )
    house.adopt()
    release = house.push("Say hello twice.")
    assert house.run_flow(release) == "awaiting_approval"
    assert house.release(release).question == "unproven"
    assert not has_traffic(house)
    approve(house.app, release, who="mira", via="cli")
    assert house.run_flow(release) == "promoted"
    asked = [
        event.fact for event in house.ledger.events(release) if isinstance(event.fact, ApprovalRequested)
    ]
    assert [one.required for one in asked] == [1]
    assert "stage_started" not in house.kinds(release)


def test_the_policy_stands_in_the_release_and_travels_with_the_split() -> None:
    rules = 'experiment = {exclude = {minor = true}, consent = "required"}\n[plans.default.canary]'
    house = House(plan=STAGES.replace("[plans.default.canary]", rules))
    house.adopt()
    release = house.push("Say hello twice.")
    house.run_flow(release)
    plan = house.release(release).plan
    split = house.routes.table().routes["support"].split
    assert plan is not None
    assert split is not None
    assert split.policy == plan.experiment
    assert plan.experiment.exclude == {"minor": (True,)}
