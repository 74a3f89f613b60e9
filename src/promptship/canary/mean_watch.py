"""The e-processes of a guardrail on a mean: a score, cost, tokens. Used like `promptship.canary.watch.Watch`."""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np
from pydantic import Field

from promptship.canary import eprocess, latency, mean, scale
from promptship.canary.eprocess import Floats, Null
from promptship.canary.evidence import Baseline, Histogram, StageCounts, Values
from promptship.canary.process import (
    BASELINE_REQUESTS_MIN,
    BLOCK_REQUESTS_MIN,
    PSEUDO_REQUESTS_MAX,
    Capital,
    Remembered,
    opened,
)
from promptship.canary.units import bin_spreads, design_effect
from promptship.release.plan import Guardrail, Stage

CAP_OVER_TAIL: Final = 2.0
"""Amounts count at most this many times stable's 99.9 % quantile. With the quantile itself, answers that all cost the same could double
unseen."""
_TAIL: Final = 0.999

Bins = tuple[int, ...]


class MeanWatch(Remembered):
    """Values are turned to 0..1, lower is better, before anything is bet: see `badness`."""

    metric: str
    harm_mean: Capital
    safe_mean: Capital | None
    """None: the guardrail need not be proven."""
    cap: float | None = None
    """Amounts only: larger ones count as this; frozen for the release, None until there were enough answers to set it. 1 for scores."""
    stable_requests: float = 0.0
    """Stable answers behind the prediction: history, scaled down, and all looks so far."""
    stable_total: float = 0.0
    stable_squares: float = 0.0
    seen: Values = Values()
    """Histograms of this stage that were taken in already."""

    design_effect: Annotated[float, Field(ge=1)] = 1.0
    """As in `Watch`: of this stage, as of the last answers taken in."""
    design_effect_before: Annotated[float, Field(ge=1)] = 1.0
    """The largest of the stages before."""

    @property
    def effect(self) -> float:
        """The design effect that the evidence is divided by."""
        return max(self.design_effect, self.design_effect_before)

    @property
    def m0(self) -> float:
        """Stable's mean as predicted for the next look, 0..1."""
        return float(mean.predicted_mean(self.stable_total, self.stable_requests))

    @property
    def variance(self) -> float:
        """Variance of stable's values as predicted for the next look."""
        return float(mean.predicted_variance(self.stable_total, self.stable_squares, self.stable_requests))

    @property
    def log_harm(self) -> float:
        """Log e-value of harm since the release began."""
        return self.harm_mean.log_e

    @property
    def log_safe(self) -> float | None:
        """Log e-value of safety in this stage; None when it need not be proven."""
        return None if self.safe_mean is None else self.safe_mean.log_e

    @classmethod
    def fresh(cls, guardrail: Guardrail, baseline: Baseline) -> MeanWatch:
        """Before the first look of a release."""
        history = baseline.means.get(guardrail.metric, Histogram())
        cap = cap_of(guardrail.metric, history)
        watch = cls(
            metric=guardrail.metric,
            harm_mean=Capital(log_wealth=opened(eprocess.HARM_WEIGHTS, eprocess.CASH), cash=eprocess.CASH),
            safe_mean=Capital(log_wealth=opened(eprocess.SAFETY_WEIGHTS)) if guardrail.prove else None,
            cap=cap,
        )
        requests = latency.total(history)
        if cap is None or not requests:
            return watch
        bins = tuple(sorted(history.buckets))
        weight = min(1.0, PSEUDO_REQUESTS_MAX / requests)
        return watch.learned(badness(watch.metric, bins, cap), _counts(bins, history) * weight)

    def next_stage(self) -> MeanWatch:
        """Harm goes on, safety begins anew, what stable taught is kept, counts begin at zero."""
        safe = self.safe_mean and Capital(log_wealth=opened(eprocess.SAFETY_WEIGHTS))
        effects = {"design_effect": 1.0, "design_effect_before": self.effect}
        return self.model_copy(update={"safe_mean": safe, "seen": Values(), **effects})

    def note(self, guardrail: Guardrail, counts: StageCounts) -> MeanWatch:  # noqa: ARG002 - as `Watch.note`
        """Nothing: a mean has no bad requests to count."""
        return self

    def take(self, guardrail: Guardrail, stage: Stage, counts: StageCounts) -> MeanWatch:
        """Take in the cumulative counts of this stage; what was not measured, or too little in either arm, changes nothing.

        The bets are made on what earlier looks know; then this look's stable values are learned.
        """
        now = counts.means.get(self.metric)
        # Without a cap from history the first answers fix it, and only teach: there is no baseline to bet on yet.
        cap = self.cap if self.cap is not None or now is None else cap_of(self.metric, now.stable)
        if now is None or cap is None:
            return self
        bins = tuple(sorted(now.candidate.buckets.keys() | now.stable.buckets.keys()))
        one, zero = (
            np.maximum(_counts(bins, now.candidate) - _counts(bins, self.seen.candidate), 0),
            np.maximum(_counts(bins, now.stable) - _counts(bins, self.seen.stable), 0),
        )
        if min(one.sum(), zero.sum()) < BLOCK_REQUESTS_MIN:
            return self
        values = badness(self.metric, bins, cap)
        watch = self
        if self.stable_requests >= BASELINE_REQUESTS_MIN:
            watch = self._bet(guardrail, stage, values, one, zero)
        seen = Values(
            candidate=_added(bins, self.seen.candidate, one), stable=_added(bins, self.seen.stable, zero)
        )
        units = counts.units.get(self.metric)
        effect = self.design_effect
        if units is not None:
            effect = design_effect(units, bin_spreads(now.candidate, now.stable))
        update = {"cap": cap, "seen": seen, "design_effect": effect}
        return watch.learned(values, zero).model_copy(update=update)

    def _bet(
        self, guardrail: Guardrail, stage: Stage, values: Floats, one: Floats, zero: Floats
    ) -> MeanWatch:
        def grown(capital: Capital, null: Null, weights: Floats) -> Capital:
            growth = mean.log_growth(null, self.m0, self.variance, values, one, zero)
            return capital.grown(growth, int(one.sum()), weights)

        harm = grown(self.harm_mean, eprocess.not_worse(guardrail.tolerance), eprocess.HARM_WEIGHTS)
        null = unsafe(guardrail, stage.margin, self.m0)
        safe = self.safe_mean and grown(self.safe_mean, null, eprocess.SAFETY_WEIGHTS)
        return self.model_copy(update={"harm_mean": harm, "safe_mean": safe})

    def learned(self, values: Floats, counts: Floats) -> MeanWatch:
        """With more of stable's values, which change no capital."""
        return self.model_copy(
            update={
                "stable_requests": self.stable_requests + float(counts.sum()),
                "stable_total": self.stable_total + float(counts @ values),
                "stable_squares": self.stable_squares + float(counts @ values**2),
            }
        )


