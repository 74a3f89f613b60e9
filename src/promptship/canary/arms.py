"""Several arms against one control: each is watched as a candidate is, with its part of alpha, and the units of all are judged at once.

An arm is compared with the control over the same time and by its own e-processes, so that what another arm does is no part of it. With
alpha divided by the number of arms, the chance that any arm that is not worse is ever dropped is at most alpha (Bonferroni), whatever
the arms have in common.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from promptship.canary import because
from promptship.canary.evidence import (
    ArmCounts,
    ArmUnits,
    Baseline,
    Finding,
    Health,
    LatencyCounts,
    Outcome,
    StageCounts,
    Values,
    Verdict,
)
from promptship.canary.look import take_look
from promptship.canary.process import Remembered
from promptship.canary.reading import Reading
from promptship.canary.sample_ratio import ALPHA
from promptship.canary.state import AnyWatch, State
from promptship.release.plan import Canary, Guardrail, Stage

ALPHA_RATIO: Final = ALPHA
"""Chance that a correct split over all arms is ever called wrong."""
_CONCENTRATIONS: Final = (20_000.0, 200.0)
"""As `sample_ratio` has them: a test compares the two."""
CAP_S: Final = 86_400.0 * 365


class ArmState(Remembered):
    """What is remembered of one arm between two looks."""

    guards: State
    """Of the guardrails: they can drop the arm."""
    measures: State | None = None
    """Of the metrics that are only measured; None: there are none."""

    @property
    def watches(self) -> tuple[AnyWatch, ...]:
        """All of them, guardrails first."""
        return self.guards.watches + (self.measures.watches if self.measures is not None else ())


def guarding(canary: Canary, *, arms: int, weight: float) -> Canary:
    """The plan one arm is watched by: the prompt's guardrails, none of which needs proof, at alpha / arms.

    Args:
        canary: the prompt's own.
        arms: how many are compared with the control.
        weight: the arm's part of its own and the control's units, above 0 and below 1.
    """
    rails = tuple(rail.model_copy(update={"prove": False}) for rail in canary.guardrails)
    return canary.model_copy(
        update={
            "guardrails": rails,
            "alpha": canary.alpha / arms,
            "stages": (Stage(share=weight, dwell=0.0, cap=CAP_S),),
            "holdback": 0.0,
        }
    )


def measuring(plan: Canary, metrics: Sequence[str]) -> Canary | None:
    """The same for metrics that are measured and guard nothing; None: there are none beside the guardrails."""
    guarded = {rail.metric for rail in plan.guardrails}
    more = tuple(Guardrail(metric=one, prove=False) for one in dict.fromkeys(metrics) if one not in guarded)
    return plan.model_copy(update={"guardrails": more}) if more else None


def fresh(plan: Canary, metrics: Sequence[str], baseline: Baseline) -> ArmState:
    """Before the first look; `baseline` is the control's history."""
    more = measuring(plan, metrics)
    measures = None if more is None else State.fresh(more, baseline)
    return ArmState(guards=State.fresh(plan, baseline), measures=measures)


def look_at_arm(
    plan: Canary,
    metrics: Sequence[str],
    look: int,
    state: ArmState,
    counts: StageCounts,
    health: Health,
    *,
    even: bool,
) -> tuple[ArmState, Verdict]:
    """One look at one arm against the control: `ROLL_BACK` drops it, anything else goes on.

    Args:
        plan: `guarding`.
        metrics: that are measured beside the guardrails.
        look: its number.
        state: after the look before.
        counts: `paired`, cumulative since the experiment began.
        health: of the telemetry; a problem judges nothing.
        even: whether the units of the experiment fell on its arms as they should. If not, nothing is taken in, and only a hard
            stop drops.
    """
    if not even and not health.problems:
        return state, Verdict(stage=0, look=look, findings=tuple(_hard_stops(plan, counts)))
    counts = counts.model_copy(update={"assigned": None})  # judged over all arms at once: `log_e`
    guards, verdict = take_look(plan, 0, look, state.guards, counts, health, elapsed_s=0.0)
    measures, more = state.measures, measuring(plan, metrics)
    if measures is not None and more is not None and not health.problems:
        measures = measures.take(more, counts)
    told = tuple(one for one in verdict.findings if one.rule not in _WAITING)
    return ArmState(guards=guards, measures=measures), verdict.model_copy(update={"findings": told})


