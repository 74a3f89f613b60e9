"""A file on its way to a prompt: what every format fills in, and the one place where it becomes a `Loaded` or all its problems."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from promptship.errors import ConfigError, Problem
from promptship.prompts.json_values import shown, under
from promptship.prompts.model import VARIABLE_PATTERN, Loaded, Message, Prompt, SourceMap, Tool, Variable
from promptship.prompts.templates import infer_variables

_SECTIONS: Mapping[str, type[BaseModel]] = {"messages": Message, "variables": Variable, "tools": Tool}

_EXPECTED = {
    "missing": "this key is required",
    "string_type": "expected text",
    "tuple_type": "expected a list",
    "dict_type": "expected keys and values",
    "model_type": "expected keys and values",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "too_short": "expected at least one entry",
}

_SAMPLING = frozenset({
    "frequency_penalty", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "n", "presence_penalty",
    "reasoning_effort", "response_format", "seed", "stop", "temperature", "tool_choice", "top_k", "top_p",
})  # fmt: skip
"""Parameters people write one level too high."""


@dataclass(slots=True)
class Draft:
    """Native keys read so far, where they stand (see `SourceMap`), and what is wrong so far."""

    path: str
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    infer: bool = False
    """Take the variables from the templates: for formats in which nobody declares any."""

    def wrong(self, key: str, got: str, expected: str, advice: str = "", *, line: int | None = None) -> None:
        """Note a problem; its line is that of the key, or of the nearest known key above it."""
        where = SourceMap(path=self.path, lines=self.lines).line(key) if line is None else line
        self.problems.append(
            Problem(file=self.path, key=key, got=got, expected=expected, advice=advice, line=where)
        )

    def unknown(self, key: str, known: Iterable[str]) -> None:
        """Note a key that does not exist here, with the nearest one that does."""
        *_, name = re.split(r"[.]", key)
        names = sorted(known)
        choices = {choice: choice for choice in names}
        if "parameters" in choices:
            choices |= {choice: f"parameters.{choice}" for choice in _SAMPLING}
        near = difflib.get_close_matches(name, choices, n=1)
        advice = f"did you mean {choices[near[0]]}?" if near else ""
        self.wrong(key, "an unknown key", f"known here: {', '.join(names)}", advice)

    def moved(self, old: str, new: str) -> None:
        """A part of the file became the native key `new`: its lines are known under both."""
        for key, line in list(self.lines.items()):
            if key == old or key.startswith((f"{old}.", f"{old}[")):
                self.lines.setdefault(new + key.removeprefix(old), line)

    def section(self, values: Any, key: str, known: Iterable[str]) -> dict[str, Any]:
        """A mapping with known keys only; what does not fit is noted and left out."""
        if values is None:
            return {}
        if not isinstance(values, dict):
            self.wrong(key, shown(values), "expected keys and values")
            return {}
        allowed = frozenset(known)
        for name in values:
            if name not in allowed:
                self.unknown(under(key, name), allowed)
        return {name: value for name, value in values.items() if name in allowed}

    def text(self, values: Mapping[str, Any], name: str, *, parent: str = "") -> str | None:
        """A text value, or None when it is absent (or wrong, which is noted)."""
        value = values.get(name)
        if value is None or isinstance(value, str):
            return value
        self.wrong(under(parent, name), shown(value), "expected text", "put it in quotes")
        return None

    def fail(self) -> ConfigError:
        """All problems, in the order of the file."""
        return ConfigError(sorted(set(self.problems), key=lambda problem: (problem.line, problem)))


def build(draft: Draft, *, name: str) -> Loaded:
    """The prompt of a draft; `name` is used when the file gives none.

    Raises:
        ConfigError: with every problem of the file.
    """
    values = {key: value for key, value in draft.values.items() if key != "$schema"}
    values.setdefault("name", name)
    if draft.infer and "variables" not in values:
        values["variables"] = infer_variables(_templates(values))
    variables = values.get("variables")
    for variable in variables if isinstance(variables, dict) else ():
        if not re.match(VARIABLE_PATTERN, variable):
            draft.wrong(
                under("variables", variable),
                shown(variable),
                "a name has letters, digits and _, no digit first",
            )
    prompt = None
    try:
        prompt = Prompt.model_validate(values)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            _note(draft, details, named="name" in draft.values)
    if prompt is None or draft.problems:
        raise draft.fail()
    return Loaded(prompt=prompt, source=SourceMap(path=draft.path, lines=draft.lines))


def _templates(values: Mapping[str, Any]) -> list[str]:
    messages = values.get("messages")
    entries = messages if isinstance(messages, list) else []
    contents = (entry.get("content") for entry in entries if isinstance(entry, dict))
    return [content for content in contents if isinstance(content, str)]


def _note(draft: Draft, details: ErrorDetails, *, named: bool) -> None:
    """Translate one of pydantic's findings into ours."""
    location = details["loc"]
    key = ""
    for part in location:
        key = under(key, part)
    kind = details["type"]
    if kind == "too_short" and details["input"]:
        return  # only because its entries are wrong, and they are reported themselves
    if key == "variables" and kind == "value_error":
        return  # a name; reported with its line
    if kind == "extra_forbidden":
        section = _SECTIONS.get(str(location[0]), Prompt) if len(location) > 1 else Prompt
        draft.unknown(key, section.model_fields)
    elif kind == "missing":
        draft.wrong(key, "missing", _EXPECTED[kind])
    else:
        message = details["msg"].removeprefix("Value error, ")
        expected = _EXPECTED.get(kind, f"{message[:1].lower()}{message[1:]}")
        draft.wrong(key, shown(details["input"]), expected, _advice(key, kind, named=named))


def _advice(key: str, kind: str, *, named: bool) -> str:
    if key == "name":
        form = "a name is lower case letters, digits and . _ -, at most 100"
        return form if named else f"{form}; rename the file or set `name`"
    return "put it in quotes" if kind == "string_type" else ""