def badness(metric: str, bins: Bins, cap: float) -> Floats:
    """What bins count as, 0..1 and lower is better: 1 minus a score; an amount as a part of `cap`, at most all of it."""
    value = scale.score_of if scale.is_score(metric) else scale.amount_of
    values = np.array([value(number) for number in bins], dtype=np.float64)
    return 1 - values if scale.is_score(metric) else np.minimum(values / cap, 1.0)


def unsafe(guardrail: Guardrail, margin: float, m0: float) -> Null:
    """Null of safety of a mean: relative to what a score lacks of 1, with the floor in points; of an amount just relative."""
    floor = guardrail.margin_floor if scale.is_score(guardrail.metric) else 0.0
    return eprocess.unsafe(margin, floor, m0)


def mean_of(metric: str, values: Histogram, cap: float) -> float:
    """The arm's mean in the metric's own unit; amounts at most `cap`. The histogram must not be empty."""
    # In one order, so that the sum is the same bit by bit when a look is taken again from the ledger.
    bins = tuple(sorted(values.buckets))
    part = float(badness(metric, bins, cap) @ _counts(bins, values)) / latency.total(values)
    return 1 - part if scale.is_score(metric) else part * cap


def cap_of(metric: str, stable: Histogram) -> float | None:
    """1 for scores. Amounts: from stable's tail; None while there are too few of them."""
    if scale.is_score(metric):
        return 1.0
    if latency.total(stable) < latency.REQUESTS_MIN:
        return None
    tail = scale.value_of(metric, latency.quantile_edge(stable, _TAIL) - 1)
    # Where stable costs nothing, everything that costs anything is equally bad.
    return CAP_OVER_TAIL * tail if tail > 0 else scale.amount_of(1)


def _counts(bins: Bins, histogram: Histogram) -> Floats:
    return np.array([histogram.buckets.get(number, 0) for number in bins], dtype=np.float64)


def _added(bins: Bins, seen: Histogram, new: Floats) -> Histogram:
    more = {number: int(count) for number, count in zip(bins, new, strict=True) if count}
    return Histogram(buckets={**seen.buckets, **{b: seen.buckets.get(b, 0) + n for b, n in more.items()}})
