"""A suite's verdict for people: plain text for terminals, Markdown for pull requests and Prefect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from promptship.evals.suite_file import Severity
from promptship.evals.verdict import ArmSummary, CaseChange, SuiteOutcome, SuiteVerdict, Tally

ROWS_MAX: Final = 20
_WORDS: Final = {
    SuiteOutcome.PASSED: "PASSED",
    SuiteOutcome.TOO_SMALL: "GOES ON",
    SuiteOutcome.REGRESSED: "STOPPED",
    SuiteOutcome.BELOW_FLOOR: "STOPPED",
    SuiteOutcome.UNSCORED: "NO VERDICT",
}


def to_text(verdict: SuiteVerdict, *, rows_max: int = ROWS_MAX) -> str:
    """A few lines and two small tables; ends with a newline."""
    lines = [f"{_WORDS[verdict.outcome]}  suite {verdict.suite}: {verdict.because}"]
    lines += [f"  ! {warning}" for warning in verdict.warnings]
    lines += ["", *_aligned(_numbers(verdict))]
    if changes := list(_changed(verdict, rows_max)):
        lines += ["", *_aligned(changes)]
    lines += [f"  {line}" for line in _footnotes(verdict, rows_max)]
    return "\n".join(lines) + "\n"


def to_markdown(verdict: SuiteVerdict, *, rows_max: int = ROWS_MAX) -> str:
    """The same as Markdown; ends with a newline."""
    lines = [
        f"**{_WORDS[verdict.outcome].capitalize()}**: suite `{verdict.suite}`: {_escaped(verdict.because)}",
        "",
    ]
    lines += [f"> {_escaped(warning)}" for warning in verdict.warnings] + ([""] if verdict.warnings else [])
    lines += _table(_numbers(verdict))
    if changes := list(_changed(verdict, rows_max)):
        lines += ["", *_table(changes)]
    if notes := list(_footnotes(verdict, rows_max)):
        lines += ["", *(f"{_escaped(note)}  " for note in notes)]
    return "\n".join(lines) + "\n"


def _numbers(verdict: SuiteVerdict) -> Iterator[tuple[str, ...]]:
    arms = [verdict.candidate] if verdict.stable is None else [verdict.candidate, verdict.stable]
    k = verdict.candidate.k
    yield ("", "candidate", "stable")[: 1 + len(arms)]
    yield "pass rate", *(_rate(arm.pass_rate) for arm in arms)
    yield f"at least ({_confidence(verdict)})", *(_rate(arm.pass_rate_low) for arm in arms)
    if k is not None and k > 1:
        yield f"any of {k} trials", *(_rate(arm.pass_at_k) for arm in arms)
        yield f"all of {k} trials", *(_rate(arm.pass_hat_k) for arm in arms)
    yield "trials", *(_trials(arm) for arm in arms)
    yield "tokens in + out", *(_tokens(arm) for arm in arms)
    if any(arm.judge_tokens for arm in arms):
        yield "tokens of judges", *(f"{arm.judge_tokens:,}" for arm in arms)
    if any(arm.latency_ms_median is not None for arm in arms):
        yield (
            "median latency",
            *("-" if arm.latency_ms_median is None else f"{arm.latency_ms_median:,.0f} ms" for arm in arms),
        )


def _changed(verdict: SuiteVerdict, rows_max: int) -> Iterator[tuple[str, ...]]:
    if not verdict.changes:
        return
    yield "case", "change", "candidate", "stable", "fails"
    for change in verdict.changes[:rows_max]:
        name = change.case + (" (blocking)" if change.severity is Severity.BLOCKING else "")
        yield name, str(change.change), _tally(change.candidate), _tally(change.stable), _failing(change)


def _footnotes(verdict: SuiteVerdict, rows_max: int) -> Iterator[str]:
    hidden = max(0, len(verdict.changes) - rows_max) + verdict.left_out
    if hidden:
        yield f"... and {hidden:,} more"
    counts = ", ".join(f"{count:,} {change}" for change, count in verdict.counts.items())
    yield f"{verdict.cases:,} cases: {counts}"
    if (difference := verdict.difference) is not None:
        error = "unknown" if difference.error is None else f"{difference.error * 100:.1f}"
        yield (
            f"difference {difference.mean * 100:+.1f} points, standard error {error}, margin {verdict.rules.margin * 100:.1f}; "
            f"drops of {difference.detectable_drop * 100:.1f} would be seen in 4 of 5 runs"
        )
    for reason, count in verdict.unscored_because:
        yield f"{count:,} without a score: {reason}"


def _confidence(verdict: SuiteVerdict) -> str:
    return f"{(1 - verdict.rules.alpha) * 100:g} %"


def _rate(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.1f} %"


def _trials(arm: ArmSummary) -> str:
    return f"{arm.trials:,}" + (f" (+{arm.unscored:,} unscored)" if arm.unscored else "")


def _tokens(arm: ArmSummary) -> str:
    if arm.tokens_in is None or arm.tokens_out is None:
        return "-"
    return f"{arm.tokens_in:,} + {arm.tokens_out:,}"


def _tally(tally: Tally | None) -> str:
    if tally is None or not tally.trials:
        return "-"
    return f"{tally.passed}/{tally.trials}"


def _failing(change: CaseChange) -> str:
    return ", ".join(label if count == 1 else f"{label} x{count}" for label, count in change.failing)


def _aligned(rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> list[str]:
    table = list(rows)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def _table(rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> list[str]:
    head, *body = ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in rows]
    return [head, "|" + "---|" * (head.count(" | ") + 1), *body]


def _escaped(text: str) -> str:
    """A case id is somebody's text: it must not become a table, a link or HTML."""
    for char in "\\`*_[]<>|#@":
        text = text.replace(char, "\\" + char)
    return text.replace("\n", " ")
