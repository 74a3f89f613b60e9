"""OpenAI's responses -> `Call`: the prompt is named by `prompt: {id, version, variables}`, or by `model` as elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promptship.gateway.intake import (
    Call,
    Names,
    named_by_model,
    read_json,
    read_stream,
    take_variables,
    unit_of,
)
from promptship.gateway.rejection import Rejection, bad_request


def read_response_call(body: bytes, unit_header: str = "", names: Names | None = None) -> Call | Rejection:
    """The call. `messages` are items of `input`; a text is one message of the user."""
    names = names or Names()
    fields = read_json(body)
    if isinstance(fields, Rejection):
        return fields
    named_by = "model"
    if fields.get("prompt") is not None:
        named_by = _names(fields["prompt"])
        named = _named_by_prompt(fields.pop("prompt"), names)
        fields.pop("model", None)  # the version brings its own
    else:
        named = _named_by_model(fields, names)
    if isinstance(named, Rejection):
        return named
    name, pin, variables = named
    if fields.get("background"):
        return bad_request("a response in the background cannot be fetched here later", "background")
    items = _items(fields.pop("input", None))
    if isinstance(items, Rejection):
        return items
    stream = read_stream(fields)
    if isinstance(stream, Rejection):
        return stream
    unit = unit_of(unit_header, fields, "user", "safety_identifier")
    if isinstance(unit, Rejection):
        return unit
    return Call(name, pin, unit, variables, items, stream, fields, named_by)


def _names(prompt: Any) -> str:
    """The field of a prompt object that says most about which one is meant."""
    return "prompt.version" if isinstance(prompt, dict) and prompt.get("version") else "prompt.id"


def _named_by_prompt(prompt: Any, names: Names) -> tuple[str, str, dict[str, Any]] | Rejection:
    if not isinstance(prompt, dict):
        return bad_request("prompt must be an object: id, version, variables", "prompt")
    unknown = sorted(set(prompt) - {"id", "version", "variables"})
    if unknown:
        return bad_request(
            f"{unknown[0]!r} is not a field of prompt: id, version, variables", f"prompt.{unknown[0]}"
        )
    id_, version = prompt.get("id"), prompt.get("version")
    if not isinstance(id_, str) or not id_:
        return bad_request("prompt.id is missing", "prompt.id", code="missing_required_parameter")
    if not isinstance(version, str | None):
        return bad_request("prompt.version must be a text", "prompt.version")
    named = names.resolve(id_, version or "", _names(prompt))
    if isinstance(named, Rejection):
        return named
    variables = _variables(prompt.get("variables"))
    return variables if isinstance(variables, Rejection) else (*named, variables)


def _named_by_model(fields: dict[str, Any], names: Names) -> tuple[str, str, dict[str, Any]] | Rejection:
    named = named_by_model(fields, names)
    if isinstance(named, Rejection):
        return named
    variables = take_variables(fields)
    return variables if isinstance(variables, Rejection) else (*named, variables)


def _variables(given: Any) -> dict[str, Any] | Rejection:
    """Values as they are; of OpenAI's input objects only texts."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        return bad_request("prompt.variables must be an object of name to value", "prompt.variables")
    values: dict[str, Any] = {}
    for name, value in given.items():
        kind = value.get("type") if isinstance(value, Mapping) else None
        if kind in {"input_image", "input_file"}:
            return bad_request(
                f"variable {name} is an {kind}; put images and files into input",
                name,
                code="invalid_prompt_variables",
            )
        values[name] = value.get("text") if kind == "input_text" else value
    return values


def _items(given: Any) -> list[Any] | Rejection:
    if given is None:
        return []
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list):
        return bad_request("input must be a text or a list of items", "input")
    for index, item in enumerate(given):
        if not isinstance(item, dict):
            return bad_request("each item of input must be an object", f"input[{index}]")
    return given
