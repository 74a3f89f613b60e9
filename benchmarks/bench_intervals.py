"""Intervals of experiments: how often they ever miss the truth when they are looked at all the time, and how wide they are.

Looked at every 50 requests of the arm up to 10,000. Beside it a usual 95 % interval, looked at as often, and its width at the end: what
"however often you look" costs.

    python benchmarks/bench_intervals.py [--quick] [--runs N] [--seed N]
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np

from promptship.canary.eprocess import Floats
from promptship.canary.interval import ALPHA, Blocks, merge, rate_effect

LOOK, REQUESTS = 50, 10_000
SCENARIOS = (
    ("5 % in both, half of the traffic", 0.05, 0.05, (0.5,), 0.0),
    ("10 % in both, 2 %", 0.10, 0.10, (0.02,), 0.0),
    ("10 -> 11.5 %, 2 %", 0.115, 0.10, (0.02,), 0.0),
    ("1 -> 2 %, 10 %", 0.02, 0.01, (0.1,), 0.0),
    ("30 -> 25 %, half", 0.25, 0.30, (0.5,), 0.0),
    ("10 -> 12 %, ramp 1/5/25/50 %, base rising by 80 %", 0.12, 0.10, (0.01, 0.05, 0.25, 0.5), 0.8),
)


def experiment(
    p1: float, p0: float, shares: tuple[float, ...], rising: float, rng: np.random.Generator
) -> tuple[Floats, Floats, list[int]]:
    """Looks of both arms, and the stage of each."""
    number = REQUESTS // LOOK
    stages = [min(look * len(shares) // number, len(shares) - 1) for look in range(number)]
    share = np.array([shares[stage] for stage in stages])
    factor = 1 + rising * np.arange(number) / number
    n0 = rng.negative_binomial(LOOK, share)
    one = np.stack([np.full(number, LOOK), rng.binomial(LOOK, p1 * factor)], 1)
    return one.astype(float), np.stack([n0, rng.binomial(n0, p0 * factor)], 1).astype(float), stages


def usual(one: Floats, zero: Floats, truth: float) -> tuple[bool, float]:
    """Whether a 95 % interval of the pooled counts ever misses the difference, from 100 requests on; its half width at the end."""
    (n1, x1), (n0, x0) = np.cumsum(one, 0).T, np.cumsum(zero, 0).T
    p1, p0 = x1 / n1, x0 / n0
    error = np.sqrt(p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0)
    late = (n1 >= 100) & (error > 0)
    return bool(np.any(np.abs(p1 - p0 - truth)[late] > 1.96 * error[late])), float(1.96 * error[-1])


def row(
    name: str, p1: float, p0: float, shares: tuple[float, ...], rising: float, runs: int, seed: int
) -> tuple[str, ...]:
    """One scenario. What holds all the time is the relative difference; where rates do not move, the absolute one too."""
    rng = np.random.default_rng([seed, round(p1 * 1000), len(shares)])
    missed, widths = np.zeros(3), []
    for run in range(runs):
        one, zero, stages = experiment(p1, p0, shares, rising, rng)
        blocks = Blocks(*merge(one, zero, stages), np.array([0.0, 1.0]))
        for index, (truth, relative) in enumerate(((p1 - p0, False), (p1 / p0 - 1, True))):
            missed[index] += max(
                map(float, np.concatenate(blocks.log_e(np.array([truth]), relative=relative)))
            ) >= -math.log(ALPHA / 2)
        out, width = usual(one, zero, p1 - p0)
        missed[2] += out
        if run < 30:
            found = rate_effect(one, zero, stages=stages)
            if found is not None and found.absolute.low is not None and found.absolute.high is not None:
                widths.append((found.absolute.high - found.absolute.low) / 2 / width)
    absolute = "-" if rising else f"{missed[0] / runs:.1%}"
    told = "-" if rising or not widths else f"{np.median(widths):.2f}"
    return name, absolute, f"{missed[1] / runs:.1%}", f"{missed[2] / runs:.1%}", told


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="60 runs instead of 400")
    parser.add_argument("--runs", type=int, default=None)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    runs = arguments.runs or (60 if arguments.quick else 400)
    started = time.perf_counter()
    header = (
        "scenario",
        "difference missed",
        "relative missed",
        "usual interval, peeked",
        "width / usual at the end",
    )
    table = [header, *(row(*scenario, runs, arguments.seed) for scenario in SCENARIOS)]
    widths = [max(len(line[column]) for line in table) for column in range(len(header))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    limit = ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / runs)
    print(
        f"\n{runs:,} runs, seed {arguments.seed}, {time.perf_counter() - started:.0f} s; missed, ever: at most {limit:.1%} wanted"
    )


if __name__ == "__main__":
    main()
