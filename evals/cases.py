"""A suite as it is run: defaults merged, templates rendered, files read, every assertion built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from promptship.evals.assertions import Prepared
from promptship.evals.suite_file import AttackerSettings, AttackFile, JudgeSettings, Origin, Severity
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
    topic: str = ""
    passes_min: int | None = None
    attack: AttackFile | None = None
    """None: nobody goes on after the turns."""
    origin: Origin = field(default_factory=Origin)
    line: int = 0
    """Where it begins in the suite's file, from 1; 0: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Cases with unique ids, in the order of the file. `slices`: tags that the file promises to cover."""

    name: str
    path: str
    description: str
    judge: JudgeSettings | None
    cases: tuple[Case, ...]
    attacker: AttackerSettings | None = None
    budget_usd: float | None = None
    slices: tuple[str, ...] = ()

    def trials(self, case: Case, default: int) -> int:
        """Trials of a case: its own (or the suite's default), or `default`; never fewer than must pass."""
        return case.trials or max(default, case.passes_min or 0)
