"""What goes together, and when it may move: exactly when nothing is in the way of any of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from promptship.release import events as e
from promptship.release import together as pure
from promptship.release.history import Release
from promptship.release.phase import OPEN, Phase
from promptship.release.plan import Canary, Plan, Stage

NAMES = ("a", "b", "c", "d", "e")
AT = datetime(2026, 3, 1, tzinfo=UTC)
edges = st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES)), max_size=5)


def reachable(start: str, named: dict[str, set[str]]) -> frozenset[str]:
    """By the definition: whatever a walk in either direction comes to."""
    seen, todo = {start}, [start]
    while todo:
        here = todo.pop()
        near = named.get(here, set()) | {one for one, others in named.items() if here in others}
        todo += near - seen
        seen |= near
    return frozenset(seen)


@given(named=edges)
def test_a_group_is_what_can_be_reached_in_either_direction(named: dict[str, set[str]]) -> None:
    found = pure.components(named)
    for name in NAMES:
        whole = reachable(name, named)
        assert found.get(name, frozenset({name})) == whole
        assert (name in found) == (len(whole) > 1)


@st.composite
def releases(draw: st.DrawFn) -> Release:
    name = draw(st.sampled_from(NAMES))
    phase = draw(st.sampled_from(sorted(Phase)))
    return Release(
        id=f"r-{name}", seq=3, phase=phase, prompt=name, path="p", commit="c", author="x", opened_at=AT, moved_at=AT,
        stage=draw(st.none() | st.integers(0, 1)), question=draw(st.sampled_from([None, "promote", "traffic", "first"])),
        group=("r-a", "r-b"), paused_at=draw(st.none() | st.just(AT)),
    )  # fmt: skip


groups = st.lists(releases(), min_size=1, max_size=4, unique_by=lambda one: one.id)


def exactly_when(members: Sequence[Release], reason: str, may: Callable[[Release], bool]) -> None:
    assert (reason == "") == all(may(one) and not one.is_paused for one in members)
    if reason:
        (named,) = {one.prompt for one in members if reason.startswith(f"waits for {one.prompt}, ")}
        culprit = next(one for one in members if one.prompt == named)
        assert culprit.is_paused or not may(culprit)


@given(members=groups)
def test_a_group_joins_begins_and_is_promoted_exactly_when_all_may(members: list[Release]) -> None:
    exactly_when(members, pure.before_joining(members), lambda one: one.phase is Phase.EVALUATED)
    exactly_when(
        members,
        pure.before_traffic(members),
        lambda one: one.phase is Phase.EVALUATED or pure.is_cleared(one),
    )
    exactly_when(
        members,
        pure.before_promotion(members),
        lambda one: one.phase is Phase.APPROVED and one.question != "traffic",
    )
    exactly_when(members, pure.before_asking(members), lambda one: one.phase is Phase.CANARY)


@given(members=groups, ready=st.sets(st.sampled_from([f"r-{name}" for name in NAMES])))
def test_a_stage_ends_exactly_when_all_are_in_it_and_every_verdict_says_so(
    members: list[Release], ready: set[str]
) -> None:
    stage = max(one.stage or 0 for one in members)
    exactly_when(
        members,
        pure.before_stage(members, ready),
        lambda one: one.phase is Phase.CANARY and one.stage == stage and one.id in ready,
    )


ENDINGS: tuple[e.Fact, ...] = (
    e.RolledBack(by="guardrail", reason="worse", version="s"), e.Cancelled(reason="enough"), e.Failed(reason="down"),
    e.Rejected(by="lint", reason="no owner"), e.Superseded(by_release="r-newer"),
)  # fmt: skip


@given(member=releases(), culprit=releases(), fact=st.sampled_from(ENDINGS))
def test_the_end_of_one_ends_what_is_open_and_undoes_a_promotion_only_with_a_rollback(
    member: Release, culprit: Release, fact: e.Fact
) -> None:
    along = pure.ending_along(member, culprit, fact, version="s")
    if member.phase in OPEN:
        assert isinstance(along, e.Cancelled)
    elif member.phase is Phase.PROMOTED and isinstance(fact, e.RolledBack):
        assert isinstance(along, e.RolledBack)
        assert along.by == fact.by
    else:
        assert along is None
    if isinstance(along, e.Cancelled | e.RolledBack):
        assert along.along_with == culprit.id
        assert f"goes together with {culprit.prompt}, whose release {culprit.id} " in along.reason


@given(members=groups, ready=st.sets(st.sampled_from([f"r-{name}" for name in NAMES])))
def test_whoever_could_go_on_says_what_it_waits_for(members: list[Release], ready: set[str]) -> None:
    mine, *others = members
    said = pure.waits_for(mine, members, ready)
    assert not (said and (mine.is_paused or not mine.is_open or not others))
    # Releases that have joined are at the same stage; one that is behind would be named itself.
    if len({one.stage or 0 for one in members}) == 1:
        assert f"waits for {mine.prompt}," not in said


@given(
    shares=st.lists(st.sampled_from([0.1, 0.2, 0.5]), min_size=1, max_size=3),
    other=st.lists(st.sampled_from([0.1, 0.2, 0.5]), min_size=1, max_size=3),
    lease=st.sampled_from([60.0, 90.0]), dwell=st.sampled_from([60.0, 120.0]),
)  # fmt: skip
def test_plans_differ_exactly_in_what_gives_units_their_arm(
    shares: list[float], other: list[float], lease: float, dwell: float
) -> None:
    def plan(those: list[float], lease: float, dwell: float) -> Plan:
        stages = tuple(Stage(share=share, dwell=dwell) for share in those)
        return Plan(canary=Canary(stages=stages, lease=lease))

    differing = pure.unequal(plan(shares, 60.0, 60.0), plan(other, lease, dwell))
    assert ("the shares of `canary.stages`" in differing) == (shares != other)
    assert ("`canary.lease`" in differing) == (lease != 60.0)
    assert len(differing) == (shares != other) + (lease != 60.0), "how long a stage takes makes no difference"


def test_the_salt_is_the_same_for_all_and_a_release_alone_has_its_own() -> None:
    (one, other) = (
        Release(
            id=one, seq=0, phase=Phase.EVALUATED, prompt=one, path="p", commit="c", author="x", opened_at=AT, moved_at=AT
        )
        for one in ("r-b", "r-a")
    )  # fmt: skip
    ids = pure.joining([one.id, other.id])
    assert {pure.salt_of(replace(each, group=ids)) for each in (one, other)} == {"r-a"}
    assert pure.salt_of(one) == "r-b"
