"""What is remembered between two looks: small, JSON-serialisable, kept in the ledger with every look.

Per guardrail an e-process of harm, carried over all stages, and one of safety, which begins anew in every stage: a candidate that
turned bad at 25 % must not be promoted on what it earned at 1 %.
"""

from __future__ import annotations

import math
from typing import Annotated, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from promptship.canary import eprocess, latency
from promptship.canary.eprocess import Floats, Null, Side
from promptship.canary.evidence import ArmCounts, Baseline, Counts, Histogram, LatencyCounts, StageCounts
from promptship.errors import IllegalTransition
from promptship.release.plan import Canary, Guardrail, Metric, Stage

PSEUDO_REQUESTS_MAX: Final = 200
"""Weight of history in the predicted stable rate: enough to begin with, little enough to be outvoted within minutes."""
BASELINE_REQUESTS_MIN: Final = 20
"""Stable requests (history or earlier looks) before the first bet: without any idea of p0 a bet would be a guess."""

BLOCK_REQUESTS_MIN: Final = 5
"""New requests in each arm before a look takes them in. A look of one request compares nothing; 5 lose under a tenth of the speed."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Process(_Value):
    """One e-process about one rate in two arms."""

    log_wealth: tuple[float, ...]
    """Log of the capital on each alternative."""
    cash: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Capital not bet yet (fixed share)."""
    idle: Annotated[int, Field(ge=0)] = 0
    """Candidate requests since cash was last moved into bets."""
    stable_requests: float = 0.0
    """Stable requests behind the predicted rate: history, scaled down, and all looks so far."""
    stable_events: float = 0.0
    seen: ArmCounts = ArmCounts()
    """Counts of this stage that were taken in already."""

    @property
    def log_e(self) -> float:
        """Log of the e-value now."""
        return float(eprocess.log_e_value(np.array(self.log_wealth), self.cash))

    @property
    def p0(self) -> float:
        """Stable's rate as predicted for the next look."""
        return float(eprocess.predicted_rate(self.stable_events, self.stable_requests))

    def take(self, counts: ArmCounts, *, null: Null, weights: Floats, steps: Floats | None = None) -> Process:
        """Take in what is new in the cumulative counts of this stage; too little in either arm waits for a later look.

        The bets are made on `p0`, which knows only earlier looks; then this look's stable counts are learned.
        """
        new = ArmCounts(
            candidate=_new(self.seen.candidate, counts.candidate),
            stable=_new(self.seen.stable, counts.stable),
        )
        if min(new.candidate.requests, new.stable.requests) < BLOCK_REQUESTS_MIN:
            return self
        process = self
        if self.stable_requests >= BASELINE_REQUESTS_MIN:
            process = self._bet(new, null, weights, steps)
        return process.model_copy(
            update={
                "stable_requests": self.stable_requests + new.stable.requests,
                "stable_events": self.stable_events + new.stable.events,
                "seen": ArmCounts(
                    candidate=_sum(self.seen.candidate, new.candidate),
                    stable=_sum(self.seen.stable, new.stable),
                ),
            }
        )

    def _bet(self, new: ArmCounts, null: Null, weights: Floats, steps: Floats | None) -> Process:
        wealth, cash = eprocess.move_cash(np.array(self.log_wealth), np.array(self.cash), self.idle, weights)
        p1 = eprocess.alternatives(null, self.p0, steps=steps)
        wealth = wealth + eprocess.log_growth(
            null,
            p1,
            np.array(self.p0),
            (new.candidate.requests, new.candidate.events),
            (new.stable.requests, new.stable.events),
        )
        return self.model_copy(
            update={"log_wealth": tuple(wealth.tolist()), "cash": float(cash), "idle": new.candidate.requests}
        )


def _new(seen: Counts, now: Counts) -> Counts:
    """What came since: never negative (a corrected feedback), never more events than requests (a late one waits for its turn)."""
    requests = max(now.requests - seen.requests, 0)
    return Counts(requests=requests, events=min(max(now.events - seen.events, 0), requests))


def _sum(a: Counts, b: Counts) -> Counts:
    return Counts(requests=a.requests + b.requests, events=a.events + b.events)


def _harm(history: Counts) -> Process:
    return _seeded(
        Process(log_wealth=_opened(eprocess.HARM_WEIGHTS, eprocess.CASH), cash=eprocess.CASH), history
    )


def _opened(weights: Floats, cash: float = 0.0) -> tuple[float, ...]:
    return tuple(eprocess.open_bets(weights, cash).tolist())


def _safe_opened(metric: str) -> tuple[float, ...]:
    return _opened(latency.SAFETY_WEIGHTS if metric == Metric.LATENCY_P95 else eprocess.SAFETY_WEIGHTS)


def _seeded(process: Process, history: Counts) -> Process:
    requests = min(history.requests, PSEUDO_REQUESTS_MAX)
    events = requests * history.events / history.requests if history.requests else 0.0
    return process.model_copy(update={"stable_requests": float(requests), "stable_events": events})


