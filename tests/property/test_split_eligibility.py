"""Who takes part: exactly whom the policy lets, decided without knowing the arm, the same for both."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship.release.policy import Experiment
from promptship.routing.choice import Choice, choose
from promptship.routing.eligibility import Decision, eligible
from promptship.routing.split import takes_candidate
from promptship.routing.table import Route, Split

STABLE, CANDIDATE = "a" * 64, "b" * 64
names = st.sampled_from(["minor", "region"])
values: st.SearchStrategy[Any] = st.sampled_from([True, 1, "br", "BR", "true"])
rules = st.dictionaries(names, st.lists(values, min_size=1, max_size=3).map(tuple), max_size=2)
policies = st.builds(
    Experiment,
    allowed=st.sampled_from([True, True, True, False]),
    exclude=rules,
    exclude_unknown=st.booleans(),
    segments=rules,
    consent=st.sampled_from(["required", "not_required"]),
)
attributes = st.dictionaries(names | st.just("consent"), values | st.none(), max_size=4)


def same_kind(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return isinstance(one, bool) and isinstance(other, bool)
    return isinstance(one, str) == isinstance(other, str)


def equal(one: Any, other: Any) -> bool:
    return same_kind(one, other) and str(one).lower() == str(other).lower()


def lets(policy: Experiment, said: dict[str, Any]) -> bool:
    """The policy read aloud, written differently from the product's code."""
    if not policy.allowed or (policy.consent == "required" and said.get("consent") is not True):
        return False
    for name, excluded in policy.exclude.items():
        value = said.get(name)
        known = value is not None and any(same_kind(value, one) for one in excluded)
        if (not known and policy.exclude_unknown) or (known and any(equal(value, one) for one in excluded)):
            return False
    return all(
        said.get(name) is not None and any(equal(said[name], one) for one in wanted)
        for name, wanted in policy.segments.items()
    )


@given(policies, attributes)
def test_exactly_whom_the_policy_lets(policy: Experiment, said: dict[str, Any]) -> None:
    assert (eligible(policy, said) is Decision.IN) == lets(policy, said)


@given(policies | st.none(), attributes, st.text(max_size=5), st.floats(0, 1), st.booleans())
def test_the_split_sees_exactly_the_eligible_and_keeps_their_arm(
    policy: Experiment | None, said: dict[str, Any], unit: str, share: float, leased: bool
) -> None:
    split = Split(
        release_id="r-1", candidate=CANDIDATE, stage=0, share=share, salt="s", lease_s=9, policy=policy
    )
    route = Route(prompt="p", revision=1, stable=STABLE, split=split)
    choice = choose(route, prompt="p", pin="", unit=unit, leased=leased, attributes=said)
    assert isinstance(choice, Choice)
    inside = leased and unit != "" and (policy is None or lets(policy, said))
    # Outside, neither arm has the unit: no release, no stage, no hash of it. Inside, the policy does not move it.
    assert (choice.release, choice.stage) == (("r-1", 0) if inside else (None, None))
    assert (choice.unit is not None) == (choice.decision is Decision.IN) == inside
    assert (choice.arm == "candidate") == (inside and takes_candidate("s", unit, share))
    if not inside:
        assert (choice.version, choice.arm, choice.disclosure) == (STABLE, "stable", "")


@given(policies, attributes, st.booleans())
def test_the_decision_does_not_know_the_arm(policy: Experiment, said: dict[str, Any], first: bool) -> None:
    """The same request under every salt: in the experiment under all or none, so both arms are thinned alike."""
    seen = set()
    for salt in ("s1", "s2", "s3"):
        split = Split(
            release_id="r",
            candidate=CANDIDATE,
            stage=0,
            share=1.0 * first,
            salt=salt,
            lease_s=9,
            policy=policy,
        )
        route = Route(prompt="p", revision=1, stable=STABLE, split=split)
        choice = choose(route, prompt="p", pin="", unit="u", leased=True, attributes=said)
        assert isinstance(choice, Choice)
        seen.add(choice.decision)
    assert len(seen) == 1


RULES = Experiment(
    exclude={"minor": (True,)}, segments={"plan": ("pro",)}, consent="required", disclosure="Hello"
)
FINE: dict[str, Any] = {"minor": False, "plan": "Pro", "consent": True}


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize(
    ("change", "decision"),
    [
        ({}, Decision.IN),
        ({"minor": True}, Decision.EXCLUDED),
        ({"minor": None}, Decision.UNKNOWN),
        ({"consent": False}, Decision.NO_CONSENT),
        ({"plan": "free"}, Decision.OUTSIDE),
        ({"plan": None}, Decision.OUTSIDE),
    ],
)
def test_a_unit_of_either_arm_is_outside_for_the_same_reasons(
    change: dict[str, Any], decision: Decision, inside: bool
) -> None:
    unit = next(f"u{n}" for n in range(100) if takes_candidate("s", f"u{n}", 0.5) == inside)
    split = Split(release_id="r-1", candidate=CANDIDATE, stage=0, share=0.5, salt="s", policy=RULES)
    route = Route(prompt="p", revision=1, stable=STABLE, split=split)
    choice = choose(route, prompt="p", pin="", unit=unit, leased=True, attributes=FINE | change)
    assert isinstance(choice, Choice)
    assert choice.decision is decision
    taking_part = decision is Decision.IN
    assert (choice.release is None) == (choice.unit is None) == (choice.other is None) == (not taking_part)
    assert choice.arm == ("candidate" if taking_part and inside else "stable")
    assert choice.disclosure == ("Hello" if taking_part else "")


def test_what_is_not_known_is_not_a_no() -> None:
    policy = Experiment(exclude={"minor": (True,)})
    assert eligible(policy, {}) is Decision.UNKNOWN
    assert eligible(policy, {"minor": "true"}) is Decision.UNKNOWN
    assert eligible(policy, {"minor": 1}) is Decision.UNKNOWN
    assert eligible(policy, {"minor": True}) is Decision.EXCLUDED
    assert eligible(policy, {"minor": False}) is Decision.IN
    lax = Experiment(exclude={"minor": (True,)}, exclude_unknown=False)
    assert eligible(lax, {}) is Decision.IN
    assert eligible(Experiment(consent="required"), {"consent": "true"}) is Decision.NO_CONSENT
