"""A suite as it is run: defaults merged, templates rendered, files read, every assertion built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promptship.evals.assertions import Prepared
from promptship.evals.suite_file import JudgeSettings, Severity
from promptship.prompts.model import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What the user says (None: the prompt itself is answered) and what the answer must be like."""

    user: str | None
    asserts: tuple[Prepared, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case. `digest` changes with anything that can change its score, so that kept rows are never mistaken for current ones."""

    id: str
    digest: str
    vars: Mapping[str, Any]
    messages: tuple[Message, ...]
    turns: tuple[Turn, ...]
    severity: Severity
    trials: int | None
    weight: float
    threshold: float | None
    tags: tuple[str, ...]
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Cases with unique ids, in the order of the file."""

    name: str
    path: str
    description: str
    judge: JudgeSettings | None
    cases: tuple[Case, ...]

    def trials(self, case: Case, default: int) -> int:
        """Trials of a case: its own (or the suite's default), or `default`."""
        return case.trials or default