class Watch(_Value):
    """The e-processes of one guardrail."""

    metric: str
    harm: tuple[Process, ...]
    """One; for latency one per quantile of `latency.QUANTILES`, averaged."""
    safe: Process | None
    """None: the guardrail need not be proven."""
    edges: tuple[int, ...] = ()
    """Latency only: stable's threshold per quantile, frozen for the release; empty until there were enough answers to set it."""

    @property
    def log_harm(self) -> float:
        """Log e-value of harm since the release began. The mean of e-values is an e-value, however dependent they are."""
        return float(np.logaddexp.reduce([process.log_e for process in self.harm])) - math.log(len(self.harm))

    @property
    def log_safe(self) -> float | None:
        """Log e-value of safety in this stage; None when it need not be proven."""
        return None if self.safe is None else self.safe.log_e

    @classmethod
    def fresh(cls, guardrail: Guardrail, baseline: Baseline) -> Watch:
        """Before the first look of a release."""
        metric = guardrail.metric
        edges: tuple[int, ...] = ()
        histories = [baseline.rates.get(metric, Counts())]
        if metric == Metric.LATENCY_P95:
            edges = _edges(baseline.latency)
            histories = [latency.exceeding(baseline.latency, e) for e in edges] or [Counts()] * len(
                latency.QUANTILES
            )
        p95 = histories[latency.P95] if len(histories) > 1 else histories[0]
        safe = _seeded(Process(log_wealth=_safe_opened(metric)), p95) if guardrail.prove else None
        return cls(metric=metric, harm=tuple(map(_harm, histories)), safe=safe, edges=edges)

    def next_stage(self) -> Watch:
        """Harm goes on, safety begins anew, what stable taught is kept, counts begin at zero."""
        harm = tuple(process.model_copy(update={"seen": ArmCounts()}) for process in self.harm)
        anew = {"seen": ArmCounts(), "log_wealth": _safe_opened(self.metric)}
        return self.model_copy(update={"harm": harm, "safe": self.safe and self.safe.model_copy(update=anew)})

    def take(self, guardrail: Guardrail, stage: Stage, counts: StageCounts) -> Watch:
        """Take in the cumulative counts of this stage; what was not measured changes nothing."""
        if self.metric == Metric.LATENCY_P95:
            slow = counts.latency
            return self if slow is None else self._take_latency(slow, guardrail, margin=stage.margin)
        rate = counts.rates.get(self.metric)
        return self if rate is None else self._take_rate(rate, guardrail, margin=stage.margin)

    def _take_rate(self, counts: ArmCounts, guardrail: Guardrail, *, margin: float) -> Watch:
        safe = self.safe
        if safe is not None:
            null = eprocess.unsafe(margin, guardrail.margin_floor, safe.p0)
            safe = safe.take(counts, null=null, weights=eprocess.SAFETY_WEIGHTS)
        null = eprocess.not_worse(guardrail.tolerance)
        harm = self.harm[0].take(counts, null=null, weights=eprocess.HARM_WEIGHTS)
        return self.model_copy(update={"harm": (harm,), "safe": safe})

    def _take_latency(self, counts: LatencyCounts, guardrail: Guardrail, *, margin: float) -> Watch:
        # Without thresholds from history the first answers fix them, and only teach: the processes have no baseline to bet on yet.
        edges = self.edges or _edges(counts.stable)
        if not edges:
            return self
        harm = tuple(
            process.take(
                exceedances(counts, edge, guardrail.tolerance),
                null=eprocess.not_worse(),
                weights=eprocess.HARM_WEIGHTS,
            )
            for process, edge in zip(self.harm, edges, strict=True)
        )
        safe = self.safe and self.safe.take(
            exceedances(counts, edges[latency.P95], margin),
            null=Null(Side.SAFETY),
            weights=latency.SAFETY_WEIGHTS,
            steps=latency.SAFETY_ODDS,
        )
        return self.model_copy(update={"edges": edges, "harm": harm, "safe": safe})


def _edges(stable: Histogram) -> tuple[int, ...]:
    if latency.total(stable) < latency.REQUESTS_MIN:
        return ()
    return tuple(latency.quantile_edge(stable, quantile) for quantile in latency.QUANTILES)


def exceedances(counts: LatencyCounts, edge: int, allowed: float) -> ArmCounts:
    """Stable beyond its threshold, the candidate beyond `1 + allowed` times it."""
    return ArmCounts(
        candidate=latency.exceeding(counts.candidate, latency.widened(edge, allowed)),
        stable=latency.exceeding(counts.stable, edge),
    )


class State(_Value):
    """All e-processes of a release, as of its last look. Guardrails stand in the plan's order."""

    stage: Annotated[int, Field(ge=0)] = 0
    watches: tuple[Watch, ...]

    @classmethod
    def fresh(cls, plan: Canary, baseline: Baseline) -> State:
        """Before the first look of a release; `baseline` is stable's history and may be empty."""
        return cls(watches=tuple(Watch.fresh(guardrail, baseline) for guardrail in plan.guardrails))

    def next_stage(self) -> State:
        """As the next stage begins: harm is carried over, safety restarts."""
        return State(stage=self.stage + 1, watches=tuple(watch.next_stage() for watch in self.watches))

    def at_stage(self, stage: int) -> State:
        """The state in that stage, moved on as often as needed.

        Raises:
            IllegalTransition: the state is further already; a stage never comes back.
        """
        if stage < self.stage:
            message = f"a canary that has reached stage {self.stage} cannot be looked at in stage {stage}; look at {self.stage}"
            raise IllegalTransition(message)
        state = self
        while state.stage < stage:
            state = state.next_stage()
        return state

    def take(self, plan: Canary, counts: StageCounts) -> State:
        """Take in the cumulative counts of the current stage. A share of 1.0 leaves no concurrent control: nothing is taken."""
        stage = plan.stages[self.stage]
        if stage.share >= 1:
            return self
        pairs = zip(self.watches, plan.guardrails, strict=True)
        watches = tuple(watch.take(guardrail, stage, counts) for watch, guardrail in pairs)
        return State(stage=self.stage, watches=watches)
