"""Repeat users: how much less than independent the requests of one unit are (statistics 2(g)).

The design effect is the variance of the difference of both arms' rates when units are the clusters, over what it would be if every
request were independent. Evidence counts with its logarithm divided by it: a thousand requests with a design effect of 4 weigh as 250.
"""

from __future__ import annotations

from typing import Final

from promptship.canary.evidence import ArmUnits, UnitSums

REPEATS_FROM: Final = 1.5
"""From this design effect on repeats matter, and a stage needs `units_min`. Below it, the division alone is enough."""


def design_effect(units: ArmUnits) -> float:
    """At least 1, and exactly 1 when every unit asked once. The larger of two estimates.

    One is the cluster-robust variance of each arm, which follows whatever heavy units do. With a handful of units it knows too little
    (with one, nothing), so the other takes the correlation within units from both arms together and each arm's own requests per unit
    (Kish): 1 + correlation * (sum n^2 / sum n - 1).
    """
    arms = [arm for arm in (units.candidate, units.stable) if arm.requests > 0]
    if len(arms) < 2:  # noqa: PLR2004 - a difference needs both
        return 1.0
    return max(1.0, _robust(arms), _kish(arms))


def _residuals(arm: UnitSums) -> tuple[float, float]:
    """Sum of (s - p n)^2 over the arm's units, and p (1-p)."""
    rate = arm.events / arm.requests
    total = arm.events_squared - 2 * rate * arm.products + rate**2 * arm.requests_squared
    return max(total, 0.0), rate * (1 - rate)


def _robust(arms: list[UnitSums]) -> float:
    clustered = binomial = 0.0
    for arm in arms:
        total, spread = _residuals(arm)
        if arm.units > 1:
            clustered += total * arm.units / (arm.units - 1) / arm.requests**2
            binomial += spread / (arm.requests - 1)
    return clustered / binomial if binomial > 0 else 1.0


def _kish(arms: list[UnitSums]) -> float:
    shared = pairs = 0.0
    for arm in arms:
        total, spread = _residuals(arm)
        if arm.units > 1 and spread > 0:
            shared += total / spread - (arm.requests - 1)
            pairs += arm.requests_squared - arm.requests
    correlation = min(max(shared / pairs, 0.0), 1.0) if pairs > 0 else 0.0
    grown = sum((1 + correlation * (arm.requests_squared / arm.requests - 1)) / arm.requests for arm in arms)
    return grown / sum(1 / arm.requests for arm in arms)
