"""A release, or several arms, read as an experiment: how much each differs from its control on every metric, from recorded counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from promptship.canary import latency, mean_watch, scale
from promptship.canary.eprocess import Floats
from promptship.canary.evidence import Histogram, StageCounts
from promptship.canary.interval import (
    ALPHA,
    Effect,
    histogram_increments,
    mean_effect,
    rate_effect,
    rate_increments,
)
from promptship.canary.mean_watch import MeanWatch
from promptship.canary.state import State
from promptship.canary.watch import Watch
from promptship.release import events as e
from promptship.release.history import Release
from promptship.release.plan import is_latency


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricEffect:
    """One metric of one arm."""

    arm: str
    metric: str
    effect: Effect | None
    """None: not measured in both arms."""
    higher_is_better: bool
    slow_ms: float | None = None
    """Latency: what is compared is the part of the answers that took this long or longer (stable's p95)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Every metric of a release, with intervals at 1 - alpha."""

    release_id: str
    prompt: str
    phase: str
    alpha: float
    looks: int
    unrecorded: int
    """Looks whose counts are not in the ledger (written by an older promptship)."""
    effects: tuple[MetricEffect, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFound:
    """One arm and what it has served."""

    name: str
    version: str
    commit: str
    part: float
    """Of those who take part, 0..1."""
    is_control: bool
    requests: int
    units: int | None
    """Different units; None: not known."""
    dropped: str = ""
    """Why; empty: it was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmsFound:
    """An experiment with several arms and its effects."""

    id: str
    prompt: str
    status: str
    reason: str
    share: float
    began_at: datetime | None
    risk: str
    approvers: tuple[str, ...]
    required: int
    looks: int
    arms: tuple[ArmFound, ...]
    effects: tuple[MetricEffect, ...]
    alpha: float
    """Chance that any of the intervals ever misses."""
    alpha_each: float
    """`alpha` over arms and metrics (Bonferroni): that of one interval."""
    ratio_e_value: float | None
    """Evidence that units did not fall on the arms with their parts; None: no unit is known."""
    ratio_threshold: float
    problems: tuple[str, ...]
    """Of the telemetry at the last look."""


Arms = tuple[Floats, Floats]
Rows = Callable[[Sequence[StageCounts]], Arms]


def experiment(release: Release, events: Iterable[e.Event], *, alpha: float = ALPHA) -> Experiment:
    """The effects in a release, as of the last look in its events.

    Later looks only add to the ledger, so intervals read at different times belong to one confidence sequence each.
    """
    looked = [event.fact for event in events if isinstance(event.fact, e.Looked)]
    recorded = [look for look in looked if look.given is not None and not look.given.get("problems")]
    effects: tuple[MetricEffect, ...] = ()
    if release.plan is not None and looked:
        watches = State.model_validate(looked[-1].state).watches
        stages = [
            (
                number,
                [
                    StageCounts.model_validate((look.given or {})["counts"])
                    for look in recorded
                    if look.stage == number
                ],
            )
            for number, stage in enumerate(release.plan.canary.stages)
            if stage.share < 1
        ]
        effects = tuple(_effect(watch, stages, alpha) for watch in watches)
    return Experiment(
        release_id=release.id, prompt=release.prompt, phase=release.phase.value, alpha=alpha, looks=len(looked),
        unrecorded=sum(look.given is None for look in looked), effects=effects,
    )  # fmt: skip


Stages = Sequence[tuple[int, Sequence[StageCounts]]]


def arm_effects(
    arm: str, watches: Sequence[Watch | MeanWatch], counts: Sequence[StageCounts], *, alpha: float
) -> tuple[MetricEffect, ...]:
    """The effects of one arm of an experiment, from the counts of its looks (the arm in the candidate's role, the control in stable's).

    Parts of the arms never change in an experiment, so its looks are one stage.
    """
    return tuple(_effect(watch, [(0, counts)], alpha, arm) for watch in watches)


def _effect(watch: Watch | MeanWatch, stages: Stages, alpha: float, arm: str = "candidate") -> MetricEffect:
    metric = watch.metric
    if isinstance(watch, MeanWatch):
        return MetricEffect(
            arm=arm,
            metric=metric,
            effect=_mean(watch, stages, alpha),
            higher_is_better=scale.is_score(metric),
        )
    edge = watch.edges[latency.P95] if watch.edges else None

    def rows(counts: Sequence[StageCounts]) -> Arms:
        if is_latency(metric):
            slow = [one.latency for one in counts if one.latency is not None and edge is not None]
            pairs = [
                (latency.exceeding(one.candidate, edge or 0), latency.exceeding(one.stable, edge or 0))
                for one in slow
            ]
        else:
            rates = [one.rates[metric] for one in counts if metric in one.rates]
            pairs = [(one.candidate, one.stable) for one in rates]
        arms = zip(*pairs, strict=True) if pairs else ((), ())
        one, zero = (rate_increments([(c.requests, c.events) for c in arm]) for arm in arms)
        return one, zero

    one, zero, numbers = _joined(stages, rows)
    effect = (
        rate_effect(one, zero, stages=numbers, alpha=alpha, design_effect=watch.effect) if len(one) else None
    )
    slow_ms = latency.edge_ms(edge) if is_latency(metric) and edge is not None else None
    return MetricEffect(arm=arm, metric=metric, effect=effect, higher_is_better=False, slow_ms=slow_ms)


def _mean(watch: MeanWatch, stages: Stages, alpha: float) -> Effect | None:
    metric, cap = watch.metric, watch.cap
    all_counts = [one.means[metric] for _, counts in stages for one in counts if metric in one.means]
    bins = tuple(
        sorted({b for one in all_counts for arm in (one.candidate, one.stable) for b in arm.buckets})
    )
    if cap is None or not bins:
        return None

    def rows(counts: Sequence[StageCounts]) -> Arms:
        there = [one.means[metric] for one in counts if metric in one.means]
        if not there:
            return np.zeros((0, len(bins))), np.zeros((0, len(bins)))
        one, zero = (
            histogram_increments([_counts(bins, getattr(values, arm)) for values in there])
            for arm in ("candidate", "stable")
        )
        return one, zero

    one, zero, numbers = _joined(stages, rows)
    bad = mean_watch.badness(metric, bins, cap)
    values, scaled = (1 - bad, 1.0) if scale.is_score(metric) else (bad, cap)
    return mean_effect(values, one, zero, stages=numbers, scale=scaled, alpha=alpha)


def _joined(stages: Stages, rows: Rows) -> tuple[Floats, Floats, list[int]]:
    """What every look found new, and the stage of each."""
    found = [(number, *rows(counts)) for number, counts in stages]
    numbers = [number for number, one, _ in found for _ in range(len(one))]
    return (
        np.concatenate([one for _, one, _ in found]),
        np.concatenate([zero for _, _, zero in found]),
        numbers,
    )


def _counts(bins: tuple[int, ...], histogram: Histogram) -> Floats:
    return np.array([histogram.buckets.get(number, 0) for number in bins], dtype=np.float64)