_WAITING: Final = frozenset({"dwell", "requests_min", "units_min", "cap"})
"""Rules that keep a stage from advancing: an experiment has no next one."""


def _hard_stops(plan: Canary, counts: StageCounts) -> list[Finding]:
    found = []
    for rail in plan.guardrails:
        rate = counts.rates.get(rail.metric)
        if rate is not None and rail.stop_at is not None and rate.candidate.events >= rail.stop_at:
            found.append(because.stopped(Reading(guardrail=rail, counts=rate, bad=rate.candidate.events)))
    return found


def worse(verdict: Verdict) -> bool:
    """Whether the look drops the arm."""
    return verdict.outcome is Outcome.ROLL_BACK


def paired(arm: StageCounts, control: StageCounts) -> StageCounts:
    """The counts of an arm (in the candidate's role) beside those of the control (in stable's)."""
    latency = None
    if arm.latency is not None or control.latency is not None:
        one, zero = arm.latency or LatencyCounts(), control.latency or LatencyCounts()
        latency = LatencyCounts(candidate=one.candidate, stable=zero.stable)
    assigned = None
    if arm.assigned is not None or control.assigned is not None:
        assigned = _arm_counts(arm.assigned, control.assigned)
    return StageCounts(
        rates={name: _arm_counts(arm.rates.get(name), control.rates.get(name)) for name in _names(arm.rates, control.rates)},
        latency=latency,
        means={
            name: Values(
                candidate=arm.means.get(name, Values()).candidate, stable=control.means.get(name, Values()).stable
            )
            for name in _names(arm.means, control.means)
        },
        requests=_arm_counts(arm.requests, control.requests),
        units={
            name: ArmUnits(
                candidate=arm.units.get(name, ArmUnits()).candidate, stable=control.units.get(name, ArmUnits()).stable
            )
            for name in _names(arm.units, control.units)
        },
        assigned=assigned,
    )  # fmt: skip


def _names(one: Mapping[str, object], zero: Mapping[str, object]) -> list[str]:
    return sorted(one.keys() | zero.keys())


def _arm_counts(one: ArmCounts | None, zero: ArmCounts | None) -> ArmCounts:
    return ArmCounts(candidate=(one or ArmCounts()).candidate, stable=(zero or ArmCounts()).stable)


def log_e(assigned: Sequence[int], parts: Sequence[float]) -> float:
    """Log e-value of "the units did not fall on the arms with these parts"; 0 where there is nothing to split.

    The Dirichlet-multinomial mixtures of `promptship.canary.sample_ratio` for any number of arms (statistics 2(d)); with two it is the
    same number. Among the arms that are left after others were dropped, units fall with the parts that these have of each other:
    leave the others out of both lists.

    Args:
        assigned: different units of each arm so far.
        parts: what each arm should get, in any unit; above 0.
    """
    if len(parts) < 2 or not sum(assigned):  # noqa: PLR2004 - one arm gets everything
        return 0.0
    total = sum(parts)
    rho = [part / total for part in parts]
    chance = sum(n * math.log(part) for n, part in zip(assigned, rho, strict=True))
    mixtures = [_log_mixture([k * part for part in rho], assigned) - chance for k in _CONCENTRATIONS]
    largest = max(mixtures)
    return largest + math.log(math.fsum(math.exp(one - largest) for one in mixtures) / len(mixtures))


def _log_mixture(alphas: Sequence[float], assigned: Sequence[int]) -> float:
    return _log_beta([a + n for a, n in zip(alphas, assigned, strict=True)]) - _log_beta(alphas)


def _log_beta(alphas: Sequence[float]) -> float:
    return math.fsum(map(math.lgamma, alphas)) - math.lgamma(math.fsum(alphas))
