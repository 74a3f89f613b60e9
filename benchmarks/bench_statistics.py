"""False rollbacks and delays of the canary's statistics, simulated with the product's own mathematics, in one table.

Looks every 20, 100 and 500 candidate requests up to 20,000; delays at looks of 100. On the same counts stand a two-sample z-test at
5 %, repeated at every look, and the sequential test of gbstats (GrowthBook) with its default tuning.

    python benchmarks/bench_statistics.py [--quick] [--replications N] [--seed N] [--gbstats-python PYTHON]

`--gbstats-python`: an interpreter that has gbstats; the formula used here is then compared with the library's own answers.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial, reduce
from pathlib import Path as File

import numpy as np

sys.path.insert(0, str(File(__file__).resolve().parents[1]))

from benchmarks.simulated.canary import (
    ALPHA,
    HORIZON,
    LOOK,
    Ints,
    Outcome,
    Scenario,
    beta_law,
    constant,
    daily,
    gbstats_lower,
    ramp,
    rising,
    simulate,
    simulate_means,
)
from benchmarks.simulated.pipeline import pipeline
from benchmarks.simulated.table import Row, limit, percents, quantiles
from benchmarks.simulated.users import Users, race, unit_sums
from benchmarks.simulated.values import KINDS, Answers, canary, crossings
from promptship.canary import eprocess, sample_ratio
from promptship.canary.eprocess import Floats, Null
from promptship.canary.evidence import ArmCounts, Counts

Job = Callable[[int, np.random.Generator], list[Row]]
SIZES = (20, 100, 500)
FLOOR = 0.005
SHARE = constant(0.02)
SAME = [
    *(
        Scenario(f"A/A {100 * p:g} %", constant(p), constant(p), SHARE)
        for p in (0.002, 0.01, 0.05, 0.10, 0.20)
    ),
    Scenario("A/A ramp 1/5/25/50 %, base 8 -> 14.4 %", rising, rising, ramp),
    Scenario("A/A base 10 % +-40 % daily", daily, daily, SHARE),
    # The candidate judged always, stable one time in ten: 2 % of the traffic is 17 % of what is judged.
    Scenario(
        "A/A 10 %, judged 100 % and 10 %", constant(0.1), constant(0.1), constant(0.02 / (0.02 + 0.98 * 0.1))
    ),
]
SIX = [(0.002, 0.002), (0.01, 0.01), (0.03, 0.03), (0.05, 0.05), (0.1, 0.1), (0.2, 0.2)]
WORSE = [
    Scenario("10 -> 11 %", constant(0.11), constant(0.10), SHARE, target="6,200/14,500"),
    Scenario("10 -> 11.5 %", constant(0.115), constant(0.10), SHARE, target="3,000/6,700"),
    Scenario("10 -> 15 %", constant(0.15), constant(0.10), SHARE, target="400/900"),
    Scenario("10 -> 20 %", constant(0.20), constant(0.10), SHARE, target="200/300"),
    Scenario("10 -> 30 %", constant(0.30), constant(0.10), SHARE, target="100/100"),
    Scenario("0.5 -> 2 %", constant(0.02), constant(0.005), SHARE, target="450/1,000"),
    Scenario(
        "10 -> 15 % from request 5,000 on", lambda at: 0.15 if at >= 5000 else 0.1, constant(0.1), SHARE,
        start=5000, target="900/1,500",
    ),
]  # fmt: skip
PROVE = [(0.05, 0.10), (0.10, 0.10), (0.20, 0.10), (0.10, 0.15), (0.10, 0.25), (0.05, 0.25), (0.01, 0.50)]
REPEATS = [
    *(Users(correlation, each) for correlation in (0.1, 0.3) for each in (10, 50)),
    *(Users(correlation, 50, heavy=True) for correlation in (0.1, 0.3)),
]
VALUES = [
    *(Answers(correlation, each) for correlation in (0.1, 0.3) for each in (10, 50)),
    Answers(0.3, 50, heavy=True),
]
SCORES = np.linspace(0, 1, 41)
GOOD, WORSE_SCORE = beta_law(0.80, 0.2, SCORES), beta_law(0.75, 0.2, SCORES)
COSTS = np.exp(np.linspace(-4, 5, 104))
COSTS_SCALED = np.minimum(COSTS / (2 * np.exp(3.09)), 1.0)


def no_worse(_: Floats) -> Null:
    """The null of harm."""
    return eprocess.not_worse()


def within(margin: float) -> Callable[[Floats], Null]:
    """The null of safety."""
    return partial(eprocess.unsafe, margin, FLOOR)


def costs(factor: float) -> Floats:
    """Lognormal costs, `factor` times the usual."""
    density = np.exp(-0.5 * np.log(COSTS / factor) ** 2)
    return np.asarray(density / density.sum())


def columns(outcomes: list[Outcome], text: Callable[[list[Ints]], str]) -> tuple[str, str, str]:
    """Cells of e-process, gbstats and peeked z."""
    ours, peeked, gb = ([outcome.cells()[index] for outcome in outcomes] for index in range(3))
    return text(ours), text(gb), text(peeked)


def same(scenario: Scenario, replications: int, rng: np.random.Generator) -> list[Row]:
    """False rollbacks at every size of look."""
    outcomes = [
        simulate(scenario, replications, rng, null_at=no_worse, look=size, looks=HORIZON // size)
        for size in SIZES
    ]
    return [(scenario.name, "false rollback %", *columns(outcomes, percents), limit(replications))]


def guardrails(replications: int, rng: np.random.Generator) -> list[Row]:
    """Six guardrails at once: ours share alpha, the two tests are taken as they come."""
    outcomes = []
    for size in SIZES:
        each = [
            simulate(
                Scenario("", constant(p1), constant(p0), SHARE), replications, rng,
                null_at=no_worse, look=size, looks=HORIZON // size, alpha=ALPHA / len(SIX),
            )
            for p1, p0 in SIX
        ]  # fmt: skip
        outcomes.append(reduce(lambda a, b: a | b, each))
    return [
        (
            "A/A six guardrails, 0.2 to 20 %",
            "false rollback %",
            *columns(outcomes, percents),
            limit(replications),
        )
    ]


def worse(scenario: Scenario, replications: int, rng: np.random.Generator) -> list[Row]:
    """Delays of one degradation."""
    outcome = simulate(scenario, replications, rng, null_at=no_worse)
    cells = columns([outcome], lambda one: quantiles(one[0], scenario.start))
    return [(scenario.name, "delay median/p90", *cells, scenario.target)]


def means(replications: int, rng: np.random.Generator) -> list[Row]:
    """A judge's score of .80 with a deviation of .2, and lognormal costs."""
    table: list[Row] = []
    for name, values, law in (
        ("score .80, sd .2", 1 - SCORES, GOOD),
        ("cost, lognormal", COSTS_SCALED, costs(1)),
    ):
        outcomes = [
            simulate_means(
                values, (law, law), replications, rng, null_at=no_worse, look=size, looks=HORIZON // size
            )
            for size in SIZES
        ]
        table.append((f"A/A {name}", "false rollback %", *columns(outcomes, percents), limit(replications)))
    for name, values, laws, target in (
        ("score .80 -> .75", 1 - SCORES, (WORSE_SCORE, GOOD), "200/300"),
        ("cost +10 %", COSTS_SCALED, (costs(1.1), costs(1)), ""),
        ("cost +50 %", COSTS_SCALED, (costs(1.5), costs(1)), ""),
    ):
        outcome = simulate_means(values, laws, replications, rng, null_at=no_worse)
        table.append((name, "delay median/p90", *columns([outcome], lambda one: quantiles(one[0])), target))
    edge = beta_law(0.80 - 0.15 * 0.2, 0.2, SCORES)
    run = partial(simulate_means, 1 - SCORES, replications=replications, rng=rng, null_at=within(0.15))
    false, true = run(laws=(edge, GOOD)).ours, run(laws=(GOOD, GOOD)).ours
    name = "prove score .80 within .77"
    table.append((name, "false promotion %", percents([false]), "-", "-", limit(replications)))
    return [*table, (name, "ready median/p90", quantiles(true), "-", "-", "")]


