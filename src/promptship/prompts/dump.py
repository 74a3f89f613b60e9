"""A prompt -> native YAML for people: long texts as blocks, stable order, defaults left out. `load(dump(p))` is `p`, always."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.emitter import ScalarAnalysis

from promptship.prompts.formats.yaml_tree import CoreLoader
from promptship.prompts.json_values import plain, require_json
from promptship.prompts.model import Message, Prompt, Tool, Variable

_STR = "tag:yaml.org,2002:str"
_WIDTH = 1 << 30
"""Never fold: a folded text is hard to read and to compare."""
_NOT_IN_BLOCK = re.compile(
    r"[^\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010fffe]"
)
"""What a block cannot hold: controls, and all that some YAML reader takes for the end of a line."""


class _Dumper(yaml.SafeDumper):
    """Writes for both YAML versions: what either of them would not read as text is quoted."""

    def ignore_aliases(self, data: Any) -> bool:
        """No anchors: equal values may share an object by chance."""
        del data
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists below their key."""
        del indentless
        super().increase_indent(flow, False)

    def analyze_scalar(self, scalar: str) -> ScalarAnalysis:
        """PyYAML refuses blocks for tabs and for spaces before a line end; both are safe in literal ones."""
        analysis = super().analyze_scalar(scalar)
        if _fits_block(scalar):
            analysis.allow_block = True
        return analysis


def _fits_block(text: str) -> bool:
    return "\n" in text and not text.isspace() and not _NOT_IN_BLOCK.search(text)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    if _fits_block(text):
        return dumper.represent_scalar(_STR, text, style="|")
    if "\n" in text or _NOT_IN_BLOCK.search(text):
        return dumper.represent_scalar(_STR, text, style='"')
    resolvers = (CoreLoader.yaml_implicit_resolvers, yaml.SafeLoader.yaml_implicit_resolvers)
    first = text[:1]
    taken = any(pattern.match(text) for known in resolvers for _, pattern in known.get(first, []))
    return dumper.represent_scalar(_STR, text, style="'" if taken else None)


_Dumper.add_representer(str, _text)


def dump(prompt: Prompt) -> str:
    """Native YAML of a prompt, with its name, so that the file may be called anything.

    Raises:
        ConfigError: the prompt holds a value that JSON has not (NaN, infinity, a key that is not text).
    """
    require_json(prompt.model_dump(), file=prompt.name)
    values: dict[str, Any] = {
        "name": prompt.name,
        "description": prompt.description,
        "owner": prompt.owner,
        "risk": prompt.risk.value,
        "model": prompt.model,
        "parameters": prompt.parameters,
        "variables": {name: _variable(variable) for name, variable in prompt.variables.items()},
        "messages": [_message(message) for message in prompt.messages],
        "tools": [_tool(tool) for tool in prompt.tools],
        "output_schema": prompt.output_schema,
        "release": prompt.release,
    }
    default = {
        name: field.get_default(call_default_factory=True) for name, field in Prompt.model_fields.items()
    }
    kept = {key: plain(value) for key, value in values.items() if plain(value) != plain(default[key])}
    return yaml.dump(kept, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


def _message(message: Message) -> dict[str, Any]:
    # The role first and the text last: that is how a conversation is read.
    named = {} if message.name is None else {"name": message.name}
    return {"role": message.role, **named, "content": message.content}


def _variable(variable: Variable) -> dict[str, Any]:
    values = {**variable.model_dump(exclude_defaults=True), "type": variable.type.value}
    return {name: values[name] for name in Variable.model_fields if name in values}


def _tool(tool: Tool) -> dict[str, Any]:
    return tool.model_dump(exclude_defaults=True)
