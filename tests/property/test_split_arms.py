"""Several arms and the holdback: who gets which version, for any units, weights and shares."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.routing.choice import Choice, arm_of, choose
from promptship.routing.eligibility import Decision
from promptship.routing.split import BUCKETS, bucket, limits, part_place, place, takes_candidate
from promptship.routing.table import Part, Route, RoutingTable, Split, Version, digests

GOLDEN = Path(__file__).parents[1] / "golden" / "split_arms.json"
VERSIONS = [letter * 64 for letter in "abcdef"]
STABLE = "0" * 64
few = settings(max_examples=40)
texts = st.text(max_size=20)
shares = st.floats(0, 1)
weights = st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=6)


def parts(given_: list[float], dropped: frozenset[int] = frozenset()) -> tuple[Part, ...]:
    ends = limits(given_)
    return tuple(
        Part(name=f"arm-{at}", version=VERSIONS[at], upto=end, dropped=at in dropped)
        for at, end in enumerate(ends)
    )


def route(arms: tuple[Part, ...], share: float, salt: str = "x-1") -> Route:
    split = Split(release_id="x-1", candidate="", stage=0, share=share, salt=salt, lease_s=9, arms=arms)
    return Route(prompt="p", revision=1, stable=STABLE, split=split)


def chosen(of: Route, unit: str, *, leased: bool = True, pin: str = "") -> Choice:
    choice = choose(of, prompt="p", pin=pin, unit=unit, leased=leased)
    assert isinstance(choice, Choice)
    return choice


@few
@given(weights, shares, shares, texts, texts.filter(bool))
def test_a_larger_share_only_adds_units_and_moves_none_between_arms(
    given_: list[float], one: float, other: float, salt: str, unit: str
) -> None:
    low, high = sorted((one, other))
    arms = parts(given_)
    before, after = (chosen(route(arms, share, salt), unit) for share in (low, high))
    if before.decision is Decision.IN:
        assert after == before
    else:
        assert (before.version, before.variant, before.release) == (STABLE, "", None)


@few
@given(weights, shares, texts, texts.filter(bool), st.booleans())
def test_a_unit_has_an_arm_exactly_when_its_bucket_is_below_the_share(
    given_: list[float], share: float, salt: str, unit: str, leased: bool
) -> None:
    arms = parts(given_)
    choice = chosen(route(arms, share, salt), unit, leased=leased)
    inside = leased and bucket(salt, unit) < round(share * BUCKETS)
    number, part = arm_of(arms, place(salt, unit))
    assert (choice.decision is Decision.IN) == inside
    assert (choice.variant == part.name) == (choice.version == part.version) == inside
    assert (choice.release, choice.stage) == (("x-1", number) if inside else (None, None))
    assert (choice.arm == "candidate") == (inside and number > 0)
    assert (choice.unit is not None) == inside
    if inside:
        assert choice.other == (arms[1].version if number == 0 else arms[0].version)


@few
@given(weights, texts)
def test_the_arm_is_the_one_in_whose_part_the_unit_lies(given_: list[float], unit: str) -> None:
    arms = parts(given_)
    at = part_place(place("s", unit))
    assert 0 <= at < BUCKETS
    number, part = arm_of(arms, place("s", unit))
    assert (arms[number - 1].upto if number else 0) <= at < part.upto


@few
@given(weights)
def test_parts_are_the_weights_to_a_ten_thousandth(given_: list[float]) -> None:
    ends = [0, *limits(given_)]
    sizes = [b - a for a, b in pairwise(ends)]
    assert ends[-1] == BUCKETS
    assert min(sizes) >= 1
    wanted = [weight / sum(given_) * BUCKETS for weight in given_]
    # One too many or too few by rounding; the largest gives to those that would have nothing.
    assert all(abs(size - want) <= 1 + len(given_) for size, want in zip(sizes, wanted, strict=True))


@few
@given(weights, st.floats(1e-3, 1e3))
def test_only_the_ratio_of_weights_counts(given_: list[float], factor: float) -> None:
    scaled = limits([weight * factor for weight in given_])
    assert all(abs(a - b) <= len(given_) for a, b in zip(limits(given_), scaled, strict=True))


@pytest.mark.parametrize("wrong", [[], [0.0, 1.0], [-1.0, 2.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_weights_that_are_none_are_refused(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="weights above 0"):
        limits(wrong)


@few
@given(weights, st.integers(1, 5), shares, texts, texts.filter(bool))
def test_a_dropped_arm_is_served_the_controls_version_and_counts_for_nobody(
    given_: list[float], number: int, share: float, salt: str, unit: str
) -> None:
    number = 1 + number % (len(given_) - 1)
    before = chosen(route(parts(given_), share, salt), unit)
    after = chosen(route(parts(given_, frozenset({number})), share, salt), unit)
    if before.variant == f"arm-{number}":
        assert (after.version, after.decision) == (VERSIONS[0], Decision.DROPPED)
        assert (after.release, after.stage, after.unit, after.variant) == (None, None, None, "")
    else:
        assert after == before


@few
@given(st.floats(0, 0.5), shares, texts, texts.filter(bool))
def test_nobody_who_had_the_candidate_is_held_back(
    holdback: float, share: float, salt: str, unit: str
) -> None:
    share = min(share, 1 - holdback)  # a plan lets no stage have more
    old, new = VERSIONS[0], VERSIONS[1]
    split = Split(
        release_id="r-1", candidate=new, stage=4, share=1 - holdback, salt=salt, lease_s=9, held=old
    )
    choice = chosen(Route(prompt="p", revision=2, stable=new, split=split), unit)
    held = bucket(salt, unit) >= round((1 - holdback) * BUCKETS)
    assert choice.version == (old if held else new)
    assert (choice.arm, choice.stage, choice.other) == (("stable", 4, new) if held else ("candidate", 4, old))
    if takes_candidate(salt, unit, share):
        assert choice.version == new
    # Without a lease, and for whoever is not named, what is stable serves.
    for other in (
        choose(Route(prompt="p", revision=2, stable=new, split=split), prompt="p", pin="", unit=u, leased=live)
        for u, live in ((unit, False), ("", True))
    ):  # fmt: skip
        assert isinstance(other, Choice)
        assert (other.version, other.release) == (new, None)


def test_pins_get_what_an_experiment_or_a_holdback_serves() -> None:
    of = route(parts([1, 1, 1]), 0.5)
    for version in (STABLE, *VERSIONS[:3]):
        assert chosen(of, "u", pin=version[:12])[:2] == ("p", version)
        assert chosen(of, "u", pin=version[:12]).release is None
    assert not isinstance(choose(of, prompt="p", pin="f" * 12, unit="u", leased=True), Choice)
    split = Split(
        release_id="r-1", candidate=VERSIONS[1], stage=4, share=0.9, salt="s", lease_s=9, held=VERSIONS[0]
    )
    held = Route(prompt="p", revision=2, stable=VERSIONS[1], split=split)
    assert chosen(held, "u", pin="a" * 8).version == VERSIONS[0]
    assert digests(held) == {VERSIONS[0], VERSIONS[1]}
    assert digests(of) == {STABLE, *VERSIONS[:3]}


def test_the_parts_are_kept_and_do_not_depend_on_who_takes_part() -> None:
    of = route(parts([2, 1, 1]), 0.4)
    seen = [chosen(of, f"user-{number}").variant for number in range(20_000)]
    inside = [one for one in seen if one]
    # 20,000 draws: six standard errors are 0.021 of the share, and 0.034 of a part among 8,000.
    assert abs(len(inside) / len(seen) - 0.4) < 0.021
    for name, part in (("arm-0", 0.5), ("arm-1", 0.25), ("arm-2", 0.25)):
        assert abs(inside.count(name) / len(inside) - part) < 0.034


def test_golden_vectors_hold_in_every_language() -> None:
    vectors = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert len(vectors) > 10
    for one in vectors:
        where = place(one["salt"], one["unit"])
        assert (bucket(one["salt"], one["unit"]), part_place(where)) == (one["bucket"], one["part"]), one
        ends = limits(one["weights"])
        assert list(ends) == one["limits"], one
        assert next(number for number, end in enumerate(ends) if part_place(where) < end) == one["arm"], one


def test_a_table_with_arms_survives_the_wire_and_one_without_says_nothing_of_them() -> None:
    of = route(parts([1, 2]), 0.5)
    versions = {one: Version(digest=one, commit="c", content={}) for one in digests(of)}
    table = RoutingTable(revision=1, routes={"p": of}, versions=versions)
    assert RoutingTable.model_validate_json(table.model_dump_json()) == table
    canary = Route(
        prompt="p", revision=1, stable=STABLE,
        split=Split(release_id="r-1", candidate=VERSIONS[0], stage=0, share=0.1, salt="s"),
    )  # fmt: skip
    assert "arms" not in canary.model_dump_json(exclude_defaults=True)
