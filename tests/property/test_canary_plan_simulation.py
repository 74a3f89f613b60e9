"""The planner simulates the product: a lane and `take_look` conclude the same from the same counts, look for look."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.canary import latency
from promptship.canary.evidence import (
    ArmCounts,
    Baseline,
    Counts,
    Health,
    Histogram,
    LatencyCounts,
    Outcome,
    StageCounts,
    Values,
)
from promptship.canary.lanes import LatencyLanes, lanes_of
from promptship.canary.laws import LatencyLaw, MeanLaw, RateLaw, assumed
from promptship.canary.look import take_look
from promptship.canary.simulate import ASKED, PASSED, ROLLED_BACK, RUNNING, Draw, Measured, Traffic, run_plan
from promptship.canary.state import State
from promptship.release.plan import Canary, Guardrail, Stage

LANES = 2
OUTCOMES = {
    RUNNING: Outcome.HOLD,
    PASSED: Outcome.ADVANCE,
    ASKED: Outcome.ASK,
    ROLLED_BACK: Outcome.ROLL_BACK,
}
GUARDRAILS = (
    (Guardrail(metric="error_rate", margin_floor=0.05), 0.08),
    (Guardrail(metric="feedback:escalated", tolerance=0.1, prove=False, stop_at=40, weight=2.0), 0.12),
    (Guardrail(metric="latency_p95", tolerance=0.2), 1800.0),
    (Guardrail(metric="latency"), 900.0),
    (Guardrail(metric="score:tone"), 0.7),
    (Guardrail(metric="cost_usd", tolerance=0.05), 0.004),
    (Guardrail(metric="check:grounded", matures_after=30.0), 0.2),
)
STAGES = (
    Stage(share=0.1, dwell=20.0, cap=240.0, margin=2.0),
    Stage(share=0.4, dwell=40.0, cap=300.0, margin=1.0),
    Stage(share=1.0, dwell=10.0, cap=60.0),
)


def baseline(measured: list[Measured]) -> Baseline:
    rates, means, slow = {}, {}, Histogram()
    for one in measured:
        match one.law:
            case RateLaw(rate=rate):
                rates[one.guardrail.metric] = Counts(requests=10_000, events=round(10_000 * rate))
            case LatencyLaw(histogram=histogram):
                slow = histogram
            case MeanLaw(histogram=histogram):
                means[one.guardrail.metric] = histogram
    return Baseline(rates=rates, latency=slow, means=means)


class Release:
    """One lane, counted and looked at as the watcher does."""

    def __init__(self, plan: Canary, measured: list[Measured], lane: int) -> None:
        self.plan, self.measured, self.lane = plan, measured, lane
        self.state = State.fresh(plan, baseline(measured))
        self.stage, self.look = -1, 0
        self.begin(0)

    def begin(self, stage: int) -> None:
        self.stage, self.requests = stage, 0
        self.sums: dict[str, list[np.ndarray]] = defaultdict(lambda: [np.zeros(0), np.zeros(0)])

    def judge(self, draw: Draw) -> Outcome:
        if draw.stage != self.stage:
            self.begin(draw.stage)
        at = int(np.flatnonzero(draw.lanes == self.lane)[0])
        self.requests += int(draw.requests[at])
        for one, answers in zip(self.measured, draw.answers, strict=True):
            kept = self.sums[one.guardrail.metric]
            self.sums[one.guardrail.metric] = [
                new[at] + (old if old.size else 0) for old, new in zip(kept, answers, strict=True)
            ]
        self.look += 1
        self.state, verdict = take_look(
            self.plan, self.stage, self.look, self.state, self.counts(), Health(), elapsed_s=draw.elapsed_s
        )
        return verdict.outcome

    def counts(self) -> StageCounts:
        rates, means, slow = {}, {}, None
        for one in self.measured:
            metric, sums = one.guardrail.metric, self.sums[one.guardrail.metric]
            arms = dict(zip(("candidate", "stable"), sums, strict=True))
            match one.law:
                case RateLaw():
                    rates[metric] = ArmCounts(
                        **{arm: Counts(requests=n[0], events=n[1]) for arm, n in arms.items()}
                    )
                case LatencyLaw() as law:
                    lanes = LatencyLanes(one.guardrail, law, 1, seeded=True, safe=True)
                    cuts = lanes.cuts(self.plan.stages[self.stage])
                    slow = LatencyCounts(**{arm: histogram((0, *cuts), n) for arm, n in arms.items()})
                case MeanLaw() as law:
                    means[metric] = Values(**{arm: histogram(law.bins, n) for arm, n in arms.items()})
        requests = ArmCounts(candidate=Counts(requests=self.requests), stable=Counts(requests=self.requests))
        return StageCounts(rates=rates, means=means, latency=slow, requests=requests)


def histogram(bins: tuple[int, ...], counts: np.ndarray) -> Histogram:
    return Histogram(buckets={b: int(n) for b, n in zip(bins, counts, strict=True) if n})


@settings(max_examples=5, deadline=None)
@given(
    chosen=st.lists(st.sampled_from(range(len(GUARDRAILS))), min_size=1, max_size=2, unique=True),
    effect=st.sampled_from([0.0, 0.0, 0.3, 1.5]),
    per_s=st.sampled_from([3.0, 60.0]),
    seed=st.integers(0, 999),
)
def test_a_lane_concludes_what_a_release_concludes_at_every_look(
    chosen: list[int], effect: float, per_s: float, seed: int
) -> None:
    # Only one metric of latency at a time: a release counts them both from the same histogram, cut at other places here.
    chosen = [number for number in chosen if number != 3 or 2 not in chosen]
    measured = [
        Measured(rail, assumed(rail.metric, base), *((1.0, 1.0) if index else (0.6, 0.3)))
        for index, (rail, base) in enumerate(GUARDRAILS[number] for number in chosen)
    ]
    plan = Canary(stages=STAGES, guardrails=tuple(one.guardrail for one in measured), requests_min=25)
    effects = np.full((LANES, len(measured)), effect)
    releases = [Release(plan, measured, lane) for lane in range(LANES)]

    def compare(draw: Draw) -> None:
        for lane, outcome in zip(draw.lanes.tolist(), draw.outcome.tolist(), strict=True):
            assert releases[lane].judge(draw) is OUTCOMES[outcome]

    ended = run_plan(
        plan, measured, effects, Traffic(per_s, look_every_s=10.0), np.random.default_rng(seed), watch=compare
    )
    assert set(ended.outcome.tolist()) <= {PASSED, ASKED, ROLLED_BACK}
    assert [release.look > 0 for release in releases] == [True] * LANES


def test_a_lane_has_the_evidence_of_a_release_to_the_last_digit_over_two_stages() -> None:
    measured = [
        Measured(rail, assumed(rail.metric, base)) for rail, base in GUARDRAILS if rail.metric != "latency"
    ]
    plan = Canary(stages=STAGES[:2], guardrails=tuple(one.guardrail for one in measured))
    release = Release(plan, measured, 0)
    rng, at = np.random.default_rng(5), np.zeros(1, dtype=int)
    lanes = [lanes_of(one.guardrail, one.law, 1, seeded=True, safe=one.guardrail.prove) for one in measured]
    for number, stage in enumerate(plan.stages):
        for look in range(15):
            # The last look of a stage finds too little to take in: it never is.
            n1, n0 = (
                (np.array([3]), np.array([90])) if look == 14 else (rng.poisson(12, 1), rng.poisson(110, 1))
            )
            answers = tuple(one.draw(stage, n1, n0, np.array([0.2]), rng) for one in lanes)
            for one, drawn in zip(lanes, answers, strict=True):
                one.take(at, stage, *drawn)
            release.judge(Draw(number, 5.0 * look, at, n1, answers, at))
        if number == 0:
            for one in lanes:
                one.next_stage()
    for one, watch in zip(lanes, release.state.watches, strict=True):
        assert one.log_harm[0] == pytest.approx(watch.log_harm, rel=1e-9, abs=1e-9)
        expected = watch.log_safe
        assert (one.log_safe is None) == (expected is None)
        if one.log_safe is not None and expected is not None:
            assert one.log_safe[0] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_law_of_latency_is_worse_by_what_it_is_said_to_be() -> None:
    law = assumed("latency_p95", 2000.0)
    assert isinstance(law, LatencyLaw)
    edge = law.edges[latency.P95]
    assert latency.edge_ms(edge) == pytest.approx(2000.0, rel=0.05)
    octave = law.cells((edge + 16,), 1.0)
    assert octave == pytest.approx(law.cells((edge,)), abs=1e-12)


@pytest.mark.parametrize(("metric", "mean"), [("score:tone", 0.8), ("score:tone", 0.97), ("cost_usd", 0.004)])
def test_a_law_of_a_mean_is_worse_by_what_it_is_said_to_be(metric: str, mean: float) -> None:
    law = assumed(metric, mean)
    assert isinstance(law, MeanLaw)
    bad = float(law.chances() @ law.values)
    assert float(law.chances(0.25) @ law.values) == pytest.approx(1.25 * bad, rel=1e-6)
    shown = 1 - bad if metric.startswith("score") else bad * law.cap
    assert shown == pytest.approx(mean, rel=0.03)
