"""Rules about templates and their variables (PS1xx, PS2xx)."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from promptship.prompts.lint.finding import LintFinding, Rule
from promptship.prompts.lint.subject import Check, Subject
from promptship.prompts.variables import misfit

TEMPLATE_SYNTAX = Rule(
    id="PS101",
    name="template-syntax",
    severity="error",
    summary="The template does not parse as Jinja, so the prompt cannot be rendered.",
)
UNDECLARED_VARIABLE = Rule(
    id="PS201",
    name="undeclared-variable",
    severity="error",
    summary="A template uses a variable that `variables` does not declare: no request could supply it.",
)
UNUSED_VARIABLE = Rule(
    id="PS202",
    name="unused-variable",
    severity="warning",
    summary="A variable is declared and no template uses it: callers supply it for nothing.",
)
EXAMPLE_MISFIT = Rule(
    id="PS203",
    name="example-misfit",
    severity="error",
    summary="An example does not fit the type or the enum of its variable.",
)
DEFAULT_MISFIT = Rule(
    id="PS204",
    name="default-misfit",
    severity="error",
    summary="A default does not fit the type or the enum of its variable: requests that rely on it would be refused.",
)
MISSING_DESCRIPTION = Rule(
    id="PS205",
    name="missing-description",
    severity="warning",
    summary="A required variable has no description, so callers must guess what to put there.",
)
ENUM_MISFIT = Rule(
    id="PS206",
    name="enum-misfit",
    severity="error",
    summary="An enum value does not fit the type of its variable, so no request can use it.",
)


def template_syntax(subject: Subject) -> Iterator[LintFinding]:
    """A message that does not parse; the line is the one in the file."""
    for template in subject.templates:
        if template.error:
            line, problem = template.error
            place = subject.place(template, line, r"\{[{%#]")
            yield TEMPLATE_SYNTAX.found(
                subject.path, place, f"template does not parse: {problem}", "correct the Jinja syntax"
            )


def undeclared_variable(subject: Subject) -> Iterator[LintFinding]:
    """A name used by a template and not declared; each name once per message."""
    declared = subject.prompt.variables
    for template in subject.templates:
        for name in sorted(template.used - declared.keys()):
            near = get_close_matches(name, declared, n=1, cutoff=0.6)
            advice = f"did you mean `{near[0]}`? otherwise " if near else ""
            place = subject.place_of_variable(template, name)
            yield UNDECLARED_VARIABLE.found(
                subject.path,
                place,
                f"variable `{name}` is used but not declared",
                f"{advice}declare it under `variables`",
            )


def unused_variable(subject: Subject) -> Iterator[LintFinding]:
    """A declared name that no template uses; silent while a template does not parse, because then nobody knows."""
    if any(template.error for template in subject.templates):
        return
    used = frozenset[str]().union(*(template.used for template in subject.templates))
    for name in subject.prompt.variables:
        if name not in used:
            line = subject.source.line(f"variables.{name}")
            yield UNUSED_VARIABLE.found(
                subject.path, line, f"variable `{name}` is declared but not used", "use it or remove it"
            )


def example_misfit(subject: Subject) -> Iterator[LintFinding]:
    """Each example that a request could not carry."""
    for name, variable in subject.prompt.variables.items():
        for index, example in enumerate(variable.examples):
            if wrong := misfit(variable, example):
                line = subject.source.line(f"variables.{name}.examples[{index}]")
                message = f"example {index + 1} of variable `{name}` {wrong}"
                yield EXAMPLE_MISFIT.found(subject.path, line, message, "correct the example or the type")


def default_misfit(subject: Subject) -> Iterator[LintFinding]:
    """A default that a request could not carry; `null` means that there is no default."""
    for name, variable in subject.prompt.variables.items():
        if variable.default is not None and (wrong := misfit(variable, variable.default)):
            line = subject.source.line(f"variables.{name}.default")
            message = f"the default of variable `{name}` {wrong}"
            yield DEFAULT_MISFIT.found(subject.path, line, message, "correct the default or the type")


def enum_misfit(subject: Subject) -> Iterator[LintFinding]:
    """An enum value of another type than its variable."""
    for name, variable in subject.prompt.variables.items():
        any_value = variable.model_copy(update={"enum": None})
        for index, choice in enumerate(variable.enum or ()):
            if wrong := misfit(any_value, choice):
                line = subject.source.line(f"variables.{name}.enum[{index}]")
                message = f"enum value {index + 1} of variable `{name}` {wrong}"
                yield ENUM_MISFIT.found(subject.path, line, message, "correct the value or the type")


def missing_description(subject: Subject) -> Iterator[LintFinding]:
    """A required variable nobody explained."""
    for name, variable in subject.prompt.variables.items():
        if variable.required and not variable.description.strip():
            line = subject.source.line(f"variables.{name}")
            message = f"required variable `{name}` has no description"
            yield MISSING_DESCRIPTION.found(subject.path, line, message, "say in one sentence what it holds")


VARIABLE_RULES: Final[tuple[tuple[Rule, Check], ...]] = (
    (TEMPLATE_SYNTAX, template_syntax),
    (UNDECLARED_VARIABLE, undeclared_variable),
    (UNUSED_VARIABLE, unused_variable),
    (EXAMPLE_MISFIT, example_misfit),
    (DEFAULT_MISFIT, default_misfit),
    (MISSING_DESCRIPTION, missing_description),
    (ENUM_MISFIT, enum_misfit),
)
