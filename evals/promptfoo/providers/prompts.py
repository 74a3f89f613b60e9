"""A rendered prompt as messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson
import yaml

from promptship.errors import ConfigError, Problem

_ROLE_LINE: Final = re.compile(r"\s*- role:")


def messages_of(prompt: str) -> list[dict[str, Any]]:
    """A JSON array of messages, YAML that begins with `- role:`, or one message of the user.

    Raises:
        ConfigError: it begins like YAML and is none, or is no list.
    """
    if _ROLE_LINE.match(prompt):
        try:
            value = yaml.safe_load(prompt)
        except yaml.YAMLError as error:
            raise _unreadable(prompt, " ".join(str(error).split())[:120]) from None
        if not _are_messages(value):
            raise _unreadable(prompt, "no list of messages")
        return [dict(one) for one in value]
    if prompt.lstrip().startswith("["):
        try:
            value = orjson.loads(prompt)
        except ValueError:
            value = None
        if _are_messages(value):
            return [dict(one) for one in value]
    return [{"role": "user", "content": prompt}]


def json_or_text(prompt: str) -> Any:
    """What a prompt says in JSON when it is a list or an object of it; else the text."""
    if not prompt.lstrip().startswith(("[", "{")):
        return prompt
    try:
        return orjson.loads(prompt)
    except ValueError:
        return prompt


def _are_messages(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, Mapping) and "role" in one for one in value)
    )


def _unreadable(prompt: str, why: str) -> ConfigError:
    got = f"{' '.join(prompt.split())[:60]!r}: begins like YAML messages, but is {why}"
    return ConfigError([
        Problem("prompt", "", got, "expected YAML messages", "quote what a variable puts in with the filter `dump`")
    ])  # fmt: skip
