"""Template text -> tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from promptship.evals.promptfoo.nunjucks.scanning import tags
from promptship.evals.promptfoo.nunjucks.values import SPACE, Pattern, TemplateError


class Kind(Enum):
    """What a token is."""

    TEXT = auto()
    RAW = auto()
    COMMENT = auto()
    TAG_OPENS = auto()
    TAG_CLOSES = auto()
    PRINT_OPENS = auto()
    PRINT_CLOSES = auto()
    STRING = auto()
    NUMBER = auto()
    CONSTANT = auto()
    PATTERN = auto()
    NAME = auto()
    OPERATOR = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """`value` is text but for numbers, constants and patterns. `line` is 1-based."""

    kind: Kind
    value: Any
    line: int


_SIGNS: Final = (
    *("=", "==", "===", "!", "!=", "!==", "<", "<=", ">", ">="),
    *("+", "-", "*", "**", "/", "//", "%", "~"),
    *("(", ")", "[", "]", "{", "}"),
    *(".", ",", ":", "|", "#"),
)
"""Operators and brackets of the language. None of their characters can stand in a word."""
_BLANKS: Final = "\t\n\r \u00a0"
"""White space between tokens."""


def _one_of(texts: Iterable[str]) -> str:
    """A pattern for any of the texts, the longest that fits."""
    return "|".join(map(re.escape, sorted(texts, key=len, reverse=True)))


_TAG: Final = re.compile(_one_of(("{{", "{{-", "{%", "{%-", "{#", "#}")))
_END: Final = re.compile(_one_of(("}}", "-}}", "%}", "-%}")))
_SIGN: Final = re.compile(_one_of(_SIGNS))
_SPACE: Final = re.compile(f"[{_BLANKS}]+")
_WORD: Final = re.compile(f"[^{re.escape(_BLANKS + ''.join(_SIGNS))}]+")
_DECIMALS: Final = re.compile(r"\.([0-9]*)")
_REGEX: Final = re.compile(r"r/((?:\\/|[^/])*)/?([gimy]*)")
_RAW: Final = ("raw", "verbatim")
"""Tags whose content is no template."""
_CONSTANTS: Final[dict[str, Any]] = {"true": True, "false": False, "none": None, "null": None}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}


class _Lexer:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._line = 1
        self._counted = 0

    def tokens(self) -> Iterator[Token]:
        source = self._source
        while self._at < len(source):
            tag = _TAG.search(source, self._at)
            begin = tag.start() if tag else len(source)
            if begin > self._at:
                yield self._token(Kind.TEXT, source[self._at : begin], begin)
            if tag is None:
                return
            if tag[0] == "#}":
                raise TemplateError("a comment ends that has not begun", self._line)
            if tag[0] == "{#":
                yield self._comment(begin)
                continue
            kind = Kind.TAG_OPENS if tag[0].startswith("{%") else Kind.PRINT_OPENS
            yield self._token(kind, tag[0], tag.end())
            name = self._raw_name() if kind is Kind.TAG_OPENS else ""
            yield from self._code()
            if name:
                yield self._raw(name)

    def _token(self, kind: Kind, value: Any, end: int) -> Token:
        token = Token(kind, value, self._line)
        self._line += self._source.count("\n", self._at, end)
        self._at = end
        return token

    def _comment(self, begin: int) -> Token:
        end = self._source.find("#}", begin + 2)
        if end < 0:
            raise TemplateError("a comment is never closed", self._line)
        return self._token(Kind.COMMENT, self._source[begin : end + 2], end + 2)

    def _raw_name(self) -> str:
        """The name of the tag that begins here, if it is one of those whose content is no template."""
        end = self._source.find("%}", self._at)
        if end < 0:
            return ""
        name = self._source[self._at : end].removesuffix("-").strip(_BLANKS)
        return name if name in _RAW else ""

    def _raw(self, name: str) -> Token:
        """Text up to the matching end; without one it is read as a template, as Nunjucks does."""
        begin, level, last = self._at, 1, self._at
        for tag in tags(self._source, "{%", "%}", begin):
            word = tag.content.strip(SPACE)
            if word not in {name, f"end{name}"}:
                continue
            level += 1 if word == name else -1
            if not level:
                return self._token(Kind.RAW, self._source[begin : tag.start], tag.end)
            last = tag.end
        return self._token(Kind.RAW, self._source[begin:last], last)

    def _code(self) -> Iterator[Token]:
        """Tokens up to the end of the tag, whichever of the two ends it is."""
        source = self._source
        while self._at < len(source):
            if space := _SPACE.match(source, self._at):
                self._token(Kind.TEXT, "", space.end())
                continue
            if end := _END.match(source, self._at):
                kind = Kind.TAG_CLOSES if end[0].endswith("%}") else Kind.PRINT_CLOSES
                yield self._token(kind, end[0], end.end())
                return
            yield self._one()

    def _one(self) -> Token:
        source, begin = self._source, self._at
        if source[begin] in "\"'":
            return self._string()
        if regex := _REGEX.match(source, begin):
            return self._token(Kind.PATTERN, Pattern.of(regex[1], regex[2]), regex.end())
        if sign := _SIGN.match(source, begin):
            return self._token(Kind.OPERATOR, sign[0], sign.end())
        word = _WORD.match(source, begin)
        if word is None:  # every character is one of the above
            raise TemplateError("unexpected character", self._line)
        if word[0].isascii() and word[0].isdigit():
            return self._number(word[0], word.end())
        if word[0] in _CONSTANTS:
            return self._token(Kind.CONSTANT, _CONSTANTS[word[0]], word.end())
        return self._token(Kind.NAME, word[0], word.end())

    def _number(self, digits: str, end: int) -> Token:
        decimals = _DECIMALS.match(self._source, end)
        if decimals is None and len(digits) < 16:  # noqa: PLR2004 - exact as a double
            return self._token(Kind.NUMBER, int(digits), end)
        value = float(f"{digits}.{decimals[1] if decimals else ''}")
        return self._token(Kind.NUMBER, value, decimals.end() if decimals else end)

    def _string(self) -> Token:
        source, quote, at = self._source, self._source[self._at], self._at + 1
        pieces: list[str] = []
        while at < len(source) and source[at] != quote:
            if source[at] == "\\":
                at += 1
                escaped = source[at : at + 1]
                pieces.append(_ESCAPES.get(escaped, escaped))
            else:
                pieces.append(source[at])
            at += 1
        return self._token(Kind.STRING, "".join(pieces), min(at + 1, len(source)))


def tokens(source: str) -> Iterator[Token]:
    """The tokens of a template. Raises TemplateError."""
    return _Lexer(source).tokens()
