"""What promptfoo looks for in a text before it renders it as a template: how it does so was found out by running it."""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_letters, digits
from typing import Final

from promptship.evals.promptfoo.nunjucks.scanning import Tag, tags, words
from promptship.evals.promptfoo.nunjucks.values import SPACE

_LETTERS: Final = frozenset(ascii_letters + "_")
_WORD: Final = _LETTERS | frozenset(digits)
_MARKS: Final = (("{{", "}"), ("{%", "%"), ("{#", "#"))
"""How tags and comments open, and the character that their end begins or goes on with."""


def first_placeholder(text: str) -> Tag | None:
    """The first `{{ name }}` with nothing but a name in it; its content is the name."""
    for tag in tags(text, "{{", "}}"):
        name = tag.content.strip(SPACE)
        if name and _WORD.issuperset(name):
            return Tag(tag.start, tag.end, name)
    return None


def is_unfinished(text: str) -> bool:
    """Whether a line opens a tag or a comment and has nothing behind it that could close it.

    So a tag over several lines counts as unfinished. A text that switches templates off and on again never does.
    """
    if not any(mark in text for mark, _ in _MARKS):
        return False
    switches = {tag.content.strip(SPACE) for tag in tags(text, "{%", "%}")}
    if {"raw", "endraw"} <= switches:
        return False
    return any(
        mark in line and closing not in line[line.rindex(mark) + len(mark) :]
        for line in _lines(text)
        for mark, closing in _MARKS
    )


def _lines(text: str) -> list[str]:
    """ECMAScript's four line terminators (ECMA-262, section 12.3)."""
    for terminator in "\r\u2028\u2029":
        text = text.replace(terminator, "\n")
    return text.split("\n")


def used_names(text: str) -> set[str]:
    """Names of the variables that a text seems to use.

    These are the values that stand alone in a `{{ tag }}` or before its first filter, and those that follow an `if` or `for`.
    In a loop over a plain name it is that name; the one it binds is not used, unless something is looked up in it.
    """
    text = _without_comments(text)
    values = set(_printed(text))
    bound: set[str] = set()
    for tag in tags(text, "{%", "%}"):
        said = words(tag.content)
        if len(said) > 1 and said[0] in {"if", "for"} and tag.content[:1] != "-":
            values.add(said[1])
        match said:
            case ["for", name, "in", items] if _WORD.issuperset(name) and _WORD.issuperset(items):
                bound.add(name)
                values.add(items)
    return {root for value in values - bound if (root := _root(value))}


def _without_comments(text: str) -> str:
    kept: list[str] = []
    at = 0
    while (start := text.find("{#", at)) >= 0 and (end := text.find("#}", start + 2)) >= 0:
        kept.append(text[at:start])
        at = end + 2
    return "".join(kept) + text[at:]


def _printed(text: str) -> Iterator[str]:
    """Values that are printed as they are or through filters; promptfoo sees none in a tag with braces in it."""
    for tag in tags(text, "{{", "}}"):
        said = words(tag.content.partition("|")[0])
        if len(said) == 1 and not set("{}") & set(tag.content):
            yield said[0]


def _root(value: str) -> str:
    """The name that a value begins with: `a` of `a.b[0]`; empty where it begins with something else."""
    if value[:1] not in _LETTERS:
        return ""
    end = next((at for at, sign in enumerate(value) if sign not in _WORD), len(value))
    return value[:end]
