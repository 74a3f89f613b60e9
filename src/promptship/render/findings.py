"""Lint findings as text for people, JSON, GitHub workflow commands and SARIF."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import quote

from promptship.prompts.lint.finding import LintFinding, Rule
from promptship.prompts.lint.personal import contacts_in, personal_numbers_in
from promptship.prompts.lint.secrets import masked, secrets_in
from promptship.prompts.lint.subject import split_lines

EXCERPT_CHARS_MAX: Final = 100
_RESET, _BOLD, _DIM = "\x1b[0m", "\x1b[1m", "\x1b[2m"
_COLOUR: Final = {"error": "\x1b[31m", "warning": "\x1b[33m"}


def to_text(
    findings: Sequence[LintFinding],
    *,
    files: int,
    texts: Mapping[str, str] | None = None,
    colour: bool = False,
) -> str:
    """One block per finding (`path:line:column: rule [severity] message`, excerpt, help) and a summary line.

    Args:
        findings: in the order they are to be read.
        files: how many files were looked at.
        texts: content of the files, for excerpts; secrets and personal data in them are masked.
        colour: with ANSI colours, for a terminal.
    """
    lines = {path: split_lines(text) for path, text in (texts or {}).items()}
    blocks = [_block(finding, lines.get(finding.path, []), colour=colour) for finding in findings]
    return "\n\n".join([*blocks, summary(findings, files=files)]) + "\n"


def summary(findings: Sequence[LintFinding], *, files: int) -> str:
    """`2 errors and 1 warning in 1 of 3 files`."""
    if not findings:
        return f"No findings in {_count(files, 'file')}."
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    parts = [_count(n, what) for n, what in ((errors, "error"), (warnings, "warning")) if n]
    found_in = len({finding.path for finding in findings})
    return f"Found {' and '.join(parts)} in {found_in} of {_count(max(files, found_in), 'file')}."


def to_json(findings: Sequence[LintFinding], *, files: int) -> str:
    """`{"files", "errors", "warnings", "findings": [...]}`, keys of a finding as in `LintFinding`."""
    errors = sum(finding.severity == "error" for finding in findings)
    report = {
        "files": files,
        "errors": errors,
        "warnings": len(findings) - errors,
        "findings": [asdict(finding) for finding in findings],
    }
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def to_github(findings: Sequence[LintFinding], rules: Mapping[str, Rule]) -> str:
    """Workflow commands: GitHub Actions shows each at its line of the pull request."""
    return "".join(_command(finding, rules) for finding in findings)


def to_sarif(findings: Sequence[LintFinding], rules: Mapping[str, Rule], *, version: str) -> str:
    """A SARIF 2.1.0 log with one run: every rule, and the findings. `version` is promptship's."""
    order = {rule_id: index for index, rule_id in enumerate(sorted(rules))}
    driver = {
        "name": "promptship",
        "version": version,
        "rules": [_sarif_rule(rules[rule_id]) for rule_id in order],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(finding, order) for finding in findings],
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _block(finding: LintFinding, lines: Sequence[str], *, colour: bool) -> str:
    def paint(text: str, code: str) -> str:
        return f"{code}{text}{_RESET}" if colour else text

    place = f"{finding.path}:{finding.line}:{finding.column}:"
    head = f"{paint(place, _BOLD)} {paint(f'{finding.rule} [{finding.severity}]', _COLOUR[finding.severity])}"
    rows = [f"{head} {finding.message}"]
    gutter = " " * len(str(finding.line))
    if 0 < finding.line <= len(lines) and lines[finding.line - 1].strip():
        rows += (paint(row, _DIM) for row in _excerpt(finding, lines[finding.line - 1]))
    if finding.advice:
        rows.append(f" {gutter} = help: {finding.advice}")
    return "\n".join(_printable(row, keep="\x1b" if colour else "") for row in rows)


def _excerpt(finding: LintFinding, line: str) -> Iterator[str]:
    """The line, cut around the place, with everything masked that must not be shown, and a caret under the place."""
    hits = (*secrets_in(line), *personal_numbers_in(line), *contacts_in(line))
    shown = _printable(masked(line, hits)).rstrip()
    start = max(0, finding.column - 1 - EXCERPT_CHARS_MAX // 2) if len(shown) > EXCERPT_CHARS_MAX else 0
    cut = shown[start : start + EXCERPT_CHARS_MAX]
    number = str(finding.line)
    gutter = " " * len(number)
    yield f" {gutter} |"
    yield f" {number} | {cut}"
    yield f" {gutter} | {' ' * (finding.column - 1 - start)}^"


def _printable(text: str, *, keep: str = "") -> str:
    """Control characters replaced one by one: a prompt file must not be able to steer the reader's terminal."""
    return "".join(c if c.isprintable() or c in keep else " " if c == "\t" else "\ufffd" for c in text)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _command(finding: LintFinding, rules: Mapping[str, Rule]) -> str:
    rule = rules.get(finding.rule)
    title = f"{finding.rule} {rule.name}" if rule else finding.rule
    values = {"file": finding.path, "line": finding.line, "col": finding.column, "title": title}
    properties = ",".join(f"{name}={_escaped(str(value), ',:')}" for name, value in values.items())
    return f"::{finding.severity} {properties}::{_escaped(_sentence(finding))}\n"


def _escaped(text: str, also: str = "") -> str:
    """GitHub's escapes: `%` and line ends everywhere, `:` and `,` in properties."""
    return "".join(f"%{ord(c):02X}" if c in f"%\r\n{also}" else c for c in text)


def _sentence(finding: LintFinding) -> str:
    return f"{finding.message} ({finding.advice})" if finding.advice else finding.message


def _sarif_rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(part.capitalize() for part in rule.name.split("-")),
        "shortDescription": {"text": rule.summary},
        "defaultConfiguration": {"level": rule.severity},
    }


def _sarif_result(finding: LintFinding, order: Mapping[str, int]) -> dict[str, Any]:
    location = {
        "artifactLocation": {"uri": quote(finding.path), "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": finding.line, "startColumn": finding.column},
    }
    return {
        "ruleId": finding.rule,
        "ruleIndex": order.get(finding.rule, -1),
        "level": finding.severity,
        "message": {"text": _sentence(finding)},
        "locations": [{"physicalLocation": location}],
    }
