"""Prompts under lint, built without a file format."""

from __future__ import annotations

from datetime import date
from typing import Any

from promptship.errors import NotFound
from promptship.prompts.lint import Catalogue, LintContext, LintFinding, Model, lint_prompt
from promptship.prompts.model import Loaded, Prompt, SourceMap

TODAY = date(2026, 11, 22)
CATALOGUE = Catalogue(
    {"house-model": Model(context_tokens=1000), "old-model": Model(retires_on=date(2025, 1, 1))}
)
CONTEXT = LintContext(catalogue=CATALOGUE, today=TODAY)


def prompt(**fields: Any) -> Prompt:
    """A prompt without any finding, except for what is given."""
    given = {
        "name": "p",
        "model": "house-model",
        "owner": "team",
        "messages": [{"role": "user", "content": "Hi"}],
    }
    return Prompt.model_validate(given | fields)


def system(content: str, **variables: dict[str, Any]) -> Prompt:
    """A prompt with one system message."""
    described = {name: {"description": "d"} | variable for name, variable in variables.items()}
    return prompt(messages=[{"role": "system", "content": content}], variables=described)


def findings(
    subject: Prompt, text: str = "", context: LintContext = CONTEXT, lines: dict[str, int] | None = None
) -> tuple[LintFinding, ...]:
    """Lint a prompt whose file has this text."""
    source = SourceMap(path="p.yaml", lines=lines or {})
    return lint_prompt(Loaded(prompt=subject, source=source), text, context)


def rules(subject: Prompt, text: str = "", context: LintContext = CONTEXT) -> set[str]:
    """Ids of the rules that fire."""
    return {finding.rule for finding in findings(subject, text, context)}


class Files:
    """`ports.Tree` over a dictionary."""

    name = "memory"

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def read(self, path: str) -> bytes:
        """Content of a file."""
        if path not in self._files:
            message = f"no file {path}"
            raise NotFound(message)
        return self._files[path].encode()

    def files(self) -> list[str]:
        """Every path."""
        return sorted(self._files)
