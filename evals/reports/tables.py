"""The tables of a report as plain cells; text, Markdown and HTML only draw them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from string import ascii_uppercase
from typing import Final

from promptship.evals.reports.attacks import titled
from promptship.evals.reports.model import Report
from promptship.evals.reports.news import NONE
from promptship.evals.reports.summary import ArmStats, AssertionStats, Counted, Rate, Summary
from promptship.evals.rows import Arm
from promptship.numbers import (
    NOT_MEASURED,
    between,
    count,
    decimal,
    milliseconds,
    money,
    percent,
)

NAMES_WIDTH_MAX: Final = 60
"""Of all names of arms together; longer ones stand in one table, and the others have letters for them."""
Table = list[tuple[str, ...]]
"""Header first; empty: there is nothing to show."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Prompts x models. `cells[prompt][model]` is None where the two were not put together."""

    prompts: tuple[str, ...]
    models: tuple[str, ...]
    cells: tuple[tuple[ArmStats | None, ...], ...]


def arm_names(report: Report, summary: Summary) -> dict[Arm, str]:
    """What each arm is called: `candidate` and `stable` by these words, others by prompt and model."""
    if report.baseline is not None and len(summary.arms) == 2:  # noqa: PLR2004 - candidate and stable
        return {arm.arm: arm.arm for arm in summary.arms}
    many_prompts = len({arm.prompt for arm in summary.arms}) > 1
    names = {
        arm.arm: " · ".join(part for part in (arm.prompt if many_prompts or not arm.model else "", arm.model) if part)
        for arm in summary.arms
    }  # fmt: skip
    if len(set(names.values())) < len(names):
        return {arm.arm: arm.arm for arm in summary.arms}
    return names


def heads(report: Report, summary: Summary) -> dict[Arm, str]:
    """What columns of arms are headed by: their names, or letters where those are too long; then the arms' table has both."""
    names = arm_names(report, summary)
    if len(names) == 1 or sum(map(len, names.values())) <= NAMES_WIDTH_MAX:
        return names
    letters = (first + second for first in ["", *ascii_uppercase] for second in ascii_uppercase)
    return dict(zip(names, chain(letters, names.values()), strict=False))


def letters_of(report: Report, summary: Summary) -> dict[Arm, str]:
    """Letters of arms that columns are headed by, each with a blank behind it; empty texts where they have names."""
    names = arm_names(report, summary)
    return {arm: f"{head} " if head != names[arm] else "" for arm, head in heads(report, summary).items()}


def grid_of(summary: Summary) -> Grid | None:
    """The matrix, when there are several prompts and several models, and each pair was asked at most once."""
    pairs = {(arm.prompt, arm.model): arm for arm in summary.arms}
    prompts = tuple(dict.fromkeys(arm.prompt for arm in summary.arms))
    models = tuple(dict.fromkeys(arm.model for arm in summary.arms))
    if len(pairs) < len(summary.arms) or len(prompts) < 2 or len(models) < 2:  # noqa: PLR2004 - several
        return None
    return Grid(prompts, models, tuple(tuple(pairs.get((prompt, model)) for model in models) for prompt in prompts))  # fmt: skip


def interval_name(summary: Summary) -> str:
    """`90% interval`: two one-sided limits at alpha each."""
    return f"{percent(1 - 2 * summary.alpha)} interval"


def interval(rate: Rate) -> str:
    """Its limits, or nothing when it was not measured."""
    return "" if rate.value is None else between(rate.low, rate.high)


def arms_table(report: Report, summary: Summary) -> Table:
    """One line per arm. Columns that nobody has numbers for are left out."""
    names = heads(report, summary)
    several = summary.k is not None and summary.k > 1
    head = ["arm", "prompt", "model", "pass rate", interval_name(summary)]
    head += [f"any of {summary.k}", f"all of {summary.k}"] if several else []
    head += ["passed", "cost per 1,000", "median latency", "p95"]
    rows = [tuple(head)]
    for arm in summary.arms:
        line = [names[arm.arm], arm.prompt, arm.model, percent(arm.rate.value), interval(arm.rate)]
        line += [percent(arm.pass_at_k), percent(arm.pass_hat_k)] if several else []
        line += [passed_of(arm.counted), money(arm.counted.cost_usd_per_1000)]
        rows.append((*line, milliseconds(arm.latency_ms_median), milliseconds(arm.latency_ms_p95)))
    lettered = any(letters_of(report, summary).values())
    hidden = {0} if report.baseline is None and not lettered else set[int]()
    return without(rows, hidden | {i for i in range(4, len(head)) if _silent(rows, i)})


def passed_of(counted: Counted) -> str:
    """`45 of 50`, over trials with a score, and how many have none."""
    scored = f"{count(counted.passed)} of {count(counted.passed + counted.failed)}"
    return scored + _missing(counted.unscored)


def _missing(unscored: int) -> str:
    return f" (+{count(unscored)} unscored)" if unscored else ""


def slices_table(report: Report, summary: Summary) -> Table:
    """Pass rate per tag and arm."""
    names = heads(report, summary)
    found = {(one.tag, one.arm): one.rate for one in summary.slices}
    tags = dict.fromkeys(one.tag for one in summary.slices)
    rows = [
        (titled(tag), count(max(found[tag, arm].cases for arm in names)), *(rate_cell(found[tag, arm]) for arm in names))
        for tag in tags
    ]  # fmt: skip
    return [("slice", "cases", *names.values()), *rows] if rows else []


def rate_cell(rate: Rate) -> str:
    """`85.3% (69.3% to 98%)`."""
    return percent(rate.value) if rate.value is None else f"{percent(rate.value)} ({interval(rate)})"


def metrics_table(report: Report, summary: Summary) -> Table:
    """Mean of every named score."""
    names = heads(report, summary)
    found = {(one.metric, one.arm): one for one in summary.metrics}
    metrics = dict.fromkeys(one.metric for one in summary.metrics)
    rows = [
        (name, *(decimal(one.mean) if (one := found.get((name, arm))) else NOT_MEASURED for arm in names))
        for name in metrics
    ]
    return [("metric (mean)", *names.values()), *rows] if rows else []


def assertions_table(report: Report, summary: Summary, most: int) -> Table:
    """Assertions that fail, most failures first: failed of scored, per arm; and why others have no score."""
    names = heads(report, summary)
    found = {(one.label, one.arm): one for one in summary.assertions}
    labels = list(dict.fromkeys(one.label for one in summary.assertions))
    rows: Table = []
    for label in labels[:most]:
        ones = [found.get((label, arm)) for arm in names]
        because = next((one.unscored_because for one in ones if one is not None and one.unscored), "")
        rows.append((label, *map(_failed_cell, ones), because))
    table: Table = [("assertion fails", *names.values(), "without a score because"), *rows]
    if not rows:
        return []
    return table if any(row[-1] for row in rows) else without(table, [len(table[0]) - 1])


def _failed_cell(one: AssertionStats | None) -> str:
    if one is None:
        return NONE
    scored = one.failed + one.passed
    if not scored:
        return f"{count(one.unscored)} unscored"
    return f"{count(one.failed)} of {count(scored)}" + _missing(one.unscored)


def without(rows: Sequence[tuple[str, ...]], columns: Iterable[int]) -> Table:
    """The table without some columns."""
    gone = set(columns)
    return [tuple(cell for i, cell in enumerate(row) if i not in gone) for row in rows]


def _silent(rows: Sequence[tuple[str, ...]], column: int) -> bool:
    return all(row[column] in {"", NOT_MEASURED} for row in rows[1:])
