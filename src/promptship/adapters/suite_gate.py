"""The suite gate: Great Expectations checks a suite before it is spent on. Its import takes seconds: never on a command's way.

What is wrong is a problem (the suite is not run) or a warning (it is, and the report says so). Messages name cases, never contents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from promptship.adapters.expectations import docs_page, expectations, validate

_MARKUP: Final = re.compile(r"[<>&$\"']")
NAMED_MAX: Final = 5
"""Cases that one message names."""


@dataclass(frozen=True, slots=True)
class SuiteExamination:
    """What the gate found. `results`: Great Expectations' JSON, for the record; `page`: its Data Docs page, HTML."""

    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    results: dict[str, Any]
    page: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What must hold for one column of the case rows in every case: a number within bounds; without bounds it is empty."""

    column: str
    says: str
    """About the cases that break it."""
    warning: bool = False
    least: int | None = None
    most: int | None = None


RULES: Final = (
    Rule(column="checks", says="demand nothing that an answer could fail", least=1),
    Rule(column="empty_checks", says="look for a pattern that matches everything", most=0),
    Rule(
        column="duplicate_of",
        says="ask and demand exactly what an earlier case does: use `trials` or `weight` instead",
    ),
    Rule(column="secret", says="hold a credential: remove it from the file and its history, and revoke it"),
    Rule(
        column="near_duplicate_of",
        says="ask nearly what an earlier case asks: give both one `topic`",
        warning=True,
    ),
    Rule(column="personal", says="hold personal data: use invented names and numbers", warning=True),
)
"""Held by Great Expectations in a release, and by `promptship.evals.suite_facts.looked_over` on a laptop."""


def examine_suite(
    name: str, columns: Mapping[str, Sequence[Any]], slices: Mapping[str, int]
) -> SuiteExamination:
    """Check the case rows of one suite (`promptship.evals.suite_facts.case_rows`, as columns).

    `slices`: cases per slice that the suite promises to cover.
    """
    gxe = expectations()
    columns, promises = _with_promises(columns, slices, gxe)
    checks: list[Any] = [
        gxe.ExpectTableColumnsToMatchSet(column_set=sorted(columns), meta={"says": "the case rows have the wrong columns"}),
        gxe.ExpectTableRowCountToBeBetween(min_value=1, meta={"says": "the suite has no case"}),
        gxe.ExpectColumnValuesToBeUnique(column="id", meta={"says": "have an id that another case has"}),
        gxe.ExpectColumnValuesToNotBeNull(column="id", meta={"says": "have no id"}),
    ]  # fmt: skip
    checks += [*(_expectation(gxe, rule) for rule in RULES), *promises]
    result = validate(f"suite {name}", columns, checks, complete=True)
    problems, warnings = _said(result, list(columns["id"]))
    return SuiteExamination(
        tuple(problems), tuple(warnings), result.to_json_dict(), docs_page(f"suite {name}", result)
    )


def named(says: str, ids: Sequence[str]) -> str:
    """A rule's words about the cases that break it."""
    more = f" and {len(ids) - NAMED_MAX} more" if len(ids) > NAMED_MAX else ""
    return f"{', '.join(ids[:NAMED_MAX])}{more}: {says}"


def broken_promises(slices: Mapping[str, int]) -> list[str]:
    """About slices that the suite promises to cover and does not."""
    return [_broken_promise(slice_) for slice_, count in sorted(slices.items()) if not count]


def _broken_promise(slice_: str) -> str:
    return f"no case has the tag {slice_!r}, which the suite promises"


def _with_promises(
    columns: Mapping[str, Sequence[Any]], slices: Mapping[str, int], gxe: Any
) -> tuple[dict[str, Sequence[Any]], list[Any]]:
    """A column per promised slice that adds up to its cases, and what must hold of it: the page shows every problem."""
    whole, promises = dict(columns), []
    for place, (slice_, count) in enumerate(sorted(slices.items()), start=1):
        # The page knows columns by their names, and writes some of them unescaped.
        name = f"cases of promised slice {place}: {_MARKUP.sub('_', slice_)}"
        whole[name] = [int(number < count) for number in range(len(columns["id"]))]
        meta = {"says": _broken_promise(slice_)}
        promises.append(
            gxe.ExpectColumnSumToBeBetween(column=name, min_value=1, meta=meta, severity="critical")
        )
    return whole, promises


def _expectation(gxe: Any, rule: Rule) -> Any:
    meta = {"says": rule.says, "warning": rule.warning}
    severity = "warning" if rule.warning else "critical"
    if rule.least is None and rule.most is None:
        return gxe.ExpectColumnValuesToBeNull(column=rule.column, meta=meta, severity=severity)
    return gxe.ExpectColumnValuesToBeBetween(
        column=rule.column, min_value=rule.least, max_value=rule.most, meta=meta, severity=severity
    )


def _said(result: Any, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    problems: list[str] = []
    warnings: list[str] = []
    for one in result.results:
        if one.success:
            continue
        meta = one.expectation_config.meta
        rows = one.result.get("unexpected_index_list") or []
        broken = [ids[row] for row in rows if isinstance(row, int)]
        message = named(str(meta["says"]), broken) if broken else str(meta["says"])
        (warnings if meta.get("warning") else problems).append(message)
    return problems, warnings
