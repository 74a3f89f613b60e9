"""What is remembered between looks: increments from cumulative counts, carried harm, restarted safety, nothing counted twice."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.canary.evidence import (
    ArmCounts,
    Baseline,
    Counts,
    Health,
    Histogram,
    LatencyCounts,
    StageCounts,
)
from promptship.canary.look import take_look
from promptship.canary.process import BLOCK_REQUESTS_MIN
from promptship.canary.state import State
from promptship.canary.watch import Watch
from promptship.errors import IllegalTransition
from promptship.release.plan import Canary, Guardrail, Stage

PLAN = Canary(
    stages=(Stage(share=0.05, margin=0.5), Stage(share=0.25, margin=0.2), Stage(share=1.0)),
    guardrails=(Guardrail(metric="error_rate"), Guardrail(metric="latency_p95", tolerance=0.1)),
)
HISTORY = Baseline(
    rates={"error_rate": Counts(requests=1000, events=80)},
    latency=Histogram(buckets={150: 500, 160: 400, 165: 60, 170: 40}),
)

Increment = tuple[int, int, int, int, int, int]
"""Candidate good, bad, slow; stable good, bad, slow."""
WHOLE = st.tuples(
    *(st.integers(BLOCK_REQUESTS_MIN, 40), st.integers(0, 40), st.integers(0, 40)),
    *(st.integers(BLOCK_REQUESTS_MIN, 400), st.integers(0, 400), st.integers(0, 400)),
)
"""Enough in both arms to be taken in at once."""
INCREMENTS = st.tuples(*[st.integers(0, 40)] * 3, *[st.integers(0, 400)] * 3)


def stage_counts(*parts: Increment) -> StageCounts:
    good1, bad1, slow1, good0, bad0, slow0 = (sum(column) for column in zip(*parts, strict=True))
    candidate = Counts(requests=good1 + bad1, events=bad1)
    stable = Counts(requests=good0 + bad0, events=bad0)
    return StageCounts(
        rates={"error_rate": ArmCounts(candidate=candidate, stable=stable)},
        latency=LatencyCounts(
            candidate=Histogram(buckets={150: good1, 168: bad1, 180: slow1}),
            stable=Histogram(buckets={150: good0, 168: bad0, 180: slow0}),
        ),
        requests=ArmCounts(candidate=candidate, stable=stable),
    )


def run(state: State, *counts: StageCounts) -> State:
    for one in counts:
        state = state.take(PLAN, one)
    return state


def watches(state: State) -> list[Watch]:
    """Those of rates and latency; there are no others here."""
    return [watch for watch in state.watches if isinstance(watch, Watch)]


def forget_counts(state: State) -> State:
    """The same state with nothing counted yet in this stage: what it would be if the next counts were increments."""
    forgotten = []
    for watch in watches(state):
        harm = tuple(process.model_copy(update={"seen": ArmCounts()}) for process in watch.harm)
        safe = watch.safe and watch.safe.model_copy(update={"seen": ArmCounts()})
        forgotten.append(watch.model_copy(update={"harm": harm, "safe": safe}))
    return state.model_copy(update={"watches": tuple(forgotten)})


@settings(max_examples=40)
@given(WHOLE, INCREMENTS)
def test_cumulative_counts_are_taken_in_as_increments(first: Increment, second: Increment) -> None:
    once = run(State.fresh(PLAN, HISTORY), stage_counts(first))
    cumulative = run(once, stage_counts(first, second))
    incremental = run(forget_counts(once), stage_counts(second))
    assert forget_counts(cumulative) == forget_counts(incremental)


@settings(max_examples=40)
@given(st.lists(INCREMENTS, min_size=1, max_size=4))
def test_the_same_counts_again_change_nothing(increments: list[Increment]) -> None:
    state = run(
        State.fresh(PLAN, HISTORY), *(stage_counts(*increments[: k + 1]) for k in range(len(increments)))
    )
    assert run(state, stage_counts(*increments)) == state


@settings(max_examples=40)
@given(st.lists(INCREMENTS, min_size=2, max_size=4), st.integers(0, 30))
def test_counts_that_shrink_are_never_a_negative_increment(
    increments: list[Increment], corrected: int
) -> None:
    whole, fewer = stage_counts(*increments), stage_counts(*increments[:-1])
    state = run(State.fresh(PLAN, HISTORY), whole)
    assert run(state, fewer) == state
    error = whole.rates["error_rate"]
    less = error.candidate.model_copy(update={"events": max(error.candidate.events - corrected, 0)})
    rates = {"error_rate": error.model_copy(update={"candidate": less})}
    assert run(state, whole.model_copy(update={"rates": rates})) == state


@settings(max_examples=40)
@given(st.lists(INCREMENTS, min_size=1, max_size=4))
def test_everything_is_seen_but_less_than_a_block_in_one_arm_and_events_never_exceed_requests(
    increments: list[Increment],
) -> None:
    steps = [stage_counts(*increments[: k + 1]) for k in range(len(increments))]
    state = run(State.fresh(PLAN, HISTORY), *steps)
    seen, given_in = watches(state)[0].harm[0].seen, steps[-1].rates["error_rate"]
    left = [getattr(given_in, arm).requests - getattr(seen, arm).requests for arm in ("candidate", "stable")]
    assert min(left) < BLOCK_REQUESTS_MIN
    assert min(left) >= 0
    for process in (*watches(state)[0].harm, *watches(state)[1].harm):
        assert process.seen.candidate.events <= process.seen.candidate.requests
        assert process.seen.stable.events <= process.seen.stable.requests


def test_a_late_event_waits_for_the_next_requests_and_is_not_lost() -> None:
    def counts(requests: int, events: int) -> StageCounts:
        zero = Counts(requests=10 * requests)
        both = ArmCounts(candidate=Counts(requests=requests, events=events), stable=zero)
        return StageCounts(rates={"error_rate": both})

    def seen(state: State) -> Counts:
        return watches(state)[0].harm[0].seen.candidate

    state = run(State.fresh(PLAN, HISTORY), counts(100, 0))
    assert run(state, counts(100, 8)) == state
    assert run(state, counts(104, 8)) == state
    assert seen(run(state, counts(105, 8))) == Counts(requests=105, events=5)
    assert seen(run(state, counts(105, 8), counts(110, 8))) == Counts(requests=110, events=8)


def test_a_metric_that_one_arm_lacks_is_never_evidence() -> None:
    for silent in ("candidate", "stable"):
        both = (
            stage_counts((900, 100, 0, 9000, 200, 0))
            .rates["error_rate"]
            .model_copy(update={silent: Counts()})
        )
        state = State.fresh(PLAN, HISTORY)
        assert run(state, StageCounts(rates={"error_rate": both})) == state


@settings(max_examples=40)
@given(st.lists(INCREMENTS, min_size=1, max_size=3))
def test_the_next_stage_carries_harm_and_begins_safety_anew(increments: list[Increment]) -> None:
    state = run(State.fresh(PLAN, HISTORY), *(stage_counts(one) for one in increments))
    moved = state.next_stage()
    assert moved.stage == state.stage + 1
    for before, after in zip(watches(state), watches(moved), strict=True):
        assert after.log_harm == before.log_harm
        assert after.log_safe == pytest.approx(0.0, abs=1e-12)
        assert after.edges == before.edges
        for old, new in zip((*before.harm, before.safe), (*after.harm, after.safe), strict=True):
            assert old is not None
            assert new is not None
            assert (new.seen, new.p0, new.cash) == (ArmCounts(), old.p0, old.cash)


@settings(max_examples=40)
@given(st.lists(INCREMENTS, min_size=1, max_size=3))
def test_a_state_survives_json(increments: list[Increment]) -> None:
    state = run(State.fresh(PLAN, HISTORY), *(stage_counts(one) for one in increments))
    text = json.dumps(state.model_dump(mode="json"), allow_nan=False)
    assert State.model_validate(json.loads(text)) == state
    assert len(text) < 4096


@settings(max_examples=40)
@given(st.lists(INCREMENTS, min_size=1, max_size=3), INCREMENTS)
def test_untrusted_telemetry_is_not_taken_in_but_comes_later(
    increments: list[Increment], last: Increment
) -> None:
    state = run(State.fresh(PLAN, HISTORY), stage_counts(*increments))
    later = stage_counts(*increments, last)
    untrusted, _ = take_look(PLAN, 0, 2, state, later, Health(problems=("lag",)), elapsed_s=9.0)
    trusted, _ = take_look(PLAN, 0, 3, untrusted, later, Health(), elapsed_s=9.0)
    assert untrusted == state
    assert trusted == run(state, later)


@settings(max_examples=40)
@given(INCREMENTS)
def test_bets_know_only_earlier_looks(increment: Increment) -> None:
    """The first factor depends on this look's stable counts through the factor alone, never through the bet."""
    good1, bad1, _, good0, bad0, _ = increment
    process = watches(State.fresh(PLAN, HISTORY))[0].harm[0]
    taken = watches(run(State.fresh(PLAN, HISTORY), stage_counts(increment)))[0].harm[0]
    p0 = process.p0
    assert p0 == pytest.approx(16.5 / 201)
    if min(good1 + bad1, good0 + bad0) < BLOCK_REQUESTS_MIN:
        assert taken == process
        return
    share = (good1 + bad1) / (good1 + bad1 + good0 + bad0)
    e_value = 0.2
    weights = ((0.3, 1.09), (0.2, 1.13), (0.15, 1.25), (0.15, 1.6), (0.1, 2.4), (0.1, 4.0))
    for weight, factor in weights:
        p1 = p0 * factor / (1 - p0 + p0 * factor)
        q = share * p1 + (1 - share) * p0
        growth = bad1 * math.log(p1 / q) + good1 * math.log((1 - p1) / (1 - q))
        growth += bad0 * math.log(p0 / q) + good0 * math.log((1 - p0) / (1 - q))
        e_value += 0.8 * weight * math.exp(growth)
    assert taken.log_e == pytest.approx(math.log(e_value), abs=1e-9)


def test_a_stage_never_comes_back() -> None:
    state = State.fresh(PLAN, HISTORY).next_stage()
    with pytest.raises(IllegalTransition, match="stage 1 cannot be looked at in stage 0"):
        take_look(PLAN, 0, 1, state, StageCounts(), Health(), elapsed_s=0.0)


def test_a_look_at_a_later_stage_moves_the_state_on() -> None:
    state = run(State.fresh(PLAN, HISTORY), stage_counts((30, 10, 0, 500, 40, 0)))
    moved, _ = take_look(PLAN, 1, 2, state, StageCounts(), Health(), elapsed_s=0.0)
    assert moved == state.next_stage()
