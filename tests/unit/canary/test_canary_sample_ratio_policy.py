"""The sample ratio where a policy keeps units out and stages grow: it alarms on lost units, not on who takes part."""

import math

import pytest

from promptship.canary import sample_ratio
from promptship.canary.evidence import ArmCounts, Counts
from promptship.release.policy import Experiment
from promptship.routing.choice import Choice, choose
from promptship.routing.table import Route, Split

UNITS = 8_000
POLICY = Experiment(exclude={"minor": (True,)}, segments={"plan": ("pro",)}, consent="required")


def attributes(number: int) -> dict[str, object]:
    """A third says nothing of its age, some are minors, half are on the plan, some consent only now and then."""
    return {
        "minor": (None, True, False, False, False)[number % 5],
        "plan": "pro" if number % 2 else "free",
        "consent": number % 7 != 0,
    }


def assigned(split: Split, *, lost: float = 0.0) -> ArmCounts:
    """Different units that were counted in a stage; a part of the candidate's is lost."""
    route = Route(prompt="support", revision=1, stable="s" * 64, split=split)
    arms: dict[str, set[str]] = {"candidate": set(), "stable": set()}
    for number in range(UNITS):
        choice = choose(
            route, prompt="support", pin="", unit=f"unit-{number}", leased=True, attributes=attributes(number)
        )
        assert isinstance(choice, Choice)
        if choice.stage is not None and not (choice.arm == "candidate" and number % 100 < 100 * lost):
            arms[choice.arm].add(choice.unit or "")
    return ArmCounts(**{arm: Counts(requests=len(units)) for arm, units in arms.items()})


@pytest.mark.parametrize(("stage", "share"), [*enumerate((0.01, 0.05, 0.25, 0.5))])
def test_a_policy_thins_both_arms_alike_in_every_stage(stage: int, share: float) -> None:
    split = Split(release_id="r-1", candidate="c" * 64, stage=stage, share=share, salt="a", lease_s=60.0, policy=POLICY)  # fmt: skip
    found = assigned(split)
    whole = found.candidate.requests + found.stable.requests
    assert 0.2 * UNITS < whole < 0.5 * UNITS
    assert sample_ratio.log_e(found, share) < math.log(10)


def test_units_that_one_arm_loses_alarm_under_a_policy_too() -> None:
    split = Split(release_id="r-1", candidate="c" * 64, stage=3, share=0.5, salt="a", lease_s=60.0, policy=POLICY)  # fmt: skip
    assert sample_ratio.log_e(assigned(split, lost=0.4), 0.5) > math.log(1 / sample_ratio.ALPHA)
