"""A published incident, replayed: how fast would promptship have rolled back, and what would "within 12 minutes" have needed?

A fintech gave 2 % of its traffic a prompt that said "Be concise". Escalations rose by 15 %, and it was rolled back after 12 minutes. How
often customers escalated before was not said, so it is tried for several base rates: 40 requests per second of simulated time, every
customer asks once, escalations are known at once, a look every 5 seconds, the product's own e-processes and rule.

    python benchmarks/bench_incident.py [--quick] [--runs N] [--seed N]
"""

from __future__ import annotations

import argparse
import math
import time
from statistics import NormalDist

import numpy as np

from promptship.canary.laws import RateLaw
from promptship.canary.simulate import ROLLED_BACK, Ended, Measured, Traffic, run_plan
from promptship.release.plan import Canary, Guardrail, Stage

PER_S, SHARE, EFFECT, MINUTES, ALPHA = 40.0, 0.02, 0.15, 12.0, 0.05
BASES = (0.02, 0.05, 0.10, 0.20, 0.30, 0.40)
METRIC = "feedback:escalated"
DAYS_S = 7 * 86400.0


def released(
    base: float, effect: float, runs: int, seed: int, *, guardrails: int = 1, share: float = SHARE
) -> Ended:
    """Candidates that are `effect` worse, in one stage that only a rollback ends; the other guardrails take their part of alpha."""
    rail = Guardrail(metric=METRIC, weight=1.0, prove=True)
    others = [Guardrail(metric=f"check:other_{number}", prove=False) for number in range(guardrails - 1)]
    plan = Canary(
        stages=(Stage(share=share, dwell=DAYS_S, cap=DAYS_S, margin=10.0),),
        guardrails=(rail, *others),
        alpha=ALPHA,
    )
    measured = [Measured(rail, RateLaw(base)), *(Measured(other, RateLaw(0.001)) for other in others)]
    effects = np.zeros((runs, guardrails))
    effects[:, 0] = effect
    return run_plan(
        plan, measured, effects, Traffic(PER_S), np.random.default_rng([seed, round(base * 1000)])
    )


def minutes(ended: Ended) -> tuple[float, float]:
    """Median and p90 until the rollback."""
    back = np.where(ended.outcome == ROLLED_BACK, ended.seconds / 60, np.inf)
    half, most = np.quantile(back, (0.5, 0.9), method="inverted_cdf")
    return float(half), float(most)


def best_power(base: float) -> float:
    """Chance of noticing after 12 minutes for the best test there is that looks once, then, and is wrong in 5 % (Neyman and Pearson)."""
    n1 = PER_S * SHARE * 60 * MINUTES
    n0 = n1 * (1 - SHARE) / SHARE
    p1 = base * (1 + EFFECT)
    pooled = base * (1 - base) * (1 / n1 + 1 / n0)
    actual = p1 * (1 - p1) / n1 + base * (1 - base) / n0
    reach = (p1 - base - NormalDist().inv_cdf(1 - ALPHA) * math.sqrt(pooled)) / math.sqrt(actual)
    return NormalDist().cdf(reach)


def effect_needed(base: float, runs: int, seed: int) -> float:
    """The effect, in steps of 5 points, whose median is at most 12 minutes."""
    low, high = 3, 60
    while low < high:
        middle = (low + high) // 2
        if minutes(released(base, middle * 0.05, runs, seed))[0] <= MINUTES:
            high = middle
        else:
            low = middle + 1
    return low * 0.05


def row(base: float, runs: int, seed: int) -> tuple[str, ...]:
    """One base rate."""
    ended = released(base, EFFECT, runs, seed)
    half, most = minutes(ended)
    early = float(np.mean((ended.outcome == ROLLED_BACK) & (ended.seconds <= 60 * MINUTES)))
    exposed = np.quantile(ended.requests, (0.5, 0.9))
    extra = float(np.median(ended.bad[:, 0])) * EFFECT / (1 + EFFECT)
    of_three, _ = minutes(released(base, EFFECT, runs, seed, guardrails=3))
    return (
        f"{base:.0%} -> {base * (1 + EFFECT):.1%}", f"{half:,.0f} / {most:,.0f}", f"{of_three:,.0f}", f"{early:.0%}", f"{best_power(base):.0%}",
        f"{exposed[0]:,.0f} / {exposed[1]:,.0f}", f"{extra:,.0f}", f"{PER_S * half / MINUTES:,.0f}",
        f"+{effect_needed(base, max(runs // 4, 50), seed):.0%}",
    )  # fmt: skip


HEADER = (
    "escalations", "minutes to rollback", "with 3", "in 12 min", "best test", "customers exposed", "extra", "req/s", "effect",
)  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 runs instead of 1,000")
    parser.add_argument("--runs", type=int, default=None)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    runs = arguments.runs or (200 if arguments.quick else 1000)
    started = time.perf_counter()
    table = [HEADER, *(row(base, runs, arguments.seed) for base in BASES)]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEADER))]
    for line in table:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    print(
        f"\n{runs:,} runs, seed {arguments.seed}: +{EFFECT:.0%} at {SHARE:.0%} of {PER_S:g} req/s, alpha {ALPHA:.0%}, looks every 5 s, "
        f"{time.perf_counter() - started:.0f} s.\n"
        "minutes, customers: median / p90; extra: escalations that stable would not have caused, median; with 3: median minutes when two\n"
        "other guardrails share alpha; in 12 min: rolled back by then; best test: power of a single test at that minute; req/s, effect: what\n"
        "makes the median 12 minutes."
    )


if __name__ == "__main__":
    main()
