"""`# promptship: ignore[PS403]` on the line of a finding, or alone on the line above it, silences that rule there.

The comment is `#` in YAML and front matter, `<!-- ... -->` in Markdown, and `{# ... #}` inside a template, where it does not
reach the model. Chat JSON has no comments; there only `{# ... #}` inside a content works. Several rules: `ignore[PS202, PS403]`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from promptship.prompts.lint.finding import LintFinding, Rule

UNKNOWN_SUPPRESSION = Rule(
    id="PS003",
    name="unknown-suppression",
    severity="warning",
    summary="An ignore comment names no rule, or one that does not exist, so it silences nothing.",
)
_COMMENT: Final = re.compile(r"(?:#-?|<!--)\s*promptship:\s*ignore\b(?:\[([^\]\n]*)\])?")


def suppressed(lines: Sequence[str]) -> dict[int, frozenset[str]]:
    """Line (1-based) -> rule ids that its ignore comments silence there."""
    silent: dict[int, frozenset[str]] = {}
    for number, line in enumerate(lines, start=1):
        ids = frozenset(rule for match in _COMMENT.finditer(line) for rule in _ids(match))
        if not ids:
            continue
        silent[number] = silent.get(number, frozenset()) | ids
        if _alone(line):
            silent[number + 1] = silent.get(number + 1, frozenset()) | ids
    return silent


def keep(findings: Iterable[LintFinding], lines: Sequence[str]) -> Iterator[LintFinding]:
    """The findings that no ignore comment silences."""
    silent = suppressed(lines)
    return (finding for finding in findings if finding.rule not in silent.get(finding.line, frozenset()))


def unknown_suppressions(path: str, lines: Sequence[str], rules: Collection[str]) -> Iterator[LintFinding]:
    """Ignore comments that silence nothing because of how they are written."""
    for number, line in enumerate(lines, start=1):
        for match in _COMMENT.finditer(line):
            place = (number, match.start() + 1)
            ids = _ids(match)
            if not ids:
                advice = "write `promptship: ignore[PS403]`"
                yield UNKNOWN_SUPPRESSION.found(path, place, "this comment names no rule to ignore", advice)
            for unknown in [rule for rule in ids if rule not in rules]:
                message = f"`{unknown[:40]}` is no rule, so nothing is ignored"
                yield UNKNOWN_SUPPRESSION.found(path, place, message, "rule ids look like PS403")


def _ids(match: re.Match[str]) -> list[str]:
    return [part.strip() for part in (match.group(1) or "").split(",") if part.strip()]


def _alone(line: str) -> bool:
    """Nothing but the comment: a comment behind text is about its own line only."""
    return bool(re.match(r"\s*(?:\{?#-?|<!--)\s*promptship:", line))