def prove(base: float, margin: float, replications: int, rng: np.random.Generator) -> list[Row]:
    """Advancing a candidate that sits on the margin, and how long an unchanged one takes."""
    edge = base + max(margin * base, FLOOR)
    false, true = (
        simulate(
            Scenario("", constant(p), constant(base), SHARE), replications, rng, null_at=within(margin)
        ).ours
        for p in (edge, base)
    )
    name = f"prove {100 * base:g} % within +{100 * margin:g} %"
    return [
        (name, "false promotion %", percents([false]), "-", "-", limit(replications)),
        (name, "ready median/p90", quantiles(true), "-", "-", ""),
    ]


def repeated(users: Users, replications: int, rng: np.random.Generator) -> list[Row]:
    """False rollbacks of 10,000 candidate requests at 5 % when users come again; and the delay of 10 -> 15 %."""
    runs = max(replications * 3 // 10, 20)
    tables = [unit_sums(users, HORIZON // 2, list(SIZES), rng) for _ in range(runs)]
    found = [race(np.stack([table[index] for table in tables])) for index in range(len(SIZES))]
    ours, plain, peeked, gb = ([one[column] for one in found] for column in range(4))
    heavy = ", uneven" if users.heavy else ""
    name = f"A/A users of {users.requests_each} requests{heavy}, corr. {users.correlation:g}"
    rows: list[Row] = [
        (name, "false rollback %", percents(ours), percents(gb), percents(peeked), limit(runs)),
        (name, "the same, not divided", percents(plain), "-", "-", ""),
    ]
    if not users.heavy:
        worse_users = Users(users.correlation, users.requests_each, p1=0.15)
        late = np.stack([unit_sums(worse_users, HORIZON // 2, [LOOK], rng)[0] for _ in range(runs // 2)])
        ours_late, _, peeked_late, gb_late = race(late)
        cells = (quantiles(one, horizon=HORIZON // 2) for one in (ours_late, gb_late, peeked_late))
        rows.append((f"{name.removeprefix('A/A ')}, 10 -> 15 %", "delay median/p90", *cells, ""))
    return rows


def repeated_values(answers: Answers, replications: int, rng: np.random.Generator) -> list[Row]:
    """The same of cost, a score and latency, all of the same answers; and the delay when all answers are a quarter longer."""
    runs = max(replications * 3 // 10, 20)
    tables = [canary(answers, HORIZON // 4, list(SIZES), rng) for _ in range(runs)]
    heavy = ", uneven" if answers.heavy else ""
    name = f"{answers.requests_each} a user{heavy}, corr. {answers.correlation:g}"
    rows: list[Row] = []
    for kind in KINDS:
        found = [crossings(kind, [table[kind][index] for table in tables]) for index in range(len(SIZES))]
        ours, plain, peeked, gb = ([one[column] for one in found] for column in range(4))
        rows += [
            (f"A/A {kind}, {name}", "false rollback %", percents(ours), percents(gb), percents(peeked), limit(runs)),
            (f"A/A {kind}, {name}", "the same, not divided", percents(plain), "-", "-", ""),
        ]  # fmt: skip
    del tables
    if not answers.heavy:
        longer = replace(answers, longer=0.25)
        late = [canary(longer, HORIZON // 4, [LOOK], rng)["latency"][0] for _ in range(runs // 3)]
        ours_late, _, peeked_late, gb_late = crossings("latency", late)
        cells = (quantiles(one, horizon=HORIZON // 4) for one in (ours_late, gb_late, peeked_late))
        rows.append((f"latency +25 %, {name}", "delay median/p90", *cells, ""))
    return rows


def split(replications: int, rng: np.random.Generator) -> list[Row]:
    """The sample ratio of 2 %, every 5,000 new units: false alarms, and units until a split of 1.8 % is seen."""
    looks, units, intended = 60, 5000, 0.02

    def alarms(true: float) -> tuple[Ints, Ints]:
        one = np.cumsum(rng.binomial(units, true, (replications, looks)), 1)
        whole = units * np.arange(1, looks + 1)
        log_e = np.array(
            [
                [_log_e(x, n, intended) for x, n in zip(run, whole.tolist(), strict=True)]
                for run in one.tolist()
            ]
        )
        z = np.abs(one - intended * whole) / np.sqrt(intended * (1 - intended) * whole)
        return tuple(_first(crossed) for crossed in (log_e >= -np.log(sample_ratio.ALPHA), z > 3.2905))  # type: ignore[return-value]

    false, late = alarms(intended), alarms(0.018)
    target = limit(replications, sample_ratio.ALPHA)
    return [
        ("sample ratio 2 %, as intended", "false alarm %", percents([false[0]]), "-", percents([false[1]]), target),
        ("sample ratio 2 %, really 1.8 %", "units median/p90", *(
            cell for crossed in (late[0], None, late[1])
            for cell in ["-" if crossed is None else quantiles(crossed, 0, units, looks * units)]
        ), ""),
    ]  # fmt: skip


def _log_e(candidate: int, whole: int, share: float) -> float:
    arms = ArmCounts.model_construct(
        candidate=Counts.model_construct(requests=candidate, events=0),
        stable=Counts.model_construct(requests=whole - candidate, events=0),
    )
    return sample_ratio.log_e(arms, share)


def _first(crossed: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Ints:
    return np.where(crossed.any(1), crossed.argmax(1) + 1, 0)


def jobs() -> list[Job]:
    """Everything in the table, in its order; each with a generator of its own, so that the order of work changes nothing."""
    return [
        *(partial(same, scenario) for scenario in SAME),
        guardrails,
        *(partial(repeated, users) for users in REPEATS),
        *(partial(worse, scenario) for scenario in WORSE),
        means,
        *(partial(prove, base, margin) for base, margin in PROVE),
        split,
        pipeline,
        *(partial(repeated_values, answers) for answers in VALUES),
    ]


def run_job(index: int, replications: int, seed: int) -> list[Row]:
    """Rows of one job."""
    return jobs()[index](replications, np.random.default_rng([seed, index]))


def rows(replications: int, seed: int) -> Iterator[Row]:
    """The table's rows, from as many processes as there are processors."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        count = len(jobs())
        # The longest stand last in the table and are begun first, so that no processor waits for the other in the end.
        begun = {index: pool.submit(run_job, index, replications, seed) for index in reversed(range(count))}
        for index in range(count):
            yield from begun[index].result()


LIBRARY = """
import json, sys
from importlib.metadata import version
from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import ProportionStatistic
def lower(n1, x1, n0, x0):
    config = SequentialConfig(alpha=0.05, sequential_tuning_parameter=5000)
    return SequentialTwoSidedTTest(ProportionStatistic(n=n0, sum=x0), ProportionStatistic(n=n1, sum=x1), config).compute_result().ci[0]
print(json.dumps([version("gbstats"), [lower(*table) for table in json.load(sys.stdin)]]))
"""


def checked_against(python: str | None) -> str:
    """One line on whether the formula of `gbstats_lower` is the library's."""
    if python is None:
        return "gbstats: its formula, not compared with the library (--gbstats-python)"
    rng = np.random.default_rng(0)
    n1, n0 = rng.integers(100, 20_000, 300), rng.integers(5_000, 500_000, 300)
    x1, x0 = rng.binomial(n1, 0.12) + 1, rng.binomial(n0, 0.1) + 1
    tables = json.dumps(np.stack([n1, x1, n0, x0], 1).tolist())
    done = subprocess.run([python, "-c", LIBRARY], input=tables, capture_output=True, text=True, check=True)
    version, theirs = json.loads(done.stdout)
    ours = gbstats_lower(np.stack([n1, x1, x1, n0, x0, x0]).astype(float))
    wrong = int(np.sum(~np.isclose(ours, np.array(theirs), rtol=1e-6, atol=1e-9)))
    return f"gbstats {version}: formula and library differ in {wrong} of {len(theirs)} tables"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100 replications instead of 1,000")
    parser.add_argument("--replications", type=int, default=None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gbstats-python", default=None)
    arguments = parser.parse_args()
    replications = arguments.replications or (100 if arguments.quick else 1000)
    started = time.perf_counter()
    header = (
        "scenario (% at looks of 20, 100, 500)",
        "what",
        "e-process",
        "gbstats",
        "peeked z",
        "target",
    )
    table = [header, *rows(replications, arguments.seed)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(
        f"\n{replications:,} replications (repeat users: {max(replications * 3 // 10, 20):,}), seed {arguments.seed}, alpha {ALPHA:.0%}, "
        f"delays in candidate requests, H = {HORIZON:,}, {time.perf_counter() - started:.0f} s\n"
        f"{checked_against(arguments.gbstats_python)}"
    )


if __name__ == "__main__":
    main()
