"""Picoschema, Dotprompt's short form of JSON Schema, and what of a schema a typed variable can hold.

Source: https://google.github.io/dotprompt/reference/picoschema
"""

from __future__ import annotations

import re
from typing import Any

from promptship.prompts.formats.draft import Draft
from promptship.prompts.json_values import shown, under

_SCALARS = ("any", "boolean", "integer", "null", "number", "string")
_PROPERTY = re.compile(
    r"(?P<name>[^(?]*)(?P<optional>\?)?(?:\((?P<kind>[a-z]+)(?:, *(?P<about>.*))?\))?", re.DOTALL
)


def to_json_schema(draft: Draft, schema: Any, key: str) -> dict[str, Any]:
    """JSON Schema of a Picoschema; what already is JSON Schema stays as it is."""
    if isinstance(schema, dict):
        if schema.get("type") in {*_SCALARS, "object", "array"}:
            return schema
        if isinstance(schema.get("properties"), dict):
            return {"type": "object", **schema}
    return _pico(draft, schema, key)


def _pico(draft: Draft, schema: Any, key: str) -> dict[str, Any]:
    if isinstance(schema, str):
        name, _, about = (part.strip() for part in schema.partition(","))
        if name not in _SCALARS:
            expected = f"expected one of {', '.join(_SCALARS)}"
            draft.wrong(key, shown(name), expected, "named schemas are not supported: write the schema out")
        described = {"description": about} if about else {}
        return described if name == "any" else {"type": name, **described}
    if not isinstance(schema, dict):
        draft.wrong(key, shown(schema), "Picoschema consists of text and nested keys")
        return {}
    result: dict[str, Any] = {
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }
    for written, value in schema.items():
        here = under(key, written)
        if written == "(*)":
            result["additionalProperties"] = _pico(draft, value, here)
            continue
        found = _PROPERTY.fullmatch(written)
        if found is None or not found["name"]:
            draft.wrong(
                here, shown(written), "expected a key such as `name`, `name?` or `tags(array, what they are)`"
            )
            continue
        result["properties"][found["name"]] = _property(draft, found, value, here)
        if not found["optional"]:
            result["required"].append(found["name"])
    if not result["required"]:
        del result["required"]
    return result


def _property(draft: Draft, found: re.Match[str], value: Any, key: str) -> dict[str, Any]:
    optional = found["optional"] is not None
    match found["kind"]:
        case None | "object":
            schema = dict(_pico(draft, value, key))
        case "array":
            schema = {"type": "array", "items": _pico(draft, value, key)}
        case "enum" if isinstance(value, list):
            schema = {"enum": [*value, None] if optional and None not in value else value}
        case "enum":
            draft.wrong(key, shown(value), "expected a list of values")
            schema = {}
        case kind:
            draft.wrong(key, f"a property of kind {kind}", "expected array, object or enum")
            schema = {}
    if optional and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    if found["about"]:
        schema["description"] = found["about"]
    return schema


def to_variables(draft: Draft, schema: dict[str, Any], defaults: dict[str, Any], key: str) -> dict[str, Any]:
    """Native `variables` of an input schema and its defaults. What is inside arrays and objects is not checked by us."""
    properties = schema.get("properties", {})
    if schema.get("type") != "object" or not isinstance(properties, dict):
        draft.wrong(
            key, shown(schema.get("type")), "the input must be an object whose properties are the variables"
        )
        return {}
    if schema.get("additionalProperties"):
        draft.wrong(key, "open: any property", "every variable needs a name", "take out (*)")
    required = schema.get("required", [])
    variables: dict[str, Any] = {}
    for name, property_schema in properties.items():
        variable = _variable(draft, property_schema, under(key, name))
        if name not in required:
            variable["required"] = False
        variables[name] = variable
    for name, value in defaults.items():
        variables.setdefault(name, {"type": type_of(value)} if schema.get("properties") is None else {})
        variables[name]["default"] = value
    return variables


def _variable(draft: Draft, schema: Any, key: str) -> dict[str, Any]:
    if not isinstance(schema, dict):
        draft.wrong(key, shown(schema), "expected a schema")
        return {}
    variable: dict[str, Any] = {}
    choices = schema.get("enum")
    if isinstance(choices, list):
        choices = [choice for choice in choices if choice is not None]
        variable["enum"] = choices
    kinds = schema.get("type", type_of(choices[0]) if choices else None)
    named = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind != "null"]
    if len(named) == 1 and isinstance(named[0], str) and named[0] != "any":
        variable["type"] = named[0]
    else:
        draft.wrong(
            key,
            "of any type",
            "expected one type",
            "name it: string, integer, number, boolean, array or object",
        )
    for ours, theirs in (("description", "description"), ("default", "default")):
        if theirs in schema:
            variable[ours] = schema[theirs]
    return variable


def type_of(value: Any) -> str:
    """JSON Schema's name of a value's type; null counts as a string that is not there."""
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case list():
            return "array"
        case dict():
            return "object"
    return "string"
