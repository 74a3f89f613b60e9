"""Several arms against one control: the sample ratio over all of them, and what drops one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.canary import arms, sample_ratio
from promptship.canary.evidence import (
    ArmCounts,
    Baseline,
    Counts,
    Health,
    Histogram,
    LatencyCounts,
    Outcome,
    StageCounts,
)
from promptship.release.plan import Canary, Guardrail

few = settings(max_examples=40)
counts = st.integers(0, 10**6)
parts = st.lists(st.integers(1, 9000), min_size=2, max_size=6)
PLAN = Canary(guardrails=(Guardrail(metric="error_rate", stop_at=30), Guardrail(metric="refusal_rate")))


@few
@given(counts, counts, st.integers(1, 9999))
def test_with_two_arms_it_is_the_sample_ratio_of_a_canary(one: int, zero: int, share: int) -> None:
    assigned = ArmCounts(candidate=Counts(requests=one), stable=Counts(requests=zero))
    both = arms.log_e([one, zero], [share, 10_000 - share])
    assert both == pytest.approx(sample_ratio.log_e(assigned, share / 10_000), rel=1e-6, abs=1e-6)


@few
@given(parts, st.data())
def test_one_more_unit_of_a_right_split_changes_the_e_value_by_nothing_in_expectation(
    of: list[int], data: st.DataObject
) -> None:
    seen = data.draw(st.lists(st.integers(0, 50_000), min_size=len(of), max_size=len(of)))
    before = arms.log_e(seen, of)
    after = [
        arms.log_e([n + (at == added) for at, n in enumerate(seen)], of) for added in range(len(of))
    ]  # fmt: skip
    expected = sum(part / sum(of) * math.exp(one - before) for part, one in zip(of, after, strict=True))
    assert expected == pytest.approx(1, abs=1e-4)
    assert arms.log_e([0] * len(of), of) == 0


def test_a_wrong_split_is_seen_and_a_right_one_is_not() -> None:
    of = [5000, 2500, 2500]
    rng = np.random.default_rng(7)
    right = [arms.log_e(rng.multinomial(20_000, [0.5, 0.25, 0.25]).tolist(), of) for _ in range(200)]
    assert max(right) < -math.log(arms.ALPHA_RATIO)
    # An arm that loses a fifth of its units.
    wrong = [arms.log_e(rng.multinomial(20_000, [0.5, 0.25, 0.2, 0.05]).tolist()[:3], of) for _ in range(20)]
    assert min(wrong) >= -math.log(arms.ALPHA_RATIO)


def rates(errors: int, requests: int, *, role: str, assigned: int | None = None) -> StageCounts:
    def arm(events: int) -> ArmCounts:
        return ArmCounts(**{role: Counts(requests=requests, events=events)})

    return StageCounts(
        rates={"error_rate": arm(errors), "refusal_rate": arm(0)},
        latency=LatencyCounts(**{role: Histogram(buckets={100: requests})}),
        requests=ArmCounts(**{role: Counts(requests=requests)}),
        assigned=None if assigned is None else ArmCounts(**{role: Counts(requests=assigned)}),
    )


@few
@given(st.integers(0, 400), st.integers(0, 400), st.booleans(), st.booleans())
def test_a_pair_has_the_arm_in_the_candidates_role_and_the_control_in_stables(
    one: int, zero: int, ones: bool, zeros: bool
) -> None:
    arm = rates(one, 400, role="candidate", assigned=7 if ones else None)
    control = rates(zero, 500, role="stable", assigned=9 if zeros else None)
    pair = arms.paired(arm, control)
    assert pair.rates["error_rate"] == ArmCounts(
        candidate=Counts(requests=400, events=one), stable=Counts(requests=500, events=zero)
    )
    assert pair.requests == ArmCounts(candidate=Counts(requests=400), stable=Counts(requests=500))
    assert pair.latency is not None
    assert (pair.latency.candidate.buckets, pair.latency.stable.buckets) == ({100: 400}, {100: 500})
    assert (pair.assigned is None) == (not ones and not zeros)
    assert StageCounts.model_validate(pair.model_dump(mode="json", exclude_defaults=True)) == pair
    assert arms.paired(StageCounts(), StageCounts()) == StageCounts()


@few
@given(st.integers(0, 400), st.integers(0, 400), st.integers(1, 5), st.booleans(), st.booleans())
def test_an_arm_is_dropped_exactly_when_its_evidence_or_its_hard_stop_says_so(
    one: int, zero: int, compared: int, even: bool, healthy: bool
) -> None:
    plan = arms.guarding(PLAN, arms=compared, weight=0.5)
    assert plan.alpha == PLAN.alpha / compared
    state = arms.fresh(plan, (), Baseline())
    pair = arms.paired(rates(one, 400, role="candidate"), rates(zero, 400, role="stable"))
    health = Health() if healthy else Health(problems=("the clock is wrong",))
    after, verdict = arms.look_at_arm(plan, (), 1, state, pair, health, even=even)
    harm = [
        (one.e_harm or one.e_value or 0) >= (one.threshold or math.inf)
        for one in verdict.findings
        if one.outcome is Outcome.ROLL_BACK and one.threshold is not None
    ]
    stopped = healthy and one >= 30
    assert arms.worse(verdict) == (stopped or (healthy and even and any(harm)))
    assert all(harm)
    if not healthy or not even:
        assert after == state
    if one <= zero and one < 30:
        assert not arms.worse(verdict)
    assert {found.rule for found in verdict.findings} <= {"error_rate", "refusal_rate", "telemetry"}


def test_more_arms_need_more_evidence() -> None:
    pair = arms.paired(rates(29, 400, role="candidate"), rates(8, 400, role="stable"))
    known = Baseline(rates={"error_rate": Counts(requests=2000, events=40)})

    def dropped(compared: int) -> bool:
        plan = arms.guarding(PLAN, arms=compared, weight=0.5)
        _, verdict = arms.look_at_arm(plan, (), 1, arms.fresh(plan, (), known), pair, Health(), even=True)
        return arms.worse(verdict)

    found = [dropped(compared) for compared in (1, 100_000)]
    assert found == [True, False]


def test_metrics_that_guard_nothing_are_measured_and_drop_nothing() -> None:
    plan = arms.guarding(PLAN, arms=1, weight=0.5)
    bad = rates(0, 400, role="candidate")
    bad = bad.model_copy(
        update={"rates": {**bad.rates, "check:tone": ArmCounts(candidate=Counts(requests=400, events=399))}}
    )
    good = rates(0, 400, role="stable")
    good = good.model_copy(
        update={"rates": {**good.rates, "check:tone": ArmCounts(stable=Counts(requests=400))}}
    )
    metrics = ("error_rate", "refusal_rate", "check:tone")
    state = arms.fresh(plan, metrics, Baseline())
    assert [watch.metric for watch in state.watches] == list(metrics)
    after, verdict = arms.look_at_arm(plan, metrics, 1, state, arms.paired(bad, good), Health(), even=True)
    assert not arms.worse(verdict)
    assert after.measures != state.measures
    assert arms.ArmState.model_validate(after.model_dump(mode="json")) == after
