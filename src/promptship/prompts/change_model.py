"""The same prompt file for another model: one word changes, every other byte stays. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from promptship.errors import ConfigError
from promptship.prompts.load import load

PLACES_MAX: Final = 50
"""So many occurrences of the old name are tried: texts and comments may name it, too."""
_PART_OF_A_NAME: Final = r"A-Za-z0-9._:/@-"


@dataclass(frozen=True, slots=True)
class NotEditable:
    """Why the file cannot be changed by a word: a person has to do it."""

    reason: str


def with_model(path: str, content: bytes, model: str) -> bytes | NotEditable:
    """The file's bytes with another model in it. What comes out reads as the same prompt with this model, or nothing comes out."""
    try:
        before = load(path, content)
    except ConfigError as error:
        return NotEditable(f"{path} cannot be read: {error.problems[0]}")
    current = before.prompt.model
    if current is None:
        return NotEditable(f"{path} names no model")
    if current == model:
        return NotEditable(f"{path} names {model} already")
    wanted = before.prompt.model_copy(update={"model": model})
    text = content.decode("utf-8")
    for place in list(_word(current).finditer(text))[:PLACES_MAX]:
        for written in (model, json.dumps(model)):
            made = (text[: place.start()] + written + text[place.end() :]).encode("utf-8", "replace")
            if _reads_as(path, made) == wanted:
                return made
    return NotEditable(f"{path} does not name {current} in a way that can be changed by a word")


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![{_PART_OF_A_NAME}]){re.escape(name)}(?![{_PART_OF_A_NAME}])")


def _reads_as(path: str, content: bytes) -> object:
    try:
        return load(path, content).prompt
    except ConfigError:
        return None
