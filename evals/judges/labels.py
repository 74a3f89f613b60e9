"""`labels.csv`: answers that people have judged, to hold a judge against."""

from __future__ import annotations

import csv
import difflib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from promptship.errors import ConfigError, Problem

COLUMNS: Final[Mapping[str, str]] = {
    "output": "output",
    "label": "label",
    "rubric": "rubric",
    "criterion": "rubric",
    "input": "input",
    "case": "case",
    "judge": "judge",
    "judge_score": "judge_score",
}
"""What a column may be called, and what it means; others are passed over."""
PROBLEMS_MAX: Final = 50
_WORDS: Final[Mapping[str, float]] = {
    **dict.fromkeys(("true", "yes", "pass", "passed", "good"), 1.0),
    **dict.fromkeys(("false", "no", "fail", "failed", "bad"), 0.0),
}
_FIELD_MAX: Final = 10_000_000
PASSES_AT: Final = 0.5
"""A label that is a score passes from here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One answer, as a person judged it, and perhaps as the judge already did."""

    line: int
    output: str
    score: float
    """The person's, 0..1; 0 or 1 for a plain yes or no."""
    rubric: str = ""
    input: str = ""
    """What was asked; the judge sees it."""
    case: str = ""
    """Labels of one case are alike and count together; empty: each stands for itself."""
    judge_passed: bool | None = None
    judge_score: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the person lets the answer pass."""
        return self.score >= PASSES_AT


def read_labels(content: str, file: str) -> tuple[Label, ...]:
    """The labels of a CSV file with a header line.

    `output` and `label` (0, 1, yes, no, or a score from 0 to 1) are needed; `rubric` (or `criterion`), `input`, `case`,
    `judge` (0, 1, yes, no: the judge's verdict, which is then not asked for) and `judge_score` may be there.

    Raises:
        ConfigError: everything that is wrong, with line and column.
    """
    rows = _rows(content.removeprefix("\ufeff"), file)
    if not rows:
        raise ConfigError([Problem(file, "", "empty", "expected a header line and labels")])
    header = _header(rows[0][1], file)
    problems: list[Problem] = []
    labels = [label for line, cells in rows[1:] if (label := _label(line, cells, header, file, problems))]
    if not problems and not labels:
        problems.append(Problem(file, "", "a header without labels", "expected at least one line more"))
    if problems:
        more = len(problems) - PROBLEMS_MAX
        if more > 0:
            problems[PROBLEMS_MAX:] = [
                Problem(file, "", f"{more} more lines like these", "expected labels as above")
            ]
        raise ConfigError(problems)
    return tuple(labels)


def _rows(content: str, file: str) -> list[tuple[int, list[str]]]:
    """Records with the line they begin on; blank ones are left out."""
    csv.field_size_limit(_FIELD_MAX)
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise ConfigError(
            [Problem(file, "", f"not CSV: {error}", "expected CSV with commas", line=line)]
        ) from None
    return rows


def _header(cells: Sequence[str], file: str) -> dict[str, int]:
    """Column of every name we know. Raises ConfigError."""
    found: dict[str, int] = {}
    problems: list[Problem] = []
    for place, cell in enumerate(cells):
        name = cell.strip().lower().replace(" ", "_").replace("-", "_")
        meaning = COLUMNS.get(name)
        if meaning is None:
            near = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=0.8)
            if near:
                problems.append(
                    Problem(
                        file,
                        cell,
                        "an unknown column",
                        "expected known columns",
                        f"did you mean {near[0]}?",
                        1,
                    )
                )
        elif meaning in found:
            problems.append(
                Problem(file, cell, "a second column of this meaning", "expected one", "remove one", 1)
            )
        else:
            found[meaning] = place
    missing = [name for name in ("output", "label") if name not in found]
    problems += [
        Problem(file, name, "missing", "expected a column of this name", "name it in the first line", 1)
        for name in missing
    ]
    if problems:
        raise ConfigError(problems)
    return found


def _label(
    line: int, cells: Sequence[str], header: Mapping[str, int], file: str, problems: list[Problem]
) -> Label | None:
    if len(cells) <= max(header.values()):
        expected = f"expected at least {max(header.values()) + 1}, as the header has"
        problems.append(Problem(file, "", f"{len(cells)} columns", expected, line=line))
        return None
    text = {name: cells[place].strip() for name, place in header.items()}
    numbers: dict[str, float | None] = {}
    for name in ("label", "judge", "judge_score"):
        value = _score(text.get(name, ""))
        if value is None and (name == "label" or text.get(name)):
            got = repr(text[name][:40]) if text[name] else "empty"
            problems.append(
                Problem(file, name, got, "expected 0, 1, yes, no, or a score from 0 to 1", line=line)
            )
        numbers[name] = value
    score, judge = numbers["label"], numbers["judge"]
    if score is None:
        return None
    judge_score = numbers["judge_score"]
    if judge is None and judge_score is not None:
        judge = judge_score
    return Label(
        line=line, output=cells[header["output"]], score=score, rubric=text.get("rubric", ""), input=text.get("input", ""),
        case=text.get("case", ""), judge_passed=None if judge is None else judge >= PASSES_AT, judge_score=judge_score,
    )  # fmt: skip


def _score(text: str) -> float | None:
    known = _WORDS.get(text.lower())
    if known is not None:
        return known
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= 1 else None
