"""Cases that somebody should look at, with what they came to and why; text, Markdown and HTML only draw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from promptship.evals.reports.model import Report
from promptship.evals.reports.reasons import about, reasons, short
from promptship.evals.reports.summary import WORST_FIRST, CaseStats, Summary
from promptship.evals.rows import CaseFacts
from promptship.evals.suite_file import Severity
from promptship.evals.verdict import Tally
from promptship.numbers import count

NONE: Final = "-"
"""Where there is nothing to measure: an arm that a case was not given to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One case. `tallies`: one per arm, in the order of the report."""

    case: str
    standing: str
    blocking: bool
    tallies: tuple[str, ...]
    about: str
    attack: str
    """The beginning of what a red team sent; empty: it is no such case, or the attack did not get through."""
    reasons: tuple[str, ...]

    @property
    def said(self) -> str:
        """`regressed (blocking)`."""
        return self.standing + (" (blocking)" if self.blocking else "")


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


def items(report: Report, found: Sequence[CaseStats], names: Mapping[str, str]) -> list[Item]:
    """`found` as it is shown; `names`: of the arms."""
    facts = {case.id: case for case in report.cases}
    return [
        Item(
            case=case.case, standing=case.standing.value,
            blocking=case.case in facts and facts[case.case].severity is Severity.BLOCKING,
            tallies=tuple(tally_cell(case.arms[arm].tally if arm in case.arms else None) for arm in names),
            about=about(facts[case.case]) if case.case in facts else "", attack=short(case.attack),
            reasons=tuple(reasons(case, names, report.baseline)),
        )
        for case in found
    ]  # fmt: skip


def tally_cell(tally: Tally | None) -> str:
    """`2/3` trials passed; `3/5, needs 4` under a k-of-n rule; `3 unscored`."""
    if tally is None or not tally.trials + tally.unscored:
        return NONE
    if not tally.trials:
        return f"{count(tally.unscored)} unscored"
    needs = "" if tally.passes_min is None else f", needs {count(tally.passes_min)}"
    missing = f" (+{count(tally.unscored)} unscored)" if tally.unscored else ""
    return f"{count(tally.passed)}/{count(tally.trials)}{needs}{missing}"
