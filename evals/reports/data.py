"""Reports for programs: one JSON document, or one line of JSON per trial. The schema is in `promptship.evals.reports.schema`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from promptship.evals.reports.ordered import Ordered, json_text
from promptship.evals.reports.verdicts import conclusion_of
from promptship.evals.rows import CaseFacts, Row, to_json

VERSION: Final = 1
"""Goes up when a reader of the last version would be wrong; new optional keys leave it."""


def json_chunks(ordered: Ordered) -> Iterator[str]:
    """The whole run as one document, one result per line."""
    report = ordered.report
    conclusion = conclusion_of(report, ordered.summary)
    head: dict[str, Any] = {
        "kind": "promptship-report",
        "version": VERSION,
        "title": report.title,
        "id": report.id,
        "at": None if report.at is None else report.at.isoformat(),
        "duration_s": report.duration_s,
        "conclusion": {"word": conclusion.word.value, "exit_code": conclusion.exit_code},
        "reused": report.reused,
        "cached": ordered.summary.totals.cached,
        "inputs": dict(report.inputs),
        "verdicts": [verdict.model_dump(mode="json") for verdict in report.verdicts],
        "summary": ordered.summary.model_dump(mode="json"),
        "arms": [asdict(arm) for arm in ordered.arms.values()],
        "cases": [_case(case) for case in ordered.cases.values()],
        "notes": [asdict(note) for note in report.notes],
    }
    yield "{\n"
    for name, value in head.items():
        yield f"{json_text(name)}: {json_text(value)},\n"
    yield '"results": ['
    separator = "\n"
    for row in ordered.rows():
        yield separator + json_text(to_json(row))
        separator = ",\n"
    yield "\n]\n}\n"


def json_lines(ordered: Ordered) -> Iterator[str]:
    """One trial per line, with the facts of its case."""
    for row in ordered.rows():
        yield json_text({**to_json(row), "facts": _facts(ordered, row)}) + "\n"


def _facts(ordered: Ordered, row: Row) -> dict[str, Any]:
    facts = _case(ordered.cases[row.case])
    del facts["id"]
    return facts


def _case(case: CaseFacts) -> dict[str, Any]:
    return {**asdict(case), "vars": dict(case.vars)}
