"""Where the keys of a TOML file stand: `tomllib` reads the values but says nothing about lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

Path = tuple[str | int, ...]
"""A key as pydantic names it: `("plans", "careful", "canary", "stages", 1, "share")`."""

_TOKEN: Final = re.compile(
    r'''(?P<string>"""(?:\\.|[^\\])*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:'{0,2})|"(?:\\.|[^"\\\n])*"|'[^'\n]*')'''
    r"""|(?P<skip>\#[^\n]*|[ \t\r]+)|(?P<newline>\n)|(?P<mark>[\[\]{}=,.])|(?P<bare>[^\s\[\]{}=,."'\#]+)""",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


def toml_lines(text: str) -> dict[Path, int]:
    """Path -> 1-based line of every key, table and array element. `text` must be valid TOML (tomllib has read it)."""
    reader = _Reader(tuple(_tokens(text)))
    reader.file()
    return reader.lines


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "skip":
            yield _Token(match.lastgroup or "", match.group(), line)
        line += match.group().count("\n")


@dataclass(slots=True)
class _Reader:
    tokens: tuple[_Token, ...]
    at: int = 0
    lines: dict[Path, int] = field(default_factory=dict)
    sizes: dict[Path, int] = field(default_factory=dict)
    """Elements seen so far of each array of tables."""

    def file(self) -> None:
        table: Path = ()
        while self.at < len(self.tokens):
            if self._here("\n"):
                self.at += 1
            elif self._here("["):
                table = self._header()
            else:
                self._pair(table)

    def _here(self, *texts: str) -> bool:
        """Whether the next token is one of these marks; a string with the same text is not."""
        if self.at >= len(self.tokens):
            return False
        token = self.tokens[self.at]
        return token.kind in {"mark", "newline"} and token.text in texts

    def _header(self) -> Path:
        line = self.tokens[self.at].line
        array = self.at + 1 < len(self.tokens) and self.tokens[self.at + 1].text == "["
        self.at += 2 if array else 1
        path: Path = ()
        key = self._key("]")
        for index, part in enumerate(key):
            path = (*path, part)
            if array and index == len(key) - 1:
                self.sizes[path] = self.sizes.get(path, 0) + 1
            # A table that only `[table.below]` names begins there.
            self.lines.setdefault(path, line)
            if path in self.sizes:
                path = (*path, self.sizes[path] - 1)
        self.lines.setdefault(path, line)
        self.at += 2 if array else 1
        return path

    def _key(self, end: str) -> list[str]:
        parts = []
        while self.at < len(self.tokens) and not self._here(end, "\n"):
            token = self.tokens[self.at]
            if token.kind == "string":
                parts.append(_unquoted(token.text))
            elif token.kind == "bare":
                parts.append(token.text)
            self.at += 1
        return parts

    def _pair(self, table: Path) -> None:
        line = self.tokens[self.at].line
        path = table
        for part in self._key("="):
            path = (*path, part)
            self.lines.setdefault(path, line)
        self.at += 1
        self._value(path)

    def _value(self, path: Path) -> None:
        if self._here("["):
            self._array(path)
        elif self._here("{"):
            self._table(path)
        else:
            while self.at < len(self.tokens) and not self._here("\n", ",", "]", "}"):
                self.at += 1

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while self.at < len(self.tokens) and not self._here("]"):
            if self._here("\n", ","):
                self.at += 1
                continue
            self.lines[(*path, index)] = self.tokens[self.at].line
            self._value((*path, index))
            index += 1
        self.at += 1

    def _table(self, path: Path) -> None:
        self.at += 1
        while self.at < len(self.tokens) and not self._here("}"):
            if self._here("\n", ","):
                self.at += 1
                continue
            self._pair(path)
        self.at += 1


def _unquoted(text: str) -> str:
    """A quoted key without quotes; of the escapes only those of quote and backslash, which is all that keys have."""
    inner = text[1:-1]
    return re.sub(r"\\(.)", r"\1", inner) if text.startswith('"') else inner
