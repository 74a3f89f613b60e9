"""Judges in reports: how far each agrees with people, the pass rates they would have given, and wins against stable."""

from __future__ import annotations

from collections.abc import Iterator

from promptship.evals.judges.calibration_report import DRIFT_MAX
from promptship.evals.reports.model import Report
from promptship.evals.reports.summary import Calibrated, JudgeStats, Summary
from promptship.evals.reports.tables import Table, arm_names, interval_name
from promptship.numbers import between, count, decimal, percent, plural, points


def judge_sentences(summary: Summary) -> Iterator[str]:
    """One per judge: its agreement with people, or that nobody knows it; and a warning where its labels do not fit the suite."""
    for one in summary.judges:
        if one.calibration is None:
            yield f"judge {one.judge} is not calibrated: {one.because}"
            continue
        yield f"judge {one.judge} {_agreement(one.calibration)}"
        if any(rate.drift is not None and rate.drift > DRIFT_MAX for rate in one.rates):
            yield f"! the answers that {one.judge} was calibrated on are not like these: label some of these before you trust a corrected rate"
        yield from (f"! not corrected: {because}" for because in _uncorrected(one))


def _agreement(found: Calibrated) -> str:
    value, low, high = found.accuracy
    kappa = "kappa not defined" if found.kappa is None else f"kappa {decimal(found.kappa[0])}"
    made = f"{found.name}, {found.at}" if found.at is not None else found.name
    return (
        f"agrees with people on {percent(value)} of {plural(found.labels, 'label')} ({between(low, high)}), {kappa}, "
        f"bias {points(found.bias[0])} (calibration {made})"
    )


def _uncorrected(one: JudgeStats) -> list[str]:
    return list(dict.fromkeys(rate.because for rate in one.rates if rate.because))


def corrections_table(report: Report, summary: Summary) -> Table:
    """Pass rates that calibrated judges gave by llm-rubric, and what people would have given; limits two-sided."""
    names = arm_names(report, summary)
    rows = [
        (
            one.judge, names.get(rate.arm, rate.arm), count(rate.cases), percent(rate.value),
            percent(rate.corrected), between(rate.low, rate.high),
        )
        for one in summary.judges for rate in one.rates if rate.corrected is not None
    ]  # fmt: skip
    head = ("judge", "arm", "cases", "llm-rubric passes", "people would pass", interval_name(summary))
    return [head, *rows] if rows else []


def wins_table(report: Report, summary: Summary) -> Table:
    """How often an arm's answer was preferred to stable's; a tie is half a win."""
    names = arm_names(report, summary)
    several = len({one.arm for one in summary.wins}) > 1
    labelled = len({one.label for one in summary.wins}) > 1
    head = ("against stable", "win rate", interval_name(summary), "wins", "ties", "losses", "cases")
    rows = [
        (
            " · ".join(
                [names[one.arm], one.label] if several and labelled else [names[one.arm] if several else one.label]
            ),
            percent(one.rate), between(one.low, one.high),
            *map(count, (one.wins, one.ties, one.losses, one.cases)),
        )
        for one in summary.wins
    ]  # fmt: skip
    return [head, *rows] if rows else []
