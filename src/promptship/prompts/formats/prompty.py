"""Microsoft's Prompty (`.prompty`): YAML front matter over a Jinja2 body with lines such as `system:`.

Source: https://github.com/microsoft/prompty (Prompty.yaml and its chat parser). Roles are split before anything is rendered, so a user
cannot write one. Where to reach a model is promptship's own configuration: connection settings are accepted and not used.
"""

from __future__ import annotations

import re
from typing import Any

from promptship.prompts.formats import front_matter
from promptship.prompts.formats.chat_json import unwrap_tool
from promptship.prompts.formats.draft import Draft
from promptship.prompts.formats.picoschema import type_of
from promptship.prompts.json_values import shown, under
from promptship.prompts.model import Variable, VariableType

_KNOWN = (
    "$schema", "authors", "description", "inputs", "model", "name", "outputs", "owner", "release", "risk", "sample", "tags",
    "template", "version",
)  # fmt: skip
_CONNECTION = (
    "api_key", "api_version", "azure_deployment", "azure_endpoint", "base_url", "connection", "endpoint", "name",
    "organization", "type",
)  # fmt: skip
_ROLE = re.compile(
    r"\s*#?\s*(assistant|developer|function|system|tools?|user)(?:\[(.*)\])?\s*:\s*\Z", re.IGNORECASE
)
_NAME = re.compile(r"\s*name\s*=\s*\"?([\w.-]+)\"?\s*\Z")
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_TYPES = {
    "bool": "boolean",
    "dict": "object",
    "double": "number",
    "float": "number",
    "int": "integer",
    "list": "array",
}
_ENVIRONMENT = "${env:"


def read(draft: Draft, text: str) -> None:
    """Fill the draft from a Prompty file."""
    parts = front_matter.split(draft, text)
    values = draft.section(parts.values, "", _KNOWN)
    native: dict[str, Any] = {
        key: values[key] for key in ("description", "owner", "risk", "release") if key in values
    }
    if name := draft.text(values, "name"):
        # Prompty's name is a title for people.
        native["name"] = name.strip().lower().replace(" ", "-")
    _authors(draft, values.get("authors"), native)
    _model(draft, values.get("model"), native)
    _inputs(draft, values, native)
    _outputs(draft, values.get("outputs"), native)
    template = values.get("template", "jinja2")
    engine = template.get("format", template.get("type")) if isinstance(template, dict) else template
    if engine != "jinja2":
        draft.wrong("template", shown(template), "expected jinja2")
    native["messages"] = _messages(draft, parts.body, parts.body_line)
    draft.values = native


def _authors(draft: Draft, authors: Any, native: dict[str, Any]) -> None:
    if authors is None:
        return
    if not isinstance(authors, list) or not all(isinstance(author, str) for author in authors):
        draft.wrong("authors", shown(authors), "expected a list of names")
    elif authors:
        native.setdefault("owner", ", ".join(authors))


def _model(draft: Draft, model: Any, native: dict[str, Any]) -> None:
    if isinstance(model, str):
        native["model"] = model
        return
    section = draft.section(model, "model", ("api", "configuration", "parameters", "response"))
    if section.get("api", "chat") != "chat":
        draft.wrong("model.api", shown(section["api"]), "only chat is supported")
    if section.get("response", "first") != "first":
        draft.wrong("model.response", shown(section["response"]), "only first is supported")
    configuration = draft.section(section.get("configuration"), "model.configuration", _CONNECTION)
    secret = configuration.get("api_key")
    if isinstance(secret, str) and not secret.startswith("${"):
        draft.wrong(
            "model.configuration.api_key",
            "a key in clear text",
            "keys stay out of files",
            "remove it and revoke the key",
        )
    for key in ("name", "azure_deployment"):
        value = draft.text(configuration, key, parent="model.configuration")
        if value is not None and value.startswith(_ENVIRONMENT):
            expected = "expected the name of a model: a version must not depend on the environment"
            draft.wrong(f"model.configuration.{key}", value, expected)
        elif value is not None:
            native.setdefault("model", value)
            draft.moved(f"model.configuration.{key}", "model")
    parameters = section.get("parameters")
    if isinstance(parameters, dict):
        parameters = dict(parameters)
        tools = parameters.pop("tools", None)
        if isinstance(tools, list):
            native["tools"] = [
                unwrap_tool(draft, tool, f"model.parameters.tools[{at}]") for at, tool in enumerate(tools)
            ]
        elif tools is not None:
            draft.wrong("model.parameters.tools", shown(tools), "expected a list")
        native["parameters"] = parameters
        draft.moved("model.parameters.tools", "tools")
        draft.moved("model.parameters", "parameters")
    elif parameters is not None:
        draft.wrong("model.parameters", shown(parameters), "expected keys and values")


