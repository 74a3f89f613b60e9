"""The error rates themselves, on seeded simulated traffic: small copies of benchmarks/bench_statistics.py."""

import numpy as np
import pytest

from benchmarks.simulated.canary import LOOK, Path, Scenario, constant, ramp, rising, simulate
from promptship.canary import eprocess
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
from promptship.canary.look import take_look
from promptship.canary.state import State
from promptship.release.plan import Canary, Guardrail, Stage

pytestmark = pytest.mark.slow

ALPHA = 0.05
REPLICATIONS = 400
LIMIT = ALPHA + 3 * float(np.sqrt(ALPHA * (1 - ALPHA) / REPLICATIONS))
SHARE = constant(0.02)


@pytest.mark.parametrize(
    ("p", "share"), [(0.002, SHARE), (0.05, SHARE), (0.2, SHARE), (rising, ramp), (0.1, constant(0.5))]
)
def test_a_candidate_that_is_not_worse_is_rolled_back_at_most_alpha_of_the_time(
    p: float | Path, share: Path
) -> None:
    rate = p if callable(p) else constant(p)
    scenario = Scenario("", rate, rate, share)
    crossed = simulate(
        scenario, REPLICATIONS, np.random.default_rng(7), null_at=lambda _: eprocess.not_worse()
    ).ours
    assert np.mean(crossed > 0) <= LIMIT


@pytest.mark.parametrize("tolerance", [0.1, 0.5])
def test_a_candidate_that_is_as_much_worse_as_tolerated_is_rolled_back_at_most_alpha_of_the_time(
    tolerance: float,
) -> None:
    scenario = Scenario("", constant(0.1 * (1 + tolerance)), constant(0.1), SHARE)
    rng = np.random.default_rng(8)
    crossed = simulate(
        scenario, REPLICATIONS, rng, null_at=lambda _: eprocess.not_worse(tolerance), looks=60
    ).ours
    assert np.mean(crossed > 0) <= LIMIT


@pytest.mark.parametrize(("p0", "margin"), [(0.1, 0.1), (0.1, 1.0), (0.05, 0.1), (0.01, 0.1)])
def test_a_candidate_on_the_margin_is_advanced_at_most_alpha_of_the_time(p0: float, margin: float) -> None:
    floor = 0.005
    scenario = Scenario("", constant(p0 + max(margin * p0, floor)), constant(p0), SHARE)
    rng = np.random.default_rng(9)
    crossed = simulate(scenario, 200, rng, null_at=lambda p: eprocess.unsafe(margin, floor, p), looks=60).ours
    assert np.mean(crossed > 0) <= ALPHA + 3 * float(np.sqrt(ALPHA * (1 - ALPHA) / 200))


def test_a_doubled_rate_is_found_within_300_candidate_requests_and_a_proof_takes_as_long_as_planned() -> None:
    worse = Scenario("", constant(0.2), constant(0.1), SHARE)
    found = simulate(
        worse, 200, np.random.default_rng(10), null_at=lambda _: eprocess.not_worse(), looks=20
    ).ours
    assert np.all(found > 0)
    assert np.median(found) * LOOK <= 200
    assert np.quantile(found, 0.9) * LOOK <= 300

    def null_at(p0: eprocess.Floats) -> eprocess.Null:
        return eprocess.unsafe(0.5, 0.005, p0)

    same = Scenario("", constant(0.1), constant(0.1), SHARE)
    ready = simulate(same, 200, np.random.default_rng(11), null_at=null_at, looks=30).ours
    planned = 2.7 / eprocess.information(null_at(np.array(0.1)), 0.1, 0.1, 0.02)
    assert np.mean(ready > 0) > 0.99
    assert np.median(ready) * LOOK <= planned + 1.5 * LOOK


def latencies(rng: np.random.Generator, requests: int, factor: float = 1.0) -> Histogram:
    latency_ms = np.exp(rng.normal(6.5, 0.5, requests)) * factor
    buckets, counts = np.unique(
        np.floor(16 * np.log2(np.maximum(latency_ms, 1))).astype(int), return_counts=True
    )
    return Histogram(buckets=dict(zip(buckets.tolist(), counts.tolist(), strict=True)))


def merged(a: Histogram, b: Histogram) -> Histogram:
    return Histogram(
        buckets={k: a.buckets.get(k, 0) + b.buckets.get(k, 0) for k in a.buckets.keys() | b.buckets.keys()}
    )


def judge_latency(factor: float, seed: int, *, history: int) -> list[Outcome]:
    """Outcomes of up to twelve looks of 50 candidate requests at a share of 20 %, margin 50 %."""
    rng = np.random.default_rng(seed)
    plan = Canary(
        stages=(Stage(share=0.2, margin=0.5, dwell=0.0),), guardrails=(Guardrail(metric="latency_p95"),)
    )
    state = State.fresh(plan, Baseline(latency=latencies(rng, history)))
    candidate, stable, outcomes = Histogram(), Histogram(), []
    for look in range(1, 13):
        candidate = merged(candidate, latencies(rng, 50, factor))
        stable = merged(stable, latencies(rng, int(rng.negative_binomial(50, 0.2))))
        requests = ArmCounts(candidate=Counts(requests=50 * look), stable=Counts(requests=200 * look))
        counts = StageCounts(latency=LatencyCounts(candidate=candidate, stable=stable), requests=requests)
        state, verdict = take_look(plan, 0, look, state, counts, Health(), elapsed_s=60.0 * look)
        outcomes.append(verdict.outcome)
    return outcomes


@pytest.mark.parametrize("history", [0, 1000])
def test_latency_is_judged_by_the_same_rules(history: int) -> None:
    seeds = range(25)
    same = [judge_latency(1.0, seed, history=history) for seed in seeds]
    slower = [judge_latency(1.6, seed, history=history) for seed in seeds]
    assert sum(Outcome.ROLL_BACK in outcomes for outcomes in same) <= 4
    assert sum(Outcome.ADVANCE in outcomes for outcomes in same) >= 20
    assert sum(Outcome.ROLL_BACK in outcomes for outcomes in slower) == 25
