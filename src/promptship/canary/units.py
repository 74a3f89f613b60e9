"""Repeat users: how much less than independent the requests of one unit are (statistics 2(g)).

The design effect is the variance of the difference of both arms when units are the clusters, over what it would be if every request
were independent. Evidence counts with its logarithm divided by it: a thousand requests with a design effect of 4 weigh as 250.

Of rates it is the difference of the rates. Of latency, amounts and scores it is the difference of the mean *bin numbers* (logarithms, of
scores the score itself), although quantiles and capped means are what is judged. A threshold or a cap is a function of an answer's
logarithm, and if the logarithms of a unit's answers are jointly normal, no function of them is more correlated than they are (Lancaster,
"Some properties of the bivariate normal distribution", 1957). So one number serves every quantile, and errs to the safe side there.
"""

from __future__ import annotations

from typing import Final

from promptship.canary.evidence import ArmUnits, Histogram, UnitSums

REPEATS_FROM: Final = 1.5
"""From this design effect on repeats matter, and a stage needs `units_min`. Below it, the division alone is enough."""


Spreads = tuple[float, float]
"""Variance of one request's value, the candidate's and stable's."""


def design_effect(units: ArmUnits, spreads: Spreads | None = None) -> float:
    """At least 1, and exactly 1 when every unit of a rate asked once. The larger of two estimates.

    `spreads`: of bin numbers, whose sums `units` then has in place of bad requests (`bin_spreads`); None: a rate.

    One is the cluster-robust variance of each arm, which follows whatever heavy units do. With a handful of units it knows too little
    (with one, nothing), so the other takes the correlation within units from both arms together and each arm's own requests per unit
    (Kish): 1 + correlation * (sum n^2 / sum n - 1).
    """
    if not (units.candidate.requests and units.stable.requests):
        return 1.0  # a difference needs both
    arms = [units.candidate, units.stable]
    residuals = [_residuals(arm) for arm in arms]
    if spreads is None:
        spreads = _rate_spread(units.candidate), _rate_spread(units.stable)
    return max(1.0, _robust(arms, residuals, spreads), _kish(arms, residuals, spreads))


def bin_spreads(candidate: Histogram, stable: Histogram) -> Spreads:
    """Variance of the bin numbers of each arm's answers; 0 of an arm without answers."""
    return _bin_spread(candidate), _bin_spread(stable)


def _bin_spread(histogram: Histogram) -> float:
    """In whole numbers until the last division: a histogram read back from the ledger may have its bins in another order."""
    requests = sum(histogram.buckets.values())
    total = sum(number * count for number, count in histogram.buckets.items())
    squares = sum(number * number * count for number, count in histogram.buckets.items())
    return (squares * requests - total * total) / requests**2 if requests else 0.0


def _rate_spread(arm: UnitSums) -> float:
    rate = arm.events / arm.requests
    return rate * (1 - rate)


def _residuals(arm: UnitSums) -> float:
    """Sum of (s - m n)^2 over the arm's units, m being the arm's mean per request."""
    mean = arm.events / arm.requests
    return max(arm.events_squared - 2 * mean * arm.products + mean**2 * arm.requests_squared, 0.0)


def _robust(arms: list[UnitSums], residuals: list[float], spreads: Spreads) -> float:
    clustered = independent = 0.0
    for arm, total, spread in zip(arms, residuals, spreads, strict=True):
        if arm.units > 1:
            clustered += total * arm.units / (arm.units - 1) / arm.requests**2
            independent += spread / (arm.requests - 1)
    return clustered / independent if independent > 0 else 1.0


def _kish(arms: list[UnitSums], residuals: list[float], spreads: Spreads) -> float:
    shared = pairs = 0.0
    for arm, total, spread in zip(arms, residuals, spreads, strict=True):
        if arm.units > 1 and spread > 0:
            shared += total / spread - (arm.requests - 1)
            pairs += arm.requests_squared - arm.requests
    correlation = min(max(shared / pairs, 0.0), 1.0) if pairs > 0 else 0.0
    grown = sum((1 + correlation * (arm.requests_squared / arm.requests - 1)) / arm.requests for arm in arms)
    return grown / sum(1 / arm.requests for arm in arms)
