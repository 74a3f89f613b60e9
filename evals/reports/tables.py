"""The tables of a report as plain cells; text, Markdown and HTML only draw them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from promptship.evals.reports.model import Report
from promptship.evals.reports.summary import (
    WORST_FIRST,
    ArmStats,
    CaseStats,
    Counted,
    Rate,
    Standing,
    Summary,
)
from promptship.evals.rows import Arm, CaseFacts
from promptship.evals.suite_file import Severity
from promptship.evals.verdict import Tally
from promptship.render.numbers import (
    NOT_MEASURED,
    between,
    count,
    decimal,
    duration,
    milliseconds,
    money,
    percent,
    plural,
)

NONE: Final = "-"
"""Where there is nothing to measure: an arm that a case was not given to."""
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
    names = arm_names(report, summary)
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
    hidden = {0} if report.baseline is None else set[int]()
    return without(rows, hidden | {i for i in range(4, len(head)) if _silent(rows, i)})


def passed_of(counted: Counted) -> str:
    """`45 of 50`, over trials with a score, and how many have none."""
    scored = f"{count(counted.passed)} of {count(counted.passed + counted.failed)}"
    return scored + _missing(counted.unscored)


def _missing(unscored: int) -> str:
    return f" (+{count(unscored)} unscored)" if unscored else ""


def news(summary: Summary, facts: Mapping[str, CaseFacts]) -> list[CaseStats]:
    """Cases that somebody should look at, worst first, blocking ones before others."""
    found = [case for case in summary.cases if case.standing.is_news]

    def badness(case: CaseStats) -> tuple[int, bool, float]:
        fact = facts.get(case.case)
        rates = [one.tally.rate or 0.0 for one in case.arms.values()]
        return (
            WORST_FIRST.index(case.standing),
            fact is None or fact.severity is not Severity.BLOCKING,
            sum(rates) / len(rates) if rates else 0.0,
        )

    return sorted(found, key=badness)


def news_table(report: Report, summary: Summary, found: Sequence[CaseStats]) -> Table:
    """Case, what it came to, a tally per arm, and what fails where."""
    if not found:
        return []
    names, facts = arm_names(report, summary), {case.id: case for case in report.cases}
    rows: Table = [("case", "change" if report.baseline else "result", *names.values(), "fails")]
    for case in found:
        fact = facts.get(case.case)
        blocking = " (blocking)" if fact is not None and fact.severity is Severity.BLOCKING else ""
        tallies = (tally_cell(case.arms[arm].tally if arm in case.arms else None) for arm in names)
        rows.append(
            (case.case, case.standing.value + blocking, *tallies, failing_cell(case, report.baseline))
        )
    return rows


def tally_cell(tally: Tally | None) -> str:
    """`2/3` trials passed; `3 unscored`."""
    if tally is None or not tally.trials + tally.unscored:
        return NONE
    if not tally.trials:
        return f"{count(tally.unscored)} unscored"
    return f"{count(tally.passed)}/{count(tally.trials)}" + _missing(tally.unscored)


def failing_cell(case: CaseStats, baseline: Arm | None) -> str:
    """Labels of the assertions that fail, the baseline's own apart."""
    lost: dict[str, int] = {}
    for arm, one in case.arms.items():
        if arm != baseline or len(case.arms) == 1:
            for label, times in one.failing:
                lost[label] = lost.get(label, 0) + times
    return ", ".join(label if times == 1 else f"{label} x{times}" for label, times in lost.items())


def slices_table(report: Report, summary: Summary) -> Table:
    """Pass rate per tag and arm."""
    names = arm_names(report, summary)
    found = {(one.tag, one.arm): one.rate for one in summary.slices}
    tags = dict.fromkeys(one.tag for one in summary.slices)
    rows = [
        (tag, count(max(found[tag, arm].cases for arm in names)), *(rate_cell(found[tag, arm]) for arm in names))
        for tag in tags
    ]  # fmt: skip
    return [("slice", "cases", *names.values()), *rows] if rows else []


def rate_cell(rate: Rate) -> str:
    """`85.3% (69.3% to 98%)`."""
    return percent(rate.value) if rate.value is None else f"{percent(rate.value)} ({interval(rate)})"


def metrics_table(report: Report, summary: Summary) -> Table:
    """Mean of every named score."""
    names = arm_names(report, summary)
    found = {(one.metric, one.arm): one for one in summary.metrics}
    metrics = dict.fromkeys(one.metric for one in summary.metrics)
    rows = [
        (name, *(decimal(one.mean) if (one := found.get((name, arm))) else NOT_MEASURED for arm in names))
        for name in metrics
    ]
    return [("metric (mean)", *names.values()), *rows] if rows else []


