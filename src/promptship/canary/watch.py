"""The e-processes of a guardrail on a rate or on latency: harm, carried over all stages, and safety, anew in every stage."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from pydantic import Field

from promptship.canary import eprocess, latency
from promptship.canary.eprocess import Null, Side
from promptship.canary.evidence import (
    ArmCounts,
    Baseline,
    Counts,
    Histogram,
    LatencyCounts,
    StageCounts,
)
from promptship.canary.process import Process, Remembered, opened
from promptship.canary.units import bin_spreads, design_effect
from promptship.release.plan import Guardrail, Metric, Stage, is_latency


class Watch(Remembered):
    """Frozen, one per guardrail; `promptship.canary.mean_watch.MeanWatch` is its like for means."""

    metric: str
    harm: tuple[Process, ...]
    """One; for latency one per quantile of `latency.QUANTILES`, averaged."""
    safe: Process | None
    """None: the guardrail need not be proven. For latency, that of p95."""
    safe_others: tuple[Process, ...] = ()
    """`latency` only: p50, p90 and p99, which have to be proven too."""
    edges: tuple[int, ...] = ()
    """Latency only: stable's threshold per quantile, frozen for the release; empty until there were enough answers to set it."""
    design_effect: Annotated[float, Field(ge=1)] = 1.0
    """Of this stage, as of the last counts taken in (`promptship.canary.units`); 1 where units are not known."""
    design_effect_before: Annotated[float, Field(ge=1)] = 1.0
    """The largest of the stages before: a new stage begins with few units, and must not make old evidence stronger."""
    bad: Annotated[int, Field(ge=0)] = 0
    """The candidate's bad requests of this stage, for the hard stop."""
    bad_before: Annotated[int, Field(ge=0)] = 0
    """Those of the stages before."""

    @property
    def effect(self) -> float:
        """The design effect that the evidence is divided by."""
        return max(self.design_effect, self.design_effect_before)

    @property
    def log_harm(self) -> float:
        """Log e-value of harm since the release began, as if requests were independent.

        The mean of e-values is an e-value, however dependent they are.
        """
        return float(np.logaddexp.reduce([process.log_e for process in self.harm])) - math.log(len(self.harm))

    @property
    def log_safe(self) -> float | None:
        """Log e-value of safety in this stage, as if requests were independent; None when it need not be proven.

        For `latency` the weakest of the quantiles: every one has to be proven, and a mean would prove only some one of them.
        """
        if self.safe is None:
            return None
        return min(process.log_e for process in (self.safe, *self.safe_others))

    @property
    def safe_by_quantile(self) -> tuple[Process, ...]:
        """`latency` only: the processes of safety in the order of `latency.QUANTILES`."""
        if self.safe is None or not self.safe_others:
            return ()
        return (*self.safe_others[: latency.P95], self.safe, *self.safe_others[latency.P95 :])

    @classmethod
    def fresh(cls, guardrail: Guardrail, baseline: Baseline) -> Watch:
        """Before the first look of a release."""
        metric = guardrail.metric
        edges: tuple[int, ...] = ()
        histories = [baseline.rates.get(metric, Counts())]
        if is_latency(metric):
            edges = _edges(baseline.latency)
            histories = [latency.exceeding(baseline.latency, e) for e in edges] or [Counts()] * len(
                latency.QUANTILES
            )
        safe = [Process(log_wealth=_safe_opened(metric)).seeded(history) for history in histories]
        main = safe.pop(latency.P95 if is_latency(metric) else 0)
        return cls(
            metric=metric,
            harm=tuple(map(_harm, histories)),
            safe=main if guardrail.prove else None,
            safe_others=tuple(safe) if guardrail.prove and metric == Metric.LATENCY else (),
            edges=edges,
        )

    def next_stage(self) -> Watch:
        """Harm goes on, safety begins anew, what stable taught is kept, counts begin at zero."""
        anew = _safe_opened(self.metric)
        return self.model_copy(
            update={
                "harm": tuple(process.next_stage() for process in self.harm),
                "safe": self.safe and self.safe.next_stage(anew=anew),
                "safe_others": tuple(process.next_stage(anew=anew) for process in self.safe_others),
                "design_effect": 1.0,
                "design_effect_before": self.effect,
                "bad": 0,
                "bad_before": self.bad_before + self.bad,
            }
        )

    def note(self, guardrail: Guardrail, counts: StageCounts) -> Watch:
        """Remember for a hard stop how many bad requests the candidate had: a fact, whatever can be concluded from it."""
        rate = counts.rates.get(self.metric)
        if rate is None or guardrail.stop_at is None:
            return self
        return self.model_copy(update={"bad": rate.candidate.events})

    def take(self, guardrail: Guardrail, stage: Stage, counts: StageCounts) -> Watch:
        """Take in the cumulative counts of this stage; what was not measured changes nothing."""
        units, spreads = counts.units.get(self.metric), None
        if is_latency(self.metric):
            if counts.latency is None:
                return self
            taken = self._take_latency(counts.latency, guardrail, margin=stage.margin)
            spreads = bin_spreads(counts.latency.candidate, counts.latency.stable)
        else:
            rate = counts.rates.get(self.metric)
            if rate is None:
                return self
            taken = self._take_rate(rate, guardrail, margin=stage.margin)
        if units is None or taken.harm == self.harm:
            return taken
        return taken.model_copy(update={"design_effect": design_effect(units, spreads)})

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

        def safer(process: Process, edge: int) -> Process:
            return process.take(
                exceedances(counts, edge, margin),
                null=Null(Side.SAFETY),
                weights=latency.SAFETY_WEIGHTS,
                steps=latency.SAFETY_ODDS,
            )

        others = (*edges[: latency.P95], *edges[latency.P95 + 1 :])
        return self.model_copy(
            update={
                "edges": edges,
                "harm": harm,
                "safe": self.safe and safer(self.safe, edges[latency.P95]),
                "safe_others": tuple(map(safer, self.safe_others, others)),
            }
        )


def exceedances(counts: LatencyCounts, edge: int, allowed: float) -> ArmCounts:
    """Stable beyond its threshold, the candidate beyond `1 + allowed` times it."""
    return ArmCounts(
        candidate=latency.exceeding(counts.candidate, latency.widened(edge, allowed)),
        stable=latency.exceeding(counts.stable, edge),
    )


def _harm(history: Counts) -> Process:
    return Process(log_wealth=opened(eprocess.HARM_WEIGHTS, eprocess.CASH), cash=eprocess.CASH).seeded(
        history
    )


def _safe_opened(metric: str) -> tuple[float, ...]:
    return opened(latency.SAFETY_WEIGHTS if is_latency(metric) else eprocess.SAFETY_WEIGHTS)


def _edges(stable: Histogram) -> tuple[int, ...]:
    if latency.total(stable) < latency.REQUESTS_MIN:
        return ()
    return tuple(latency.quantile_edge(stable, quantile) for quantile in latency.QUANTILES)
