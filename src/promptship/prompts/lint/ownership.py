"""Rules about who answers for a prompt (PS5xx)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from promptship.prompts.lint.finding import LintFinding, Rule
from promptship.prompts.lint.subject import Check, Subject

MISSING_OWNER = Rule(
    id="PS501",
    name="missing-owner",
    severity="warning",
    summary="The prompt names no owner: nobody is told when its canary is rolled back.",
)


def missing_owner(subject: Subject) -> Iterator[LintFinding]:
    """No owner, or an empty one."""
    if not (subject.prompt.owner or "").strip():
        line = subject.source.line("owner")
        yield MISSING_OWNER.found(
            subject.path, line, "the prompt has no owner", "add `owner:` with a team or an address"
        )


OWNERSHIP_RULES: Final[tuple[tuple[Rule, Check], ...]] = ((MISSING_OWNER, missing_owner),)
