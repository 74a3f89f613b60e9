"""The suite gate: Great Expectations checks a suite before it is spent on. Its import takes seconds: never on a command's way.

What is wrong is a problem (the suite is not run) or a warning (it is, and the report says so). Messages name cases, never contents.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from promptship.adapters.expectations import expectations, validate

NAMED_MAX: Final = 5
"""Cases that one message names."""


@dataclass(frozen=True, slots=True)
class SuiteExamination:
    """What the gate found. `results`: Great Expectations' JSON, for the record; `page`: its Data Docs page, HTML."""

    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    results: dict[str, Any]
    page: str


@dataclass(frozen=True, slots=True)
class _Rule:
    """One column of the case rows that must be empty, or full, in every case."""

    column: str
    says: str
    warning: bool = False


_RULES: Final = (
    _Rule(
        "duplicate_of", "ask and demand exactly what an earlier case does: use `trials` or `weight` instead"
    ),
    _Rule("secret", "hold a credential: remove it from the file and its history, and revoke it"),
    _Rule("near_duplicate_of", "ask nearly what an earlier case asks: give both one `topic`", warning=True),
    _Rule("personal", "hold personal data: use invented names and numbers", warning=True),
)


_ELSEWHERE: Final = re.compile(
    r"""<script[^>]*\bsrc=.*?</script>|<link\b[^>]*https?://[^>]*>|<img\b[^>]*https?://[^>]*>"""
    r"""|<a\b[^>]*greatexpectations\.io.*?</a>""",
    re.DOTALL,
)
"""Style sheets, scripts and pictures that the page would fetch from other servers."""
_HEAD: Final = """<head>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color-scheme: light dark }
  table { border-collapse: collapse; margin: .5rem 0 1.5rem } td, th { border: 1px solid #8885; padding: .3rem .6rem; text-align: left }
  .navbar, #ge-cta-footer, #cta-footer, .ge-walkthrough-modal, .modal, .btn, button, footer, .footer { display: none }
  .fa-check-circle::before { content: "holds"; color: green } .fa-times::before { content: "broken"; color: #c00 }
  .fa-exclamation-triangle::before { content: "warning" }
</style>
"""


def examine_suite(
    name: str, columns: Mapping[str, Sequence[Any]], slices: Mapping[str, int]
) -> SuiteExamination:
    """Check the case rows of one suite (`promptship.evals.suite_facts.case_rows`, as columns).

    `slices`: cases per slice that the suite promises to cover.
    """
    gxe = expectations()
    checks: list[Any] = [
        gxe.ExpectTableColumnsToMatchSet(column_set=sorted(columns), meta={"says": "the case rows have the wrong columns"}),
        gxe.ExpectTableRowCountToBeBetween(min_value=1, meta={"says": "the suite has no case"}),
        gxe.ExpectColumnValuesToBeUnique(column="id", meta={"says": "have an id that another case has"}),
        gxe.ExpectColumnValuesToNotBeNull(column="id", meta={"says": "have no id"}),
        gxe.ExpectColumnValuesToBeBetween(
            column="checks", min_value=1, meta={"says": "demand nothing that an answer could fail"}
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="empty_checks", max_value=0, meta={"says": "look for a pattern that matches everything"}
        ),
    ]  # fmt: skip
    checks += [
        gxe.ExpectColumnValuesToBeNull(
            column=rule.column, meta={"says": rule.says, "warning": rule.warning},
            severity="warning" if rule.warning else "critical",
        )
        for rule in _RULES
    ]  # fmt: skip
    result = validate(f"suite {name}", columns, checks, complete=True)
    problems, warnings = _said(result, list(columns["id"]))
    problems += [
        f"no case has the tag {slice_!r}, which the suite promises"
        for slice_, count in sorted(slices.items())
        if not count
    ]
    return SuiteExamination(tuple(problems), tuple(warnings), result.to_json_dict(), _page(name, result))


def _said(result: Any, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    problems: list[str] = []
    warnings: list[str] = []
    for one in result.results:
        if one.success:
            continue
        meta = one.expectation_config.meta
        rows = one.result.get("unexpected_index_list") or []
        named = [ids[row] for row in rows if isinstance(row, int)]
        message = str(meta["says"])
        if named:
            more = f" and {len(named) - NAMED_MAX} more" if len(named) > NAMED_MAX else ""
            message = f"{', '.join(named[:NAMED_MAX])}{more}: {message}"
        (warnings if meta.get("warning") else problems).append(message)
    return problems, warnings


def _page(name: str, result: Any) -> str:
    """Great Expectations' own page of a validation, without what it would load from elsewhere."""
    import great_expectations.render.renderer as renderers
    import great_expectations.render.view as views

    renderer: Any = renderers.ValidationResultsPageRenderer()  # type: ignore[attr-defined]
    view: Any = views.DefaultJinjaPageView()  # type: ignore[attr-defined]
    page = _ELSEWHERE.sub("", str(view.render(renderer.render(result))))
    title = f"<title>suite {html.escape(name)}</title>"
    return re.sub(
        r"<title>.*?</title>|<head>",
        lambda found: _HEAD + title if found.group() == "<head>" else "",
        page,
        flags=re.DOTALL,
    )
