"""One look at a running canary: new counts into the e-processes, then the rule."""

from __future__ import annotations

import math
from typing import Final

from promptship.canary import eprocess, latency, mean, mean_watch, sample_ratio, scale
from promptship.canary.decide import decide
from promptship.canary.eprocess import Null, Side
from promptship.canary.evidence import ArmCounts, Counts, Health, LatencyCounts, StageCounts, Values, Verdict
from promptship.canary.mean_watch import MeanWatch
from promptship.canary.process import Process
from promptship.canary.reading import Limits, Means, Reading, Split
from promptship.canary.state import AnyWatch, State
from promptship.canary.watch import Watch, exceedances
from promptship.release.plan import Canary, Guardrail, Stage, is_latency

_LOG_E_MAX: Final = 690.0
"""e^690 is about 1e299: beyond it an e-value would not fit a float, nor JSON."""
_LOG_E_TELLING: Final = math.log(10.0)
"""From here on evidence of harm is what a latency finding tells about."""


def take_look(
    plan: Canary,
    stage: int,
    look: int,
    state: State,
    counts: StageCounts,
    health: Health,
    *,
    elapsed_s: float,
) -> tuple[State, Verdict]:
    """The state after this look, and what the look concludes.

    `stage` counts from 0, `counts` are cumulative since the stage began, `elapsed_s` is the stage's age. A state of an earlier stage
    is moved on first. With any problem of `health`, and while the units did not fall on the arms as they should, nothing is taken in:
    the rows come with a later look's increment, once they can be trusted. The same counts twice conclude the same twice.

    Raises:
        IllegalTransition: the state is of a later stage.
    """
    state = state.at_stage(stage)
    readings: list[Reading] = []
    split = None
    if not health.problems:
        split = _split(plan.stages[stage], counts)
        state = state.note(plan, counts)
        if split is None or split.e_value < split.threshold:
            state = state.take(plan, counts)
        pairs = zip(plan.guardrails, state.watches, strict=True)
        readings = [_read(guardrail, watched, plan, stage, counts) for guardrail, watched in pairs]
    requests = counts.requests.candidate.requests
    verdict = decide(
        plan, stage, look, readings, requests=requests, elapsed_s=elapsed_s, health=health, split=split
    )
    return state, verdict


def _split(stage: Stage, counts: StageCounts) -> Split | None:
    if counts.assigned is None or stage.share >= 1:
        return None
    evidence = _e_value(sample_ratio.log_e(counts.assigned, stage.share))
    return Split(
        assigned=counts.assigned, share=stage.share, e_value=evidence, threshold=1 / sample_ratio.ALPHA
    )


def _read(guardrail: Guardrail, watched: AnyWatch, plan: Canary, number: int, counts: StageCounts) -> Reading:
    stage = plan.stages[number]
    units = counts.units.get(guardrail.metric)
    reading = Reading(
        guardrail=guardrail,
        counts=None,
        e_harm=_e_value(watched.log_harm / watched.effect),
        e_safe=1.0 if watched.log_safe is None else _e_value(watched.log_safe / watched.effect),
        design_effect=watched.effect,
        units=None if units is None else units.candidate.units,
        bad=watched.bad_before + watched.bad if isinstance(watched, Watch) else 0,
    )
    if stage.share >= 1:
        return reading
    if isinstance(watched, MeanWatch):
        return _with_mean(reading, watched, stage, counts.means.get(guardrail.metric), plan.alpha_advance)
    if is_latency(guardrail.metric):
        return _with_latency(reading, watched, stage, counts.latency, plan.alpha_advance)
    return _with_rate(reading, watched, stage, counts.rates.get(guardrail.metric), plan.alpha_advance)


def _with_rate(
    reading: Reading, watched: Watch, stage: Stage, counts: ArmCounts | None, alpha: float
) -> Reading:
    if counts is None or not _both(counts):
        return reading
    floor = reading.guardrail.margin_floor
    p0 = (watched.safe or watched.harm[0]).p0
    null = eprocess.unsafe(stage.margin, floor, p0)
    nats = 0.0 if watched.safe is None else eprocess.information(null, p0, watched.safe.p0, _share(counts))
    return reading.model_copy(
        update={
            "counts": counts,
            "margin": eprocess.margin_points(stage.margin, floor, p0),
            "requests_needed": _needed(watched, nats, alpha),
        }
    )


