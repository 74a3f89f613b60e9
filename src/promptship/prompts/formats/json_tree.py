"""JSON with line numbers; duplicate keys are problems."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from promptship.prompts.formats.draft import Draft
from promptship.prompts.json_values import under

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_STRING: Callable[[str, int, bool], tuple[str, int]] = json.decoder.scanstring  # type: ignore[attr-defined]
"""The standard library's own reader of a string, from behind its opening quote."""
_WORDS = {"true": True, "false": False, "null": None}


def read_json(draft: Draft, text: str) -> Any:
    """The value of a JSON text; fills in the draft's lines and problems.

    Raises:
        ConfigError: the text is not JSON; nothing more can be said about it.
    """
    reader = _Reader(draft, text)
    try:
        value = reader.value("")
        reader.end()
    except json.JSONDecodeError as error:
        draft.wrong(
            "",
            f"broken JSON: {error.msg[:1].lower()}{error.msg[1:]}",
            f"see column {error.colno}",
            line=error.lineno,
        )
    except RecursionError:
        draft.wrong("", "nested too deeply", "expected a prompt", line=1)
    else:
        return value
    raise draft.fail()


class _Reader:
    """Recursive descent, because the standard parser does not say where a value stands."""

    def __init__(self, draft: Draft, text: str) -> None:
        self._draft = draft
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0

    def _skip(self) -> str:
        """Pass white space; the character that follows, empty at the end."""
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._text[self._at : self._at + 1]

    def _here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _broken(self, expected: str) -> json.JSONDecodeError:
        return json.JSONDecodeError(f"expected {expected}", self._text, self._at)

    def end(self) -> None:
        if self._skip():
            raise self._broken("the end of the file")

    def value(self, key: str) -> Any:
        first = self._skip()
        line = self._here()
        if key:
            self._draft.lines.setdefault(key, line)
        if first == '"':
            return self._string(key)
        if first in {"[", "{"}:
            self._at += 1
            return self._array(key) if first == "[" else self._object(key)
        for word, value in _WORDS.items():
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return value
        return self._number(key, line)

    def _number(self, key: str, line: int) -> int | float | None:
        found = _NUMBER.match(self._text, self._at)
        if found is None:
            raise self._broken("a value")
        self._at = found.end()
        try:
            number = float(found[0]) if found[2] or found[3] else int(found[0])
        except ValueError:
            number = math.inf
        if isinstance(number, float) and not math.isfinite(number):
            self._draft.wrong(key, found[0][:60], "expected a number that fits", line=line)
            return None
        return number

    def _string(self, key: str) -> str:
        line = self._here()
        text, self._at = _STRING(self._text, self._at + 1, True)
        try:
            text.encode()
        except UnicodeEncodeError:
            self._draft.wrong(key, "text with half of a surrogate pair", "expected Unicode text", line=line)
            return ""
        return text

    def _array(self, key: str) -> list[Any]:
        items: list[Any] = []
        if self._skip() == "]":
            self._at += 1
            return items
        while True:
            items.append(self.value(under(key, len(items))))
            if self._more("]"):
                return items

    def _more(self, closing: str) -> bool:
        """Whether the container ends here; otherwise a comma was passed."""
        found = self._skip()
        if found not in {",", closing}:
            raise self._broken(f"',' or '{closing}'")
        self._at += 1
        return found == closing

    def _object(self, key: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first: dict[str, int] = {}
        if self._skip() == "}":
            self._at += 1
            return values
        while True:
            if self._skip() != '"':
                raise self._broken("a key in double quotes")
            line = self._here()
            name = self._string(key)
            here = under(key, name)
            if self._skip() != ":":
                raise self._broken("':'")
            self._at += 1
            if name in values:
                self._draft.wrong(
                    here, "given twice", f"expected once; first on line {first[name]}", line=line
                )
            first.setdefault(name, line)
            self._draft.lines.setdefault(here, line)
            values.setdefault(name, self.value(here))
            if self._more("}"):
                return values