def _inputs(draft: Draft, values: dict[str, Any], native: dict[str, Any]) -> None:
    inputs, sample = values.get("inputs"), values.get("sample")
    if isinstance(sample, str):
        draft.wrong("sample", shown(sample), "a sample in another file is not supported", "write it here")
        sample = None
    if sample is not None and not isinstance(sample, dict):
        draft.wrong("sample", shown(sample), "expected keys and values")
        sample = None
    if inputs is not None and not isinstance(inputs, dict):
        draft.wrong("inputs", shown(inputs), "expected keys and values")
        inputs = None
    if not inputs and not sample:
        draft.infer = True
        return
    draft.moved("inputs", "variables")
    variables = {name: _input(draft, value, under("inputs", name)) for name, value in (inputs or {}).items()}
    for name, value in (sample or {}).items():
        variable = variables.setdefault(name, {"type": type_of(value)})
        variable["examples"] = [*variable.get("examples", []), value]
    native["variables"] = variables


def _input(draft: Draft, value: Any, key: str) -> dict[str, Any]:
    """An input is a declaration, the name of a type, or simply an example."""
    names = {*_TYPES, *VariableType}
    if isinstance(value, str) and value in names:
        return {"type": _TYPES.get(value, value)}
    if not isinstance(value, dict) or not value.keys() & {"type", "default", "sample", "description"}:
        return {"type": type_of(value), "examples": [value]}
    variable = draft.section(value, key, (*Variable.model_fields, "sample"))
    if "sample" in variable:
        variable["examples"] = [*variable.get("examples", []), variable.pop("sample")]
    if isinstance(variable.get("type"), str):
        variable["type"] = _TYPES.get(variable["type"], variable["type"])
    elif "type" not in variable:
        variable["type"] = type_of(variable.get("default", (variable.get("examples") or [""])[0]))
    return variable


def _outputs(draft: Draft, outputs: Any, native: dict[str, Any]) -> None:
    """Named outputs become the schema of the answer."""
    if outputs is None:
        return
    if not isinstance(outputs, dict):
        draft.wrong("outputs", shown(outputs), "expected keys and values")
        return
    properties = {}
    for name, value in outputs.items():
        section = draft.section(value, under("outputs", name), ("type", "description"))
        kind = section.get("type", "string")
        properties[name] = {**section, "type": _TYPES.get(kind, kind) if isinstance(kind, str) else kind}
    native["output_schema"] = {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
    }  # fmt: skip


def _messages(draft: Draft, body: str, first: int) -> list[dict[str, Any]]:
    """Split at the role lines; text before the first one is the system message. Blank lines around a message are layout."""
    messages: list[dict[str, Any]] = []
    message: dict[str, Any] = {"role": "system"}
    text: list[str] = []
    begins = first

    def close(*, written: bool) -> None:
        whole = "\n".join(text)
        lead = len(whole) - len(whole.lstrip("\n"))
        content = whole.strip("\n") if whole.strip() else ""
        if content or written:
            index = len(messages)
            draft.lines |= {
                f"messages[{index}]": begins - written,
                f"messages[{index}].content": begins + lead,
            }
            messages.append({**message, "content": content})

    written = False
    for number, line in enumerate(body.split("\n"), first):
        if found := _ROLE.match(line):
            close(written=written)
            message, text, begins, written = _head(draft, found, number), [], number + 1, True
            continue
        text.append(line)
        if line.strip().startswith("![thread]"):
            draft.wrong(
                "",
                "![thread]",
                "threads are not supported: the application sends earlier turns itself",
                line=number,
            )
        elif _IMAGE.search(line):
            draft.wrong("", "an image", "messages are text", line=number)
    close(written=written)
    if not messages:
        draft.wrong(
            "messages", "an empty body", "expected messages, such as `system:` over a text", line=first
        )
    return messages


def _head(draft: Draft, found: re.Match[str], line: int) -> dict[str, Any]:
    role, options = found[1].lower(), found[2]
    if role in {"function", "tools"}:
        draft.wrong("", f"the role {role}", "expected system, developer, user, assistant or tool", line=line)
        role = "user"
    head: dict[str, Any] = {"role": role}
    if options:
        name = _NAME.match(options)
        if name is None:
            draft.wrong("", f"[{options}]", 'only [name="..."] is supported', line=line)
        else:
            head["name"] = name[1]
    return head