def _with_latency(
    reading: Reading, watched: Watch, stage: Stage, counts: LatencyCounts | None, alpha: float
) -> Reading:
    if counts is None or not watched.edges:
        return reading
    which = _telling(watched)
    edge = watched.edges[which]
    slow = exceedances(counts, edge, reading.guardrail.tolerance)
    if not _both(slow):
        return reading
    wide = latency.widened(edge, stage.margin)
    beyond = latency.exceeding(counts.stable, wide)
    p1 = float(eprocess.predicted_rate(beyond.events, beyond.requests))
    safe = _safe_at(watched, which)
    nats = 0.0 if safe is None else eprocess.information(Null(Side.SAFETY), p1, safe.p0, _share(slow))
    return reading.model_copy(
        update={
            "counts": slow,
            "counts_margin": exceedances(counts, edge, stage.margin),
            "limits": Limits(
                slow_ms=latency.edge_ms(edge),
                margin_ms=latency.edge_ms(wide),
                quantile=latency.QUANTILES[which],
            ),
            "requests_needed": _needed(watched, nats, alpha),
        }
    )


def _telling(watched: Watch) -> int:
    """The quantile that a reading is about: where there is much evidence of harm, the one it comes from; else the least proven."""
    if watched.log_harm >= _LOG_E_TELLING:
        harm = [process.log_e for process in watched.harm]
        return harm.index(max(harm))
    safe = [process.log_e for process in watched.safe_by_quantile]
    return safe.index(min(safe)) if safe else latency.P95


def _safe_at(watched: Watch, which: int) -> Process | None:
    """The proof whose end is estimated; `latency_p95` has only that of p95."""
    return watched.safe_by_quantile[which] if watched.safe_by_quantile else watched.safe


def _with_mean(
    reading: Reading, watched: MeanWatch, stage: Stage, counts: Values | None, alpha: float
) -> Reading:
    if counts is None or watched.cap is None:
        return reading
    seen = ArmCounts(
        candidate=Counts(requests=latency.total(counts.candidate)),
        stable=Counts(requests=latency.total(counts.stable)),
    )
    if not _both(seen):
        return reading
    metric, cap = watched.metric, watched.cap
    null = mean_watch.unsafe(reading.guardrail, stage.margin, watched.m0)
    part = float(null.ratio * watched.m0 + null.shift) - watched.m0
    nats = mean.information(null, part, watched.variance, _share(seen))
    return reading.model_copy(
        update={
            "counts": seen,
            "margin": part * cap,
            "means": Means(
                candidate=mean_watch.mean_of(metric, counts.candidate, cap),
                stable=mean_watch.mean_of(metric, counts.stable, cap),
                cap=None if scale.is_score(metric) else cap,
            ),
            "requests_needed": _needed(watched, nats, alpha),
        }
    )


def _both(counts: ArmCounts) -> bool:
    return counts.candidate.requests > 0 and counts.stable.requests > 0


def _share(counts: ArmCounts) -> float:
    """The candidate's part of what was measured: a judge that sees one of stable's answers in ten leaves it less to compare with."""
    one, zero = counts.candidate.requests, counts.stable.requests
    return one / (one + zero)


def _needed(watched: AnyWatch, nats: float, alpha: float) -> int | None:
    """Candidate requests until safety is shown: the evidence that is missing over the information in one, for repeat users too.

    At least half a nat, about the planner's "add half a look" (statistics 2(i)).
    """
    if watched.log_safe is None or nats <= 0:
        return None
    missing = max(-math.log(alpha) * watched.effect - watched.log_safe, 0.5)
    return math.ceil(missing / nats)


def _e_value(log_e: float) -> float:
    return math.exp(min(log_e, _LOG_E_MAX))
