"""Google's Dotprompt (`.prompt`): YAML front matter over a Handlebars body.

Source: https://google.github.io/dotprompt/reference. What it has and we do not is refused by name. `owner`, `risk` and `release` are
ours, plain or in the format's own way for extensions (`promptship.owner`); extensions and metadata of others are not read.
"""

from __future__ import annotations

from typing import Any

from promptship.prompts.formats import front_matter
from promptship.prompts.formats.draft import Draft
from promptship.prompts.formats.handlebars import convert
from promptship.prompts.formats.picoschema import to_json_schema, to_variables
from promptship.prompts.json_values import shown, under

_KNOWN = (
    "config", "description", "input", "metadata", "model", "name", "output", "owner", "release", "risk", "toolDefs", "tools",
    "variant", "version",
)  # fmt: skip
_OURS = ("owner", "risk", "release")

_PARAMETERS = {
    "candidateCount": "n",
    "frequencyPenalty": "frequency_penalty",
    "maxOutputTokens": "max_tokens",
    "presencePenalty": "presence_penalty",
    "stopSequences": "stop",
    "topK": "top_k",
    "topP": "top_p",
}
"""Google's names of sampling parameters in the words of the OpenAI-compatible endpoints we call."""


def read(draft: Draft, text: str) -> None:
    """Fill the draft from a Dotprompt file."""
    parts = front_matter.split(draft, text, header=True)
    ours = {key: value for key, value in parts.values.items() if "." not in key}
    values = draft.section(ours, "", _KNOWN)
    for key in _OURS:
        if f"promptship.{key}" in parts.values:
            values[key] = parts.values[f"promptship.{key}"]
            draft.moved(f"promptship.{key}", key)
    native: dict[str, Any] = {key: values[key] for key in ("model", "description", *_OURS) if key in values}
    _name(draft, values, native)
    _config(draft, values.get("config"), native)
    _input(draft, values.get("input"), native)
    _output(draft, values.get("output"), native)
    _tools(draft, values, native)
    declared = native.get("variables", {})
    body = parts.body.strip() if parts.found else parts.body
    first = parts.body_line + (parts.body[: parts.body.find(body)].count("\n") if body else 0)
    types = {name: variable.get("type", "string") for name, variable in declared.items()}

    def wrong(line: int, got: str, expected: str) -> None:
        draft.wrong("", got, expected, line=first + line - 1)

    turns = convert(body, types, wrong)
    native["messages"] = [{"role": turn.role, "content": turn.template} for turn in turns]
    for index, turn in enumerate(turns):
        line = first + turn.line - 1
        draft.lines |= {under("messages", index): line, f"messages[{index}].content": line}
    if not turns:
        draft.wrong("messages", "an empty body", "expected the template of the prompt", line=first)
    draft.values = native


def _name(draft: Draft, values: dict[str, Any], native: dict[str, Any]) -> None:
    """`greeting` in the variant `formal` is called `greeting.formal`: both can be released."""
    stem, *variants = draft.path.rsplit("/", 1)[-1].split(".")[:-1] or [""]
    name = draft.text(values, "name") or stem
    variant = draft.text(values, "variant") or ".".join(variants)
    full = f"{name}.{variant}" if variant else name
    native["name"] = full.strip().lower().replace(" ", "-")


def _config(draft: Draft, config: Any, native: dict[str, Any]) -> None:
    if config is None:
        return
    if not isinstance(config, dict):
        draft.wrong("config", shown(config), "expected keys and values")
        return
    if "version" in config:
        draft.wrong("config.version", shown(config["version"]), "write the exact version as `model`")
    native["parameters"] = {_PARAMETERS.get(key, key): value for key, value in config.items()}
    for key in config:
        draft.moved(f"config.{key}", f"parameters.{_PARAMETERS.get(key, key)}")


def _input(draft: Draft, given: Any, native: dict[str, Any]) -> None:
    section = draft.section(given, "input", ("default", "schema"))
    defaults = section.get("default") or {}
    if not isinstance(defaults, dict):
        draft.wrong("input.default", shown(defaults), "expected keys and values")
        defaults = {}
    if section.get("schema") is None:
        draft.infer = not defaults
        if defaults:
            native["variables"] = to_variables(draft, {"type": "object"}, defaults, "input.default")
        return
    schema = to_json_schema(draft, section["schema"], "input.schema")
    for key in section["schema"] if isinstance(section["schema"], dict) else ():
        draft.moved(f"input.schema.{key}", f"variables.{key.split('(')[0].removesuffix('?')}")
    draft.moved("input.schema.properties", "variables")
    native["variables"] = to_variables(draft, schema, defaults, "input.schema")


def _output(draft: Draft, given: Any, native: dict[str, Any]) -> None:
    section = draft.section(given, "output", ("format", "schema"))
    form = section.get("format")
    if form not in {None, "json", "text"}:
        draft.wrong("output.format", shown(form), "expected json or text")
    if section.get("schema") is not None:
        native["output_schema"] = to_json_schema(draft, section["schema"], "output.schema")
        draft.moved("output.schema", "output_schema")
    elif form == "json":
        native["parameters"] = {**native.get("parameters", {}), "response_format": {"type": "json_object"}}


def _tools(draft: Draft, values: dict[str, Any], native: dict[str, Any]) -> None:
    """Tools by name must be defined in `toolDefs`: nothing outside the file takes part in a version."""
    wanted, given = values.get("tools") or [], values.get("toolDefs") or []
    for key, value in (("tools", wanted), ("toolDefs", given)):
        if not isinstance(value, list):
            draft.wrong(key, shown(value), "expected a list")
            return
    known = {}
    for index, tool in enumerate(given):
        known[tool.get("name") if isinstance(tool, dict) else None] = _tool(draft, tool, f"toolDefs[{index}]")
    tools = []
    for index, tool in enumerate(wanted):
        if isinstance(tool, str):
            if tool not in known:
                draft.wrong(f"tools[{index}]", shown(tool), "expected a tool defined in `toolDefs`")
            tools.append(known.pop(tool, {"name": tool}))
        else:
            tools.append(_tool(draft, tool, f"tools[{index}]"))
    if tools or known:
        native["tools"] = [*tools, *known.values()]


def _tool(draft: Draft, tool: Any, key: str) -> dict[str, Any]:
    section = draft.section(tool, key, ("name", "description", "inputSchema", "outputSchema", "parameters"))
    native: dict[str, Any] = {name: section[name] for name in ("name", "description") if name in section}
    schema = section.get("inputSchema", section.get("parameters"))
    if schema is not None:
        native["parameters"] = to_json_schema(draft, schema, f"{key}.inputSchema")
    return native
