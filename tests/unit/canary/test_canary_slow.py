"""The e-processes against an independent, slow implementation: brute-force projection by scipy, plain floats, no arrays."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.optimize import minimize

from promptship.canary import eprocess
from promptship.canary.eprocess import Null, Side
from promptship.canary.evidence import ArmCounts, Baseline, Counts, StageCounts
from promptship.canary.state import State
from promptship.release.plan import Canary, Guardrail, Stage


def kl(p: float, q: float) -> float:
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def slow_projection(
    side: Side, ratio: float, shift: float, p1: float, p0: float, share: float
) -> tuple[float, float]:
    """Minimise over both coordinates under the inequality, from several starts: nothing is known about where the minimum lies."""
    sign = 1.0 if side is Side.HARM else -1.0
    if sign * (ratio * p0 + shift - p1) >= 0:
        return p1, p0

    def inside(q: Sequence[float]) -> float:
        return sign * (ratio * q[1] + shift - q[0])

    best = None
    for start in ((0.05, 0.05), (0.2, 0.1), (p0, p0), (p1, p1), (p1, p0)):
        found = minimize(
            lambda q: 1e3 * (share * kl(p1, q[0]) + (1 - share) * kl(p0, q[1])),
            start,
            bounds=[(1e-7, 1 - 1e-7)] * 2,
            constraints=[{"type": "ineq", "fun": inside}],
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        if inside(found.x) >= -1e-9 and (best is None or found.fun < best.fun):
            best = found
    assert best is not None
    return float(best.x[0]), float(best.x[1])


CASES = [
    (Side.HARM, 1.0, 0.0, 0.2, 0.1, 0.02),
    (Side.HARM, 1.0, 0.0, 0.3, 0.1, 0.5),
    (Side.HARM, 1.1, 0.0, 0.2, 0.1, 0.05),
    (Side.HARM, 1.5, 0.0, 0.04, 0.02, 0.25),
    (Side.HARM, 1.0, 0.01, 0.05, 0.02, 0.05),
    (Side.HARM, 1.5, 0.0, 0.12, 0.1, 0.05),
    (Side.SAFETY, 1.25, 0.0, 0.1, 0.1, 0.01),
    (Side.SAFETY, 2.0, 0.0, 0.1, 0.1, 0.5),
    (Side.SAFETY, 1.1, 0.0, 0.08, 0.1, 0.25),
    (Side.SAFETY, 1.0, 0.005, 0.01, 0.01, 0.05),
    (Side.SAFETY, 1.0, 0.05, 0.002, 0.01, 0.05),
    (Side.SAFETY, 1.0, 0.0, 0.03, 0.05, 0.2),
    (Side.SAFETY, 1.3, 0.0, 0.6, 0.7, 0.3),
    (Side.SAFETY, 1.25, 0.0, 0.2, 0.1, 0.05),
]


@pytest.mark.parametrize("case", CASES)
def test_the_bisection_finds_what_brute_force_finds(
    case: tuple[Side, float, float, float, float, float],
) -> None:
    side, ratio, shift, p1, p0, share = case
    fast = tuple(float(q) for q in eprocess.project(Null(side, ratio, shift), p1, p0, share))
    assert fast == pytest.approx(slow_projection(*case), abs=2e-5)


def log_factor(side: Side, ratio: float, shift: float, p1: float, p0: float, counts: ArmCounts) -> float:
    share = counts.candidate.requests / (counts.candidate.requests + counts.stable.requests)
    q1, q0 = slow_projection(side, ratio, shift, p1, p0, share)
    one, zero = counts.candidate, counts.stable
    return (
        one.events * math.log(p1 / q1)
        + (one.requests - one.events) * math.log((1 - p1) / (1 - q1))
        + zero.events * math.log(p0 / q0)
        + (zero.requests - zero.events) * math.log((1 - p0) / (1 - q0))
    )


def odds_shifted(p: float, factor: float) -> float:
    odds = factor * p / (1 - p)
    return odds / (1 + odds)


def slow_run(parts: list[ArmCounts], tolerance: float, margin: float, floor: float) -> tuple[float, float]:
    """E-values of harm and safety after all looks, from the formulas of statistics 2(a), term by term. History: 150 of 1,000."""
    events, requests = 30.0, 200.0
    cash = 0.2
    harm = {1.09: 0.24, 1.13: 0.16, 1.25: 0.12, 1.6: 0.12, 2.4: 0.08, 4.0: 0.08}
    prior = {1.09: 0.3, 1.13: 0.2, 1.25: 0.15, 1.6: 0.15, 2.4: 0.1, 4.0: 0.1}
    safe = {0.7: 0.2, 1.0: 0.5, 1.6: 0.2, 3.0: 0.1}
    earlier = 0
    for counts in parts:
        p0 = (events + 0.5) / (requests + 1)
        fresh = cash * (1 - 0.97 ** (earlier / 100))
        cash -= fresh
        for factor, capital in list(harm.items()):
            p1 = odds_shifted(p0 * (1 + tolerance), factor)
            growth = log_factor(Side.HARM, 1 + tolerance, 0.0, p1, p0, counts)
            harm[factor] = (capital + fresh * prior[factor]) * math.exp(growth)
        ratio, shift = (1 + margin, 0.0) if margin * p0 >= floor else (1.0, floor)
        edge = ratio * p0 + shift
        gap = math.log(p0 / (1 - p0)) - math.log(edge / (1 - edge))
        for step in safe:
            p1 = odds_shifted(edge, math.exp(step * gap))
            safe[step] *= math.exp(log_factor(Side.SAFETY, ratio, shift, p1, p0, counts))
        events, requests = events + counts.stable.events, requests + counts.stable.requests
        earlier = counts.candidate.requests
    return cash + sum(harm.values()), sum(safe.values())


@pytest.mark.parametrize(("tolerance", "margin", "floor"), [(0.0, 0.3, 0.005), (0.2, 0.1, 0.03)])
def test_a_run_of_looks_agrees_with_the_formulas_term_by_term(
    tolerance: float, margin: float, floor: float
) -> None:
    parts = [
        ArmCounts(candidate=Counts(requests=n1, events=x1), stable=Counts(requests=n0, events=x0))
        for n1, x1, n0, x0 in ((40, 7, 360, 55), (9, 0, 12, 1), (55, 12, 500, 70), (21, 2, 190, 33))
    ]
    guardrail = Guardrail(metric="error_rate", tolerance=tolerance, margin_floor=floor)
    plan = Canary(stages=(Stage(share=0.1, margin=margin),), guardrails=(guardrail,))
    state = State.fresh(plan, Baseline(rates={"error_rate": Counts(requests=1000, events=150)}))
    for k in range(len(parts)):
        table = np.array(
            [[[a.requests, a.events] for a in (p.candidate, p.stable)] for p in parts[: k + 1]]
        ).sum(axis=0)
        one, zero = (Counts(requests=int(n), events=int(x)) for n, x in table)
        state = state.take(plan, StageCounts(rates={"error_rate": ArmCounts(candidate=one, stable=zero)}))
    e_harm, e_safe = slow_run(parts, tolerance, margin, floor)
    log_safe = state.watches[0].log_safe
    assert log_safe is not None
    assert state.watches[0].log_harm == pytest.approx(math.log(e_harm), abs=2e-4)
    assert log_safe == pytest.approx(math.log(e_safe), abs=2e-4)
