"""False rollbacks and delays of the canary's e-processes, simulated with the product's own mathematics, in one table.

Looks every 100 candidate requests up to 20,000; the number of stable requests per look is what the split makes it. Beside the
e-process stands what many tools do: a pooled z-test at 5 %, repeated at every look, on the same data.

    python benchmarks/bench_statistics.py [replications] [seed]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from promptship.canary import eprocess
from promptship.canary.eprocess import Floats, Null

LOOK = 100
LOOKS = 200
ALPHA = 0.05
HISTORY = 200.0
Path = Callable[[int], float]
"""A rate or share by look."""


@dataclass(frozen=True)
class Scenario:
    """One row: rates of both arms and the candidate's share, by look, and what statistics section 6 wants of it."""

    name: str
    p1: Path
    p0: Path
    share: Path
    start: int = 0
    """Candidate requests before the degradation: delays count from there."""
    target: str = ""


def constant(value: float) -> Path:
    """The same at every look."""
    return lambda _: value


@dataclass(frozen=True)
class Outcome:
    """Per replication: the look that crossed, counted from 1; 0 for none."""

    ours: NDArray[np.int_]
    peeked: NDArray[np.int_]


def increments(
    scenario: Scenario, look: int, replications: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Counts of one look: candidate events, stable requests, stable events, per replication."""
    n0 = rng.negative_binomial(LOOK, scenario.share(look), replications)
    x0, x1 = rng.binomial(n0, scenario.p0(look)), rng.binomial(LOOK, scenario.p1(look), replications)
    return x1.astype(float), n0.astype(float), x0.astype(float)


def simulate(
    scenario: Scenario,
    replications: int,
    rng: np.random.Generator,
    *,
    null_at: Callable[[Floats], Null],
    looks: int = LOOKS,
) -> Outcome:
    """Run one scenario: the e-process against the null, and a peeked pooled z-test for harm."""
    harm = null_at(np.array(0.1)).side is eprocess.Side.HARM
    weights = eprocess.HARM_WEIGHTS if harm else eprocess.SAFETY_WEIGHTS
    cash = np.full(replications, eprocess.CASH if harm else 0.0)
    wealth = np.broadcast_to(eprocess.open_bets(weights, float(cash[0])), (replications, len(weights)))
    requests = np.full(replications, HISTORY)
    events = rng.binomial(int(HISTORY), scenario.p0(0), replications).astype(float)
    ours, peeked = np.zeros(replications, dtype=int), np.zeros(replications, dtype=int)
    pooled = np.zeros((4, replications))
    for look in range(looks):
        x1, n0, x0 = increments(scenario, look, replications, rng)
        p0 = eprocess.predicted_rate(events, requests)
        null = per_alternative(null_at(p0))
        p1 = eprocess.alternatives(null_at(p0), p0)
        if harm:
            wealth, cash = eprocess.move_cash(wealth, cash, LOOK if look else 0, weights)
        arms = (np.full((replications, 1), LOOK), x1[:, None]), (n0[:, None], x0[:, None])
        wealth = wealth + eprocess.log_growth(null, p1, p0[:, None], *arms)
        events, requests = events + x0, requests + n0
        pooled += np.array([np.full(replications, LOOK), x1, n0, x0])
        crossed = eprocess.log_e_value(wealth, cash) >= -np.log(ALPHA)
        ours = np.where((ours == 0) & crossed, look + 1, ours)
        peeked = np.where((peeked == 0) & (z_score(*pooled) > 1.6449), look + 1, peeked)
    return Outcome(ours, peeked)


def per_alternative(null: Null) -> Null:
    """The same null, its arrays ready to meet one more axis of alternatives."""
    ratio, shift = (np.asarray(value, dtype=float)[..., None] for value in (null.ratio, null.shift))
    return Null(null.side, ratio, shift) if null.side is eprocess.Side.SAFETY else null


def z_score(n1: Floats, x1: Floats, n0: Floats, x0: Floats) -> Floats:
    """Pooled two-sample z of x1/n1 - x0/n0; 0 while nothing happened."""
    pool = (x1 + x0) / (n1 + n0)
    error = np.sqrt(pool * (1 - pool) * (1 / n1 + 1 / n0))
    return np.divide(x1 / n1 - x0 / n0, error, out=np.zeros_like(error), where=error > 0)


def ramp(look: int) -> float:
    """Shares 1, 5, 25, 50 %, a quarter of the looks each."""
    return (0.01, 0.05, 0.25, 0.5)[look * 4 // LOOKS]


def rising(look: int) -> float:
    """A base rate that rises from 8 to 14.4 %."""
    return 0.08 + 0.064 * look / (LOOKS - 1)


def daily(look: int) -> float:
    """A base rate of 10 % with a daily cycle of +-40 %, 40 looks a day."""
    return 0.1 * (1 + 0.4 * float(np.sin(look / 40 * 2 * np.pi)))


SAME = [
    Scenario("A/A 0.2 %", constant(0.002), constant(0.002), constant(0.02)),
    Scenario("A/A 5 %", constant(0.05), constant(0.05), constant(0.02)),
    Scenario("A/A 10 %", constant(0.10), constant(0.10), constant(0.02)),
    Scenario("A/A 20 %", constant(0.20), constant(0.20), constant(0.02)),
    Scenario("A/A ramp 1/5/25/50 %, base 8 -> 14.4 %", rising, rising, ramp),
    Scenario("A/A base 10 % +-40 % daily", daily, daily, constant(0.02)),
]
WORSE = [
    Scenario("10 -> 11 %", constant(0.11), constant(0.10), constant(0.02), target="6,200/14,500"),
    Scenario("10 -> 11.5 %", constant(0.115), constant(0.10), constant(0.02), target="3,000/6,700"),
    Scenario("10 -> 15 %", constant(0.15), constant(0.10), constant(0.02), target="400/900"),
    Scenario("10 -> 20 %", constant(0.20), constant(0.10), constant(0.02), target="200/300"),
    Scenario("10 -> 30 %", constant(0.30), constant(0.10), constant(0.02), target="100/100"),
    Scenario("0.5 -> 2 %", constant(0.02), constant(0.005), constant(0.02), target="450/1,000"),
    Scenario(
        "10 -> 15 % from request 5,000 on",
        lambda look: 0.15 if look >= 50 else 0.1,
        constant(0.1),
        constant(0.02),
        start=5000,
        target="900/1,500",
    ),
]
PROVE = [(0.10, 0.10), (0.20, 0.10), (0.10, 0.25), (0.05, 0.25), (0.01, 0.50)]
FLOOR = 0.005


def delays(crossed: NDArray[np.int_], start: int = 0) -> str:
    """Median and p90 of the candidate requests until the crossing, counted from `start`; >H where it came too late or never."""
    requests = np.sort(np.where(crossed > 0, crossed * LOOK - start, np.iinfo(int).max).astype(float))
    texts = []
    for quantile in (0.5, 0.9):
        value = requests[int(np.ceil(quantile * len(requests))) - 1]
        texts.append(f"{value:,.0f}" if value <= LOOK * LOOKS else ">H")
    return "/".join(texts)


def percent(crossed: NDArray[np.int_]) -> str:
    """Share of the replications that crossed."""
    return f"{100 * float(np.mean(crossed > 0)):.1f} %"


def rows(replications: int, seed: int) -> list[tuple[str, str, str, str, str]]:
    """The table's rows."""
    rng = np.random.default_rng(seed)
    limit = 100 * (ALPHA + 2 * float(np.sqrt(ALPHA * (1 - ALPHA) / replications)))
    table = []
    for scenario in SAME:
        out = simulate(scenario, replications, rng, null_at=lambda _: eprocess.not_worse())
        table.append(
            (scenario.name, "false rollback", percent(out.ours), percent(out.peeked), f"<= {limit:.1f} %")
        )
    for scenario in WORSE:
        out = simulate(scenario, replications, rng, null_at=lambda _: eprocess.not_worse())
        found = delays(out.ours, scenario.start), delays(out.peeked, scenario.start)
        table.append((scenario.name, "delay median/p90", *found, scenario.target))
    for base, margin in PROVE:
        edge = base + max(margin * base, FLOOR)

        def null_at(p0: Floats, margin: float = margin) -> Null:
            return eprocess.unsafe(margin, FLOOR, p0)

        at_edge = Scenario("", constant(edge), constant(base), constant(0.02))
        unchanged = Scenario("", constant(base), constant(base), constant(0.02))
        name = f"prove {100 * base:g} % within +{100 * margin:g} %"
        false = simulate(at_edge, replications, rng, null_at=null_at)
        true = simulate(unchanged, replications, rng, null_at=null_at)
        table.append((name, "false promotion at the margin", percent(false.ours), "-", f"<= {limit:.1f} %"))
        table.append((name, "ready median/p90, no change", delays(true.ours), "-", ""))
    return table


def main() -> None:
    """Print the table."""
    replications = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    started = time.perf_counter()
    table = [("scenario", "what", "e-process", "peeked z", "target"), *rows(replications, seed)]
    widths = [max(len(row[column]) for row in table) for column in range(5)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    took = time.perf_counter() - started
    print(
        f"\n{replications:,} replications, seed {seed}, alpha {ALPHA:.0%}, delays in candidate requests, {took:.0f} s"
    )


if __name__ == "__main__":
    main()
