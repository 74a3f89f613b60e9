"""A suite's verdict as a headline, plain cells and footnotes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from promptship.evals.outcome import Conclusion, because_of, concluded, word_of
from promptship.evals.reports.model import Report
from promptship.evals.reports.news import tally_cell
from promptship.evals.reports.summary import Summary
from promptship.evals.reports.tables import Table
from promptship.evals.reports.totals import standings
from promptship.evals.suite_file import Severity
from promptship.evals.verdict import ArmSummary, CaseChange, SuiteVerdict
from promptship.numbers import NOT_MEASURED, count, milliseconds, percent, plural, points

ROWS_MAX: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """What is said first. `tone`: go, wait or stop."""

    tone: str
    word: str
    about: str
    """The suite's name; empty: the run as a whole."""
    because: str
    warnings: tuple[str, ...] = ()
    difference: str = ""


def conclusion_of(report: Report, summary: Summary) -> Conclusion:
    """The word and the exit status of a run: the report, the command and programs all take them from here."""
    totals = summary.totals
    return concluded(
        report.verdicts, passed=totals.passed, failed=totals.failed, unscored=totals.unscored,
        pass_rate_min=report.pass_rate_min, down=report.down,
    )  # fmt: skip


def headlines(report: Report, summary: Summary) -> list[Headline]:
    """One per verdict; of a run that was not to be judged, one about its trials."""
    if report.verdicts:
        return [
            Headline(
                tone=word_of(verdict).tone, word=word_of(verdict).value, because=because_of(verdict),
                about="" if report.title == f"suite {verdict.suite}" else verdict.suite,
                warnings=verdict.warnings, difference=difference_line(verdict),
            )
            for verdict in report.verdicts
        ]  # fmt: skip
    word = conclusion_of(report, summary).word
    because = "; ".join([*_lost(report), *_passed(report, summary)])
    return [Headline(tone=word.tone, word=word.value, about="", because=because)]


def _lost(report: Report) -> Iterator[str]:
    for endpoint, error in report.down.items():
        yield f"{endpoint}: {error}"


def _passed(report: Report, summary: Summary) -> Iterator[str]:
    totals = summary.totals
    scored = totals.passed + totals.failed
    missing = f", {count(totals.unscored)} more have no score" if totals.unscored else ""
    yield f"{count(totals.passed)} of {plural(scored, 'scored trial')} passed{missing}"
    if report.pass_rate_min < 1:
        yield f"at least {percent(report.pass_rate_min)} of all {count(totals.rows)} must"
    yield f"cases: {standings(summary) or 'none'}"


def numbers_table(verdict: SuiteVerdict) -> Table:
    """Both versions, number by number."""
    arms = [verdict.candidate] if verdict.stable is None else [verdict.candidate, verdict.stable]
    k = verdict.candidate.k
    rows: Table = [("", "candidate", "stable")[: 1 + len(arms)]]
    rows.append(("pass rate", *(percent(arm.pass_rate) for arm in arms)))
    rows.append((f"at least ({percent(1 - verdict.rules.alpha)})", *(percent(arm.pass_rate_low) for arm in arms)))  # fmt: skip
    if k is not None and k > 1:
        rows.append((f"any of {k} trials", *(percent(arm.pass_at_k) for arm in arms)))
        rows.append((f"all of {k} trials", *(percent(arm.pass_hat_k) for arm in arms)))
    rows.append(("trials", *(_trials(arm) for arm in arms)))
    rows.append(("tokens in + out", *(_tokens(arm) for arm in arms)))
    if any(arm.judge_tokens for arm in arms):
        rows.append(("tokens of judges", *(count(arm.judge_tokens) for arm in arms)))
    if any(arm.latency_ms_median is not None for arm in arms):
        rows.append(("median latency", *(milliseconds(arm.latency_ms_median) for arm in arms)))
    return rows


def changes_table(verdict: SuiteVerdict, rows_max: int) -> Table:
    """The flip list, worst first."""
    if not verdict.changes:
        return []
    rows: Table = [("case", "change", "candidate", "stable", "fails")]
    for change in verdict.changes[:rows_max]:
        said = change.change.value + (" (blocking)" if change.severity is Severity.BLOCKING else "")
        tallies = tally_cell(change.candidate), tally_cell(change.stable)
        rows.append((change.case, said, *tallies, _failing(change)))
    return rows


def footnotes(verdict: SuiteVerdict, rows_max: int) -> Iterator[str]:
    """What the tables leave out."""
    hidden = max(0, len(verdict.changes) - rows_max) + verdict.left_out
    if hidden:
        yield f"... and {count(hidden)} more"
    counts = ", ".join(f"{count(number)} {change.value}" for change, number in verdict.counts.items())
    yield f"{plural(verdict.cases, 'case')}: {counts}"
    if said := difference_line(verdict):
        yield said
    for reason, number in verdict.unscored_because:
        yield f"{count(number)} without a score: {reason}"


def difference_line(verdict: SuiteVerdict) -> str:
    """The difference with its error, margin and power; empty without a stable version."""
    difference = verdict.difference
    if difference is None:
        return ""
    return (
        f"difference {points(difference.mean)}, standard error {_size(difference.error)}, margin {_size(verdict.rules.margin)}; "
        f"drops of {_size(difference.detectable_drop)} would be seen in 4 of 5 runs"
    )


def _size(share: float | None) -> str:
    return points(share).removeprefix("+")


def _trials(arm: ArmSummary) -> str:
    return count(arm.trials) + (f" (+{count(arm.unscored)} unscored)" if arm.unscored else "")


def _tokens(arm: ArmSummary) -> str:
    if arm.tokens_in is None and arm.tokens_out is None:
        return NOT_MEASURED
    return f"{count(arm.tokens_in)} + {count(arm.tokens_out)}"


def _failing(change: CaseChange) -> str:
    return ", ".join(label if times == 1 else f"{label} x{times}" for label, times in change.failing)
