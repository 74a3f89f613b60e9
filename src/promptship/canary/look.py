"""One look at a running canary: new counts into the e-processes, then the rule."""

from __future__ import annotations

import math
from typing import Final

from promptship.canary import eprocess, latency
from promptship.canary.decide import decide
from promptship.canary.eprocess import Null, Side
from promptship.canary.evidence import ArmCounts, Health, LatencyCounts, StageCounts, Verdict
from promptship.canary.reading import Limits, Reading
from promptship.canary.state import Process, State, Watch, exceedances
from promptship.release.plan import Canary, Guardrail, Metric, Stage

_LOG_E_MAX: Final = 690.0
"""e^690 is about 1e299: beyond it an e-value would not fit a float, nor JSON."""


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
    is moved on first. With any problem of `health` nothing is taken in: the rows come with a later look's increment, once they can be
    trusted. The same counts twice conclude the same twice.

    Raises:
        IllegalTransition: the state is of a later stage.
    """
    state = state.at_stage(stage)
    readings: list[Reading] = []
    if not health.problems:
        state = state.take(plan, counts)
        pairs = zip(plan.guardrails, state.watches, strict=True)
        readings = [_read(guardrail, watch, plan, stage, counts) for guardrail, watch in pairs]
    requests = counts.requests.candidate.requests
    return state, decide(plan, stage, look, readings, requests=requests, elapsed_s=elapsed_s, health=health)


def _read(guardrail: Guardrail, watch: Watch, plan: Canary, number: int, counts: StageCounts) -> Reading:
    stage = plan.stages[number]
    reading = Reading(
        guardrail=guardrail,
        counts=None,
        e_harm=_e_value(watch.log_harm),
        e_safe=1.0 if watch.log_safe is None else _e_value(watch.log_safe),
    )
    if stage.share >= 1:
        return reading
    if guardrail.metric == Metric.LATENCY_P95:
        return _with_latency(reading, watch, stage, counts.latency, plan.alpha_advance)
    return _with_rate(reading, watch, stage, counts.rates.get(guardrail.metric), plan.alpha_advance)


def _with_rate(
    reading: Reading, watch: Watch, stage: Stage, counts: ArmCounts | None, alpha: float
) -> Reading:
    if counts is None or not _both(counts):
        return reading
    floor = reading.guardrail.margin_floor
    p0 = (watch.safe or watch.harm[0]).p0
    null = eprocess.unsafe(stage.margin, floor, p0)
    return reading.model_copy(
        update={
            "counts": counts,
            "margin": eprocess.margin_points(stage.margin, floor, p0),
            "requests_needed": _needed(watch.safe, null, p0, stage.share, alpha),
        }
    )


def _with_latency(
    reading: Reading, watch: Watch, stage: Stage, counts: LatencyCounts | None, alpha: float
) -> Reading:
    if counts is None or not watch.edges:
        return reading
    edge = watch.edges[latency.P95]
    slow = exceedances(counts, edge, reading.guardrail.tolerance)
    if not _both(slow):
        return reading
    wide = latency.widened(edge, stage.margin)
    beyond = latency.exceeding(counts.stable, wide)
    p1 = float(eprocess.predicted_rate(beyond.events, beyond.requests))
    return reading.model_copy(
        update={
            "counts": slow,
            "counts_margin": exceedances(counts, edge, stage.margin),
            "limits": Limits(slow_ms=latency.edge_ms(edge), margin_ms=latency.edge_ms(wide)),
            "requests_needed": _needed(watch.safe, Null(Side.SAFETY), p1, stage.share, alpha),
        }
    )


def _both(counts: ArmCounts) -> bool:
    return counts.candidate.requests > 0 and counts.stable.requests > 0


def _needed(safe: Process | None, null: Null, p1: float, share: float, alpha: float) -> int | None:
    """Candidate requests until safety is shown, if its true rate is p1: the evidence that is missing over the information in one.

    At least half a nat, about the planner's "add half a look" (statistics 2(i)).
    """
    if safe is None:
        return None
    nats = eprocess.information(null, p1, safe.p0, share)
    missing = max(-math.log(alpha) - safe.log_e, 0.5)
    return math.ceil(missing / nats) if nats > 0 else None


def _e_value(log_e: float) -> float:
    return math.exp(min(log_e, _LOG_E_MAX))
