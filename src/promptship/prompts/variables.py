"""Typed variables: what fits, what does not, and what stands in for a value that was not given."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any

from promptship.prompts.json_values import compact, kind, plain, sorted_keys
from promptship.prompts.model import Prompt, Variable, VariableType

_NAMES = {
    VariableType.STRING: "a string",
    VariableType.INTEGER: "an integer",
    VariableType.NUMBER: "a number",
    VariableType.BOOLEAN: "a boolean",
    VariableType.ARRAY: "an array",
    VariableType.OBJECT: "an object",
}


def misfit(variable: Variable, value: Any) -> str | None:
    """What is wrong with a value, as the end of a sentence that begins with its name; None: it fits.

    Never repeats the value: it may be a user's.
    """
    if not _has_type(variable.type, value):
        return f"is {_seen(value)}; expected {_NAMES[variable.type]}"
    if variable.enum is not None and not any(_same(value, choice) for choice in variable.enum):
        return f"is none of {', '.join(compact(plain(choice)) for choice in variable.enum)}"
    return None


def _has_type(expected: VariableType, value: Any) -> bool:
    match expected:
        case VariableType.STRING:
            return isinstance(value, str)
        case VariableType.INTEGER:
            return isinstance(value, int) and not isinstance(value, bool)
        case VariableType.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        case VariableType.BOOLEAN:
            return isinstance(value, bool)
        case VariableType.ARRAY:
            return isinstance(value, list | tuple)
        case VariableType.OBJECT:
            return isinstance(value, Mapping)


def _seen(value: Any) -> str:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else kind(value)


def _same(value: Any, choice: Any) -> bool:
    """Equal as JSON: unlike Python, 1 is not true. A number may be written 1 or 1.0."""
    if isinstance(value, bool) or isinstance(choice, bool):
        return value is choice
    if isinstance(value, list | tuple | Mapping):
        return compact(plain(value)) == compact(plain(choice))
    return bool(value == choice)


def check_variables(prompt: Prompt, variables: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with the variables of a request, by name; empty: they fit.

    Null counts as not given. Unknown names are wrong: a typo must not be a silent default.
    """
    problems: dict[str, str] = {}
    for name, variable in prompt.variables.items():
        value = variables.get(name)
        if value is None:
            if variable.required and variable.default is None:
                problems[name] = (
                    f"is null; expected {_NAMES[variable.type]}" if name in variables else "is missing"
                )
        elif (what := misfit(variable, value)) is not None:
            problems[name] = what
    for name in variables:
        if name not in prompt.variables:
            near = difflib.get_close_matches(name, prompt.variables, n=1)
            problems[name] = f"is not declared; did you mean {near[0]}?" if near else "is not declared"
    return problems


def values_of(prompt: Prompt, variables: Mapping[str, Any]) -> dict[str, Any]:
    """A value for every declared variable: the given one, the default, or the empty value of its type.

    Empty stands for what is optional and has no default; an empty number is None and prints as nothing.
    """
    return {name: _value(variable, variables.get(name)) for name, variable in prompt.variables.items()}


def _value(variable: Variable, given: Any) -> Any:
    if given is not None:
        return given
    if variable.default is not None:
        return sorted_keys(variable.default)
    match variable.type:
        case VariableType.STRING:
            return ""
        case VariableType.BOOLEAN:
            return False
        case VariableType.ARRAY:
            return []
        case VariableType.OBJECT:
            return {}
        case _:
            return None
