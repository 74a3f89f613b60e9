"""The identity of a prompt: a digest of what the model sees."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import ValidationError

from promptship.errors import ConfigError, Problem
from promptship.prompts.json_values import compact, ordered, plain, require_json, shown, under
from promptship.prompts.model import Prompt, Tool, Variable

SHORT_CHARS = 12


def canonical(prompt: Prompt) -> dict[str, Any]:
    """What the model sees, as JSON.

    Messages, model, parameters, tools, output schema, and of the variables type, required, default and enum. Absent parts
    are left out, so a part added to the format later changes no old digest.

    JSON Schemas are held as text: the order of `properties` is the order in which models answer, so there, and only there,
    the order of keys is content.

    Raises:
        ConfigError: the prompt holds a value JSON has not (NaN, infinity, a key that is not text).
    """
    require_json(prompt.model_dump(), file=prompt.name)
    content: dict[str, Any] = {
        "messages": [message.model_dump(exclude_none=True) for message in prompt.messages],
        "model": prompt.model,
        "parameters": plain(prompt.parameters),
        "variables": {name: _variable(variable) for name, variable in prompt.variables.items()},
        "tools": [_tool(tool) for tool in prompt.tools],
        "output_schema": None if prompt.output_schema is None else ordered(plain(prompt.output_schema)),
    }
    return {key: value for key, value in content.items() if value not in (None, {}, [])}


def _variable(variable: Variable) -> dict[str, Any]:
    declared: dict[str, Any] = {"type": variable.type.value, "required": variable.required}
    if variable.default is not None:
        declared["default"] = plain(variable.default)
    if variable.enum is not None:
        declared["enum"] = plain(variable.enum)
    return declared


def _tool(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": ordered(plain(tool.parameters))}


def digest(prompt: Prompt) -> str:
    """sha256 (hex) of the canonical JSON. 1 and 1.0 differ, as their bytes do. Raises ConfigError like `canonical`."""
    return hashlib.sha256(compact(canonical(prompt)).encode()).hexdigest()


def short(digest: str) -> str:
    """The first 12 characters: what people are shown."""
    return digest[:SHORT_CHARS]


def from_canonical(name: str, content: dict[str, Any]) -> Prompt:
    """A prompt that renders exactly as the one whose canonical content this is; what is only about it is not there.

    Raises:
        ConfigError: the content was not made by `canonical`.
    """
    try:
        values = dict(content)
        if "output_schema" in values:
            values["output_schema"] = json.loads(values["output_schema"])
        if "tools" in values:
            values["tools"] = [
                {**tool, "parameters": json.loads(tool["parameters"])} for tool in values["tools"]
            ]
        return Prompt.model_validate({**values, "name": name})
    except ValidationError as error:
        raise ConfigError(
            Problem(
                file=name, key=_key(details["loc"]), got=shown(details["input"]), expected=details["msg"],
                advice="the stored version is damaged",
            )
            for details in error.errors(include_url=False)
        ) from error  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        problem = Problem(
            file=name, key="content", got=type(error).__name__, expected="expected canonical content"
        )
        raise ConfigError([problem]) from error


def _key(location: tuple[str | int, ...]) -> str:
    key = ""
    for part in location:
        key = under(key, part)
    return key
