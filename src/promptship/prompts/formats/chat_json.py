"""Chat JSON: a list of messages, or an object with the native keys; tools may have OpenAI's shape."""

from __future__ import annotations

from typing import Any

from promptship.prompts.formats.draft import Draft
from promptship.prompts.formats.json_tree import read_json
from promptship.prompts.json_values import shown


def read(draft: Draft, text: str) -> None:
    """Fill the draft from a JSON file."""
    value = read_json(draft, text)
    draft.infer = True
    if isinstance(value, list):
        draft.values = {"messages": value}
        draft.lines = {f"messages{key}": line for key, line in draft.lines.items()}
    elif isinstance(value, dict):
        draft.values = value
        if isinstance(value.get("tools"), list):
            draft.values["tools"] = [
                unwrap_tool(draft, tool, f"tools[{at}]") for at, tool in enumerate(value["tools"])
            ]
    else:
        draft.wrong("", shown(value), "expected a list of messages, or an object with `messages`")
        raise draft.fail()


def unwrap_tool(draft: Draft, tool: Any, key: str) -> Any:
    """A tool in our shape; OpenAI wraps it as `{"type": "function", "function": {...}}`."""
    if isinstance(tool, dict) and tool.keys() == {"type", "function"}:
        if tool["type"] != "function":
            draft.wrong(f"{key}.type", shown(tool["type"]), "only functions are supported")
        draft.moved(f"{key}.function", key)
        return tool["function"]
    return tool
