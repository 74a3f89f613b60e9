"""Prompt + variables -> what is sent to the model. Pure, and fast when hot: templates are compiled once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import TemplateSyntaxError, UndefinedError

from promptship.errors import ConfigError, InvalidVariables, Problem
from promptship.prompts.model import Message, Prompt, Tool
from promptship.prompts.templates import (
    RENDERED_CHARS_MAX,
    TooMuch,
    render_text,
    template_error,
    variables_used,
)
from promptship.prompts.variables import check_variables, values_of

RESPONSE_NAME = "output"
"""Name of the response schema. The model may see it, so it must not depend on anything but the content: a constant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A request body but for transport, in the shape of OpenAI's chat completions. Read only: it shares the prompt's values."""

    messages: tuple[dict[str, str], ...]
    model: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    tools: tuple[dict[str, Any], ...] = ()
    response_format: dict[str, Any] | None = None


def declared(prompt: Prompt, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the variables that the prompt declares: what a safe version can take of a caller who knows another one."""
    return {name: value for name, value in variables.items() if name in prompt.variables}


def render(prompt: Prompt, variables: Mapping[str, Any]) -> Rendered:
    """What the model is sent for these variables. The same content and variables always give the same bytes.

    Raises:
        InvalidVariables: variables are missing, unknown or of the wrong type, or the templates cannot work with them.
        ConfigError: a template is broken or uses a variable the prompt does not declare; lint finds both before.
    """
    if problems := check_variables(prompt, variables):
        raise InvalidVariables(prompt.name, problems)
    values = values_of(prompt, variables)
    messages: list[dict[str, str]] = []
    left = RENDERED_CHARS_MAX
    for index, message in enumerate(prompt.messages):
        text = _content(prompt, index, message, values, left)
        left -= len(text)
        messages.append(_entry(message, text))
    return Rendered(
        messages=tuple(messages),
        model=prompt.model,
        parameters=dict(prompt.parameters),
        tools=tuple(_tool(tool) for tool in prompt.tools),
        response_format=_response_format(prompt.output_schema),
    )


def _entry(message: Message, text: str) -> dict[str, str]:
    entry = {"role": str(message.role), "content": text}
    if message.name is not None:
        entry["name"] = message.name
    return entry


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters:
        function["parameters"] = tool.parameters
    return {"type": "function", "function": function}


def _response_format(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    if schema is None:
        return None
    return {"type": "json_schema", "json_schema": {"name": RESPONSE_NAME, "schema": schema}}


def _content(prompt: Prompt, index: int, message: Message, values: Mapping[str, Any], chars_max: int) -> str:
    key = f"messages[{index}].content"
    try:
        return render_text(message.content, values, chars_max=chars_max)
    except TemplateSyntaxError as error:
        problem = Problem(
            file=prompt.name, key=key, got=error.message or "broken", expected="expected a Jinja2 template"
        )
        raise ConfigError([problem]) from error
    except UndefinedError as error:
        undeclared = sorted(variables_used(message.content) - prompt.variables.keys())
        if undeclared:
            got = f"using {', '.join(undeclared)}"
            problem = Problem(
                file=prompt.name, key=key, got=got, expected="every variable must be declared in `variables`"
            )
            raise ConfigError([problem]) from error
        raise InvalidVariables(prompt.name, {key: f"cannot be rendered: {error.message}"}) from error
    except TooMuch as error:
        raise InvalidVariables(prompt.name, {key: f"renders to too much: {error}"}) from error
    except Exception as error:
        # Any expression of the template may fail on a value; the text of the error may quote it, so only its kind is told.
        raise InvalidVariables(prompt.name, {key: f"cannot be rendered: {type(error).__name__}"}) from error


__all__ = ["Rendered", "check_variables", "render", "template_error", "variables_used"]
