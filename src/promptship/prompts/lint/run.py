"""All prompt rules, and how they are run over one prompt."""

from __future__ import annotations

from typing import Final

from promptship.prompts.lint.finding import LintFinding, Rule
from promptship.prompts.lint.models import MODEL_RULES
from promptship.prompts.lint.ownership import OWNERSHIP_RULES
from promptship.prompts.lint.safety import SAFETY_RULES
from promptship.prompts.lint.subject import Check, LintContext, subject
from promptship.prompts.lint.suppress import UNKNOWN_SUPPRESSION, keep
from promptship.prompts.lint.variables import VARIABLE_RULES
from promptship.prompts.model import Loaded

CHECKS: Final[tuple[tuple[Rule, Check], ...]] = (
    *VARIABLE_RULES,
    *MODEL_RULES,
    *SAFETY_RULES,
    *OWNERSHIP_RULES,
)
"""The registry: a new prompt rule is a `Rule` and a pure function, listed by its family's file."""

PROMPT_RULES: Final[dict[str, Rule]] = {
    rule.id: rule for rule in (UNKNOWN_SUPPRESSION, *(rule for rule, _ in CHECKS))
}


def lint_prompt(loaded: Loaded, text: str, context: LintContext) -> tuple[LintFinding, ...]:
    """Every finding about one prompt, in order of reading, without those its file silences.

    `text` is the file the prompt was loaded from. Unknown ignore comments are not looked at here, because only the caller
    knows all rules (`promptship.prompts.lint.suppress.unknown_suppressions`).
    """
    looked_at = subject(loaded, text, context)
    found = (finding for _, check in CHECKS for finding in check(looked_at))
    return tuple(sorted(keep(found, looked_at.lines)))