def assertions_table(report: Report, summary: Summary, most: int) -> Table:
    """Assertions that fail, most failures first: failed of scored, per arm."""
    names = arm_names(report, summary)
    found = {(one.label, one.arm): one for one in summary.assertions}
    labels = list(dict.fromkeys(one.label for one in summary.assertions))
    rows = []
    for label in labels[:most]:
        cells = []
        for arm in names:
            one = found.get((label, arm))
            said = NONE if one is None else f"{count(one.failed)} of {count(one.failed + one.passed)}"
            cells.append(said + ("" if one is None else _missing(one.unscored)))
        rows.append((label, *cells))
    return [("assertion fails", *names.values()), *rows] if rows else []


def totals_sentences(report: Report, summary: Summary) -> list[str]:
    """What the whole run came to and what it took, as short sentences without a full stop."""
    all_ = summary.totals
    parts = [f"{count(all_.passed)} passed", f"{count(all_.failed)} failed"]
    if all_.unscored:
        parts.append(f"{count(all_.unscored)} without a score" + (f" ({count(all_.errors)} without an answer)" if all_.errors else ""))  # fmt: skip
    said = [f"{plural(all_.rows, 'trial')} of {plural(len(summary.cases), 'case')}: {', '.join(parts)}"]
    said += [sentence] if (sentence := steady_failures(report, summary)) else []
    spent = [f"cost {cost(all_)}", tokens(all_)]
    if all_.judge_tokens or all_.judge_cost_usd:
        spent.append(judges(all_))
    said.append("; ".join(spent))
    reused = [f"{count(all_.cached)} answered from the cache"] if all_.cached else []
    reused += [f"{count(report.reused)} taken over from an earlier run"] if report.reused else []
    took = [f"took {duration(report.duration_s)}"] if report.duration_s is not None else []
    if took or reused:
        said.append("; ".join([*took, *reused]))
    return said


def steady_failures(report: Report, summary: Summary, most: int = 8) -> str:
    """Cases that fail with candidate and stable alike: that is no change, so no table of changes has them."""
    if report.baseline is None:
        return ""
    blocking = {case.id for case in report.cases if case.severity is Severity.BLOCKING}
    names = [
        case.case + (" (blocking)" if case.case in blocking else "")
        for case in summary.cases
        if case.standing is Standing.UNCHANGED and all(one.tally.rate == 0 for one in case.arms.values())
    ]
    if not names:
        return ""
    hidden = f" and {count(len(names) - most)} more" if len(names) > most else ""
    verb = "fails" if len(names) == 1 else "fail"
    return f"{plural(len(names), 'case')} {verb} with candidate and stable alike: {', '.join(names[:most])}{hidden}"


def cost(counted: Counted) -> str:
    """What the answers cost, and whether that is all of it."""
    if counted.cost_usd is None or not counted.unpriced:
        return money(counted.cost_usd)
    known = f"at least {money(counted.cost_usd)}" if counted.cost_usd else NOT_MEASURED
    return f"{known} ({plural(counted.unpriced, 'answer')} without a price)"


def tokens(counted: Counted) -> str:
    """`1,200 + 300 tokens`, in and out."""
    if counted.tokens_in is None and counted.tokens_out is None:
        return f"tokens {NOT_MEASURED}"
    return f"{count(counted.tokens_in)} + {count(counted.tokens_out)} tokens (in + out)"


def judges(counted: Counted) -> str:
    """What judging took."""
    price = f", {money(counted.judge_cost_usd)}" if counted.judge_cost_usd else ""
    return f"judges {count(counted.judge_tokens)} tokens{price}"


def standings(summary: Summary) -> str:
    """`3 regressed, 20 unchanged`."""
    counts = {kind: sum(case.standing is kind for case in summary.cases) for kind in Standing}
    return ", ".join(f"{count(number)} {kind.value}" for kind, number in counts.items() if number)


def without(rows: Sequence[tuple[str, ...]], columns: Iterable[int]) -> Table:
    """The table without some columns."""
    gone = set(columns)
    return [tuple(cell for i, cell in enumerate(row) if i not in gone) for row in rows]


def _silent(rows: Sequence[tuple[str, ...]], column: int) -> bool:
    return all(row[column] in {"", NOT_MEASURED} for row in rows[1:])
