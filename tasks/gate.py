"""The suite gate of a release: Great Expectations looks at every suite before anything is spent on it.

Importing it takes four to five seconds of a process, so what it said of a suite is kept by content: a suite that has not changed
since an earlier release, or an earlier try, is not looked at again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import orjson

from promptship import __version__
from promptship.adapters.secrets import private_directory
from promptship.adapters.suite_gate import SuiteExamination, examine_suite
from promptship.errors import ConfigError, Problem
from promptship.evals.cases import Suite
from promptship.evals.reports.markdown import code, escaped
from promptship.evals.row_log import disk_error
from promptship.evals.suite_facts import case_rows, columns_of
from promptship.numbers import plural
from promptship.render.table import markdown

Examine = Callable[[str, Mapping[str, Sequence[Any]], Mapping[str, int]], SuiteExamination]
GATES: Final = "suite-gates"
"""What the gate said, by content, in the data directory."""
RESULT: Final = ".gate.json"
PAGE: Final = ".gate.html"
KEPT_MAX: Final = 20
"""So many of them; the oldest go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """What stands beside an evaluation: the gate's word on one suite, and where its page is."""

    suite: str
    cases: int
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    results: Mapping[str, Any]
    page: Path


def gated(data: Path, directory: Path, suite: Suite, examine: Examine = examine_suite) -> tuple[str, ...]:
    """Let the suite through, with the gate's warnings, or not. Result and page are kept in `directory`, either way.

    Raises:
        ConfigError: what is wrong, with the cases; nothing has been asked.
        Unavailable: the disk does not take the result.
    """
    found = _known(data, suite, examine)
    beside = directory / suite.name
    result = {
        "suite": suite.name, "cases": len(suite.cases), "problems": found.problems, "warnings": found.warnings,
        "results": found.results,
    }  # fmt: skip
    _write(beside.with_name(beside.name + PAGE), found.page.encode())
    _write(beside.with_name(beside.name + RESULT), orjson.dumps(result, default=str))
    if found.problems:
        expected = "expected a suite that its gate lets through; nothing was asked"
        raise ConfigError(Problem(suite.path, "", problem, expected) for problem in found.problems)
    return tuple(f"suite gate: {warning}" for warning in found.warnings)


def gates(directory: Path) -> Iterator[Gated]:
    """What `gated` kept in a directory."""
    for path in sorted(directory.rglob(f"*{RESULT}")):
        kept = orjson.loads(path.read_bytes())
        yield Gated(
            suite=kept["suite"], cases=kept["cases"], problems=tuple(kept["problems"]), warnings=tuple(kept["warnings"]),
            results=kept["results"], page=path.with_name(path.name.removesuffix(RESULT) + PAGE),
        )  # fmt: skip


def gate_markdown(one: Gated) -> str:
    """The gate's word as a page of Prefect's: the outcome, what is wrong, and every expectation."""
    outcome = "is not run" if one.problems else "is in order"
    lines = [f"Suite {code(one.suite)} of {plural(one.cases, 'case')} **{outcome}**.", ""]
    lines += [f"- {escaped(problem)}" for problem in one.problems]
    lines += [f"- warning: {escaped(warning)}" for warning in one.warnings]
    rows = [_checked(result) for result in one.results["results"]]
    table = markdown(["expectation", "column", "result"], rows)
    return "\n".join(
        [*lines, "", table, "", f"Data Docs page: {code(str(one.page))} on the machine that ran it."]
    )


def _checked(result: Mapping[str, Any]) -> tuple[str, str, str]:
    asked = result["expectation_config"]
    broken = "warning" if asked["meta"].get("warning") else "broken"
    return asked["type"], asked["kwargs"].get("column", "all"), "holds" if result["success"] else broken


def _known(data: Path, suite: Suite, examine: Examine) -> SuiteExamination:
    columns, slices = columns_of(suite, case_rows(suite))
    by = [suite.name, columns, slices, __version__, version("great_expectations")]
    path = data / GATES / f"{hashlib.sha256(orjson.dumps(by)).hexdigest()}.json"
    try:
        kept = orjson.loads(path.read_bytes())
        found = SuiteExamination(
            tuple(kept["problems"]), tuple(kept["warnings"]), kept["results"], kept["page"]
        )
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not whole
        found = examine(suite.name, columns, slices)
        private_directory(data)
        _write(path, orjson.dumps(asdict(found), default=str))
    with suppress(OSError):  # what is used stays
        path.touch()
    _forget_oldest(path.parent)
    return found


def _forget_oldest(directory: Path) -> None:
    """Others may write and forget here at the same time, so a file may be gone already."""
    kept: list[tuple[int, Path]] = []
    for path in directory.glob("*.json"):
        with suppress(OSError):
            kept.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(kept, reverse=True)[KEPT_MAX:]:
        with suppress(OSError):
            path.unlink()


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, whoever else writes the same."""
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        raise disk_error(path, error) from None
