"""Whatever kinds of guardrails a release has and whatever they count: taken again from its ledger, every look is the same, bit by bit."""

import math
from datetime import datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.adapters.memory.measurements import MemoryMeasurements
from promptship.canary.evidence import (
    ArmCounts,
    ArmUnits,
    Baseline,
    Counts,
    Health,
    Histogram,
    LatencyCounts,
    StageCounts,
    UnitSums,
    Values,
)
from promptship.lifecycle.replay import replay
from promptship.release import events as e
from tests.support.house import House

METRICS = ("error_rate", "check:leaks", "latency", "latency_p95", "cost_usd", "tokens_out", "score:tone")
PLAN = """
[plans.default.canary]
requests_min = 20
lease = "30s"
stages = [{share = 0.2, dwell = "20s", cap = "3m", margin = 1.0}, {share = 0.5, dwell = "20s", cap = "3m", margin = 1.0}, {share = 1.0}]
[plans.default.online]
checks = [{name = "leaks", assert = {type = "not-contains", value = "x"}}, {name = "tone", assert = {type = "contains", value = "x"}}]
""" + "".join(
    f'[[plans.default.canary.guardrails]]\nmetric = "{metric}"\n{"stop_at = 40" if metric == "check:leaks" else ""}\n'
    for metric in METRICS
)
CENTRE = {"latency": 160, "latency_p95": 160, "cost_usd": 240, "tokens_out": 500, "score:tone": 150}


class Drawn(MemoryMeasurements):
    """Counts of a stage that grow at random from look to look; the candidate is `worse` on everything."""

    def __init__(self, seed: int, worse: float, each: int, lost: float) -> None:
        super().__init__(bucket_s=1.0)
        self.rng, self.worse, self.each, self.lost = np.random.default_rng(seed), worse, each, lost
        self.stage, self.told = -1, StageCounts()

    def counts(
        self, release_id: str, stage: int, *, matures_after_s: dict[str, float], as_of: datetime
    ) -> StageCounts:
        """One look more."""
        if stage != self.stage:
            self.stage, self.told = stage, StageCounts()
        share = (0.2, 0.5, 0.5)[stage]
        numbers = {"candidate": round(300 * share), "stable": round(300 * (1 - share))}
        rates = {
            metric: ArmCounts(**{arm: self._rate(getattr(self.told.rates.get(metric, ArmCounts()), arm), n, arm) for arm, n in numbers.items()})
            for metric in METRICS if metric not in CENTRE
        }  # fmt: skip
        means = {
            metric: Values(**{arm: self._values(metric, getattr(self.told.means.get(metric, Values()), arm), n, arm) for arm, n in numbers.items()})
            for metric in METRICS if metric in CENTRE and "latency" not in metric
        }  # fmt: skip
        slow = self.told.latency or LatencyCounts()
        latency = LatencyCounts(
            **{arm: self._values("latency", getattr(slow, arm), n, arm) for arm, n in numbers.items()}
        )
        requests = rates["error_rate"]
        measured: dict[str, ArmCounts | Values | LatencyCounts] = {**rates, **means, "latency": latency}
        units = {metric: self._grouped(arms) for metric, arms in measured.items()}
        found = {
            arm: Counts(
                requests=round(
                    getattr(requests, arm).requests / self.each * (1 - self.lost * (arm == "candidate"))
                )
            )
            for arm in numbers
        }
        self.told = StageCounts(
            rates=rates,
            means=means,
            latency=latency,
            requests=requests,
            units=units,
            assigned=ArmCounts(**found),
        )
        return self.told

    def baseline(self, version: str, metrics: object, *, as_of: datetime, window_s: float) -> Baseline:
        """A history of some metrics, none of others."""
        return Baseline(
            rates={"error_rate": Counts(requests=400, events=20)},
            latency=self._values("latency", Histogram(), 300, "stable"),
            means={"cost_usd": self._values("cost_usd", Histogram(), 300, "stable")},
        )

    def check(self, release_id: str, stage: int, *, as_of: datetime) -> Health:
        """Now and then there is a problem."""
        return Health(problems=("clocks differ",) if self.rng.random() < 0.1 else ())

    def _rate(self, before: Counts, requests: int, arm: str) -> Counts:
        bad = self.rng.binomial(requests, 0.05 * (1 + self.worse * (arm == "candidate")))
        return Counts(requests=before.requests + requests, events=before.events + int(bad))

    def _values(self, metric: str, before: Histogram, requests: int, arm: str) -> Histogram:
        shift = 16 * math.log2(1 + self.worse) * (arm == "candidate") * (-1 if "score" in metric else 1)
        drawn = np.clip(
            np.rint(self.rng.normal(CENTRE[metric] + shift, 15, requests)),
            0,
            200 if "score" in metric else 900,
        )
        buckets = dict(before.buckets)
        for number in drawn.astype(int).tolist():
            buckets[number] = buckets.get(number, 0) + 1
        return Histogram(buckets=buckets)

    def _grouped(self, arms: ArmCounts | Values | LatencyCounts) -> ArmUnits:
        return ArmUnits(candidate=self._sums(arms.candidate), stable=self._sums(arms.stable))

    def _sums(self, arm: Counts | Histogram) -> UnitSums:
        if isinstance(arm, Counts):
            values = [1] * arm.events + [0] * (arm.requests - arm.events)
        else:
            values = [number for number, count in arm.buckets.items() for _ in range(count)]
        groups = [values[at : at + self.each] for at in range(0, len(values), self.each)]
        pairs = [(len(group), sum(group)) for group in groups]
        return UnitSums(
            units=len(pairs), requests=len(values), events=sum(values), requests_squared=sum(n * n for n, _ in pairs),
            events_squared=sum(s * s for _, s in pairs), products=sum(n * s for n, s in pairs),
        )  # fmt: skip


@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 999),
    worse=st.sampled_from([0.0, 0.0, 0.3, 2.0]),
    each=st.sampled_from([1, 5]),
    lost=st.sampled_from([0.0, 0.0, 0.5]),
)
def test_every_look_comes_out_bit_by_bit(seed: int, worse: float, each: int, lost: float) -> None:
    house = House(plan=PLAN, measurements=Drawn(seed, worse, each, lost))
    house.adopt()
    release = house.push("Say hello, please.")
    house.run_flow(release)
    for _ in range(10):
        house.clock.advance(25.0)
        house.look()
    found = replay(house.app, release, within=0.0)
    assert found.differences == ()
    assert found.looks == found.equal > 0
    looked = [event.fact for event in house.ledger.events(release) if isinstance(event.fact, e.Looked)]
    assert all(len(look.state["watches"]) == len(METRICS) for look in looked)
