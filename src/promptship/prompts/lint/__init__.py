"""Lint of prompts: pure rules over one prompt and its file."""

from __future__ import annotations

from promptship.prompts.lint.catalogue import Catalogue, Model, built_in
from promptship.prompts.lint.finding import LintFinding, Rule, Severity
from promptship.prompts.lint.run import PROMPT_RULES, lint_prompt
from promptship.prompts.lint.subject import LintContext

__all__ = [
    "PROMPT_RULES",
    "Catalogue",
    "LintContext",
    "LintFinding",
    "Model",
    "Rule",
    "Severity",
    "built_in",
    "lint_prompt",
]
