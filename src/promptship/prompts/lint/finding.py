"""What lint says: a finding, and the rule it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import total_ordering
from typing import Literal

Severity = Literal["error", "warning"]


@total_ordering
@dataclass(frozen=True, slots=True)
class LintFinding:
    """One thing lint found at one place. `line` and `column` are 1-based; an `error` stops a release.

    The message never quotes prompt text, example values or secrets: findings go to the ledger and to logs.
    """

    rule: str
    severity: Severity
    path: str
    line: int
    column: int = 1
    message: str = ""
    advice: str = ""

    def _place(self) -> tuple[str, int, str, int, str, str, str]:
        return self.path, self.line, self.rule, self.column, self.message, self.advice, self.severity

    def __lt__(self, other: object) -> bool:
        """Order of reading: path, line, then rule."""
        if not isinstance(other, LintFinding):
            return NotImplemented
        return self._place() < other._place()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A lint rule. Ids are stable for ever: people write them into their files to silence a finding."""

    id: str
    """`PS` and three digits; the first digit is the family."""
    name: str
    severity: Severity
    summary: str
    """One line for the documentation: what is wrong and why it matters."""

    def found(self, path: str, place: int | tuple[int, int], message: str, advice: str = "") -> LintFinding:
        """A finding of this rule at a line, or at (line, column)."""
        line, column = (place, 1) if isinstance(place, int) else place
        return LintFinding(self.id, self.severity, path, line, column, message, advice)
