"""What a prompt rule looks at: one prompt, its file's text, and what is known around it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date

from jinja2 import Environment, TemplateSyntaxError

from promptship.prompts.lint.catalogue import Catalogue
from promptship.prompts.lint.finding import LintFinding
from promptship.prompts.model import Loaded, Prompt, SourceMap
from promptship.prompts.render import template_error, variables_used

# Only reads tokens and syntax trees; nothing is ever rendered with it, so it needs no sandbox.
SYNTAX = Environment(autoescape=False)  # noqa: S701 - never renders


@dataclass(frozen=True, slots=True, kw_only=True)
class LintContext:
    """What the rules need to know beside the prompt. `today` is an input, so that lint of a commit can be repeated."""

    catalogue: Catalogue
    today: date
    retires_soon_days: int = 60
    """A model that retires within so many days is warned about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The content of one message, parsed once for all rules."""

    index: int
    role: str
    content: str
    error: tuple[int, str] | None
    """1-based line within the content and what is wrong; None: it parses."""
    used: frozenset[str]
    """Variables it needs from outside; empty when it does not parse."""

    @property
    def key(self) -> str:
        """Its key in the source map."""
        return f"messages[{self.index}].content"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A prompt under lint."""

    prompt: Prompt
    source: SourceMap
    context: LintContext
    lines: tuple[str, ...]
    """The file, line by line, as it was read."""
    templates: tuple[Template, ...] = field(default=())

    @property
    def path(self) -> str:
        """Path of the prompt's file."""
        return self.source.path

    def place(self, template: Template, line: int, pattern: str = "") -> tuple[int, int]:
        """(line, column) in the FILE of a 1-based line of a template, at the first match of the regex `pattern` there.

        The source map says where a content begins. Literal text continues line by line from there; folded or quoted text
        (`>`, JSON) does not, so each guess is checked against the file and the nearest line that fits is taken.
        """
        start = self.source.line(template.key)
        parts = split_lines(template.content)
        wanted = parts[min(line, len(parts)) - 1].strip()
        ahead = range(start, min(start + len(parts) + 1, len(self.lines) + 1))
        for number in [start + line - 1, *ahead]:
            text = self.lines[number - 1] if 0 < number <= len(self.lines) else ""
            if wanted and wanted in text:
                return number, _column(text, pattern, text.index(wanted))
        for number in range(start, len(self.lines) + 1):
            if pattern and (match := re.search(pattern, self.lines[number - 1])):
                return number, match.start() + 1
        return start, 1

    def place_of_variable(self, template: Template, name: str) -> tuple[int, int]:
        """(line, column) in the file of the first use of a variable in a template."""
        line = _line_of_name(template.content, name)
        return self.place(template, line, rf"(?<![\w.]){re.escape(name)}(?!\w)")


Check = Callable[[Subject], Iterable[LintFinding]]
"""A rule's code: pure, any number of findings, all of the same rule."""


def subject(loaded: Loaded, text: str, context: LintContext) -> Subject:
    """Parse a prompt's templates once and bundle what the rules look at."""
    templates = []
    for index, message in enumerate(loaded.prompt.messages):
        error = template_error(message.content)
        used = frozenset() if error else frozenset(variables_used(message.content))
        templates.append(
            Template(index=index, role=message.role, content=message.content, error=error, used=used)
        )
    return Subject(
        prompt=loaded.prompt,
        source=loaded.source,
        context=context,
        lines=tuple(split_lines(text)),
        templates=tuple(templates),
    )


def split_lines(text: str) -> list[str]:
    """Lines as editors and templates count them: `str.splitlines` also breaks at form feeds and Unicode separators."""
    return [line.removesuffix("\r") for line in text.split("\n")]


def _column(text: str, pattern: str, start: int) -> int:
    match = re.compile(pattern).search(text, start) if pattern else None
    return (match.start() if match else start) + 1


def _line_of_name(content: str, name: str) -> int:
    """Line of the first token of that name that is not an attribute (`.name`)."""
    before = ""
    try:
        for line, kind, value in SYNTAX.lex(content):
            if kind == "name" and value == name and before != ".":
                return int(line)
            if kind != "whitespace":
                before = value
    except TemplateSyntaxError:
        return 1
    return 1
