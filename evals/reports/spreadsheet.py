"""Reports as CSV: one line per case and trial, a block of columns per arm. Safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from promptship.evals.reports.ordered import Ordered, json_text
from promptship.evals.rows import CaseFacts, Row
from promptship.evals.score import Unscored

VARIABLES_MAX: Final = 50
"""More names than that stand in one column, as JSON."""
_CASE: Final = ("case", "description", "tags", "severity", "trial")
_ARM: Final = (
    "outcome", "score", "reason", "answer", "latency_ms", "tokens_in", "tokens_out", "cost_usd", "judge_tokens", "named"
)  # fmt: skip
_FORMULA: Final = re.compile(r"'*[\s\x00-\x1f\ufeff]*[=+\-@\t\r\n\uff0b\uff0d\uff1d\uff20]")
"""Text that a spreadsheet would run (OWASP, CSV injection), however many apostrophes are already before it."""


def csv_chunks(ordered: Ordered) -> Iterator[str]:
    """Lines of the file, each ended by CR LF (RFC 4180). Trials count from 1. A number that was not measured is an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)

    def line(cells: Sequence[Any]) -> str:
        buffer.seek(0)
        buffer.truncate()
        writer.writerow(cells)
        return buffer.getvalue()

    variables = _variables(ordered)
    # None: one column holds them all as JSON.
    named = ["vars"] if variables is None else [f"vars.{name}" for name in variables]
    arms = list(ordered.arms)
    yield line([*_CASE, *map(safe, named), *(safe(f"{arm}: {name}") for arm in arms for name in _ARM)])
    for case, rows in ordered.cases_with_rows():
        for trial, of_trial in groupby(rows, key=lambda row: row.trial):
            by_arm = {row.arm: row for row in of_trial}
            cells = [cell for arm in arms for cell in _arm_cells(by_arm.get(arm))]
            yield line([*_case_cells(case, trial), *_variable_cells(case, variables), *cells])


def safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe before it, which `unsafe` takes away again."""
    return f"'{text}" if _FORMULA.match(text) else text


def unsafe(cell: str) -> str:
    """The text that `safe` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _variables(ordered: Ordered) -> list[str] | None:
    names = list(dict.fromkeys(str(name) for case in ordered.cases.values() for name in case.vars))
    return names if len(names) <= VARIABLES_MAX else None


def _case_cells(case: CaseFacts, trial: int) -> list[Any]:
    return [safe(case.id), safe(case.description), safe(", ".join(case.tags)), case.severity.value, trial + 1]


def _variable_cells(case: CaseFacts, variables: Sequence[str] | None) -> list[str]:
    if variables is None:
        return [safe(json_text(dict(case.vars)))]
    values = {str(name): value for name, value in case.vars.items()}
    return [safe(_text(values[name])) if name in values else "" for name in variables]


def _arm_cells(row: Row | None) -> list[Any]:
    if row is None:
        return [""] * len(_ARM)
    if isinstance(row.score, Unscored):
        outcome, score, reason = ("error" if row.error else "unscored"), None, row.error or row.score.reason
    else:
        outcome, score, reason = (
            ("passed" if row.score.passed else "failed"),
            row.score.score,
            row.score.reason,
        )
    answer = row.answers[0] if len(row.answers) == 1 else json_text(list(row.answers)) if row.answers else ""
    numbers = [_number(value) for value in (row.latency_ms, row.tokens_in, row.tokens_out, row.cost_usd)]
    named = json_text(dict(row.named)) if row.named else ""
    return [outcome, _number(score), safe(reason), safe(answer), *numbers, row.judge_tokens, named]


def _number(value: float | None) -> float | str:
    return "" if value is None or not math.isfinite(value) else value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)
