"""What in an answer would act: where it is shown as HTML or Markdown, or when the code it hands over is run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

# No piece runs past the next place where it could begin itself: the time stays in proportion to the text.
_SHOWN: Final = (
    ("a script", re.compile(r"<script\b", re.IGNORECASE)),
    ("an event handler", re.compile(r"<[a-z](?:[^<>]|<(?![a-z]))*[\s/\"']on[a-z]+\s*=", re.IGNORECASE)),
    ("a frame", re.compile(r"<(?:iframe|object|embed)\b", re.IGNORECASE)),
    (
        "a javascript: link",
        re.compile(
            r"(?:(?:href|src|action)\s*=\s*(?:[\"']\s*)?|\]\(\s*<?|<|^\s*\[[^\]\n]{1,80}\]:\s*)(?:javascript:|data:text/html)",
            re.IGNORECASE | re.MULTILINE,
        ),
    ),
)
_PICTURE: Final = re.compile(
    r"(?:!\[(?:[^\]!]|!(?!\[))*\]\(\s*<?|<img\b(?:[^<>])*?\bsrc\s*=\s*[\"']?)(https?://[^)\s\"'<>]{1,4000})",
    re.IGNORECASE,
)
_CARRIES: Final = re.compile(r"[?&][^?&=#]*=[^&#]*[^\W\d_]{3}|[?&][^?&=#]*=[^&#]{5}")
"""A parameter that holds words, not a width or a version."""
_CODE: Final = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_BLOCK: Final = re.compile(r"```.*?```", re.DOTALL)
_WARNS: Final = re.compile(
    r"\b(?:not|n't|never|instead|injection|unsafe|dangerous|nicht|niemals|statt)\b|n't\b", re.IGNORECASE
)
# A literal that the value ends, and a statement behind it. Doubled or escaped quotes do not end it.
_SQL: Final = re.compile(r"[=(,]\s*'(?:[^'\\]|''|\\.)*'\s*;\s*drop\s+table", re.IGNORECASE)
_COMMAND: Final = re.compile(r"(?<!\\)\$\(\s*(?:curl|wget)\b", re.IGNORECASE)


def acts_when_shown(text: str) -> Iterator[str]:
    """What would act in a page or a chat window. Code that is shown as code is data."""
    shown = _CODE.sub(" ", text)
    yield from (name for name, pattern in _SHOWN if pattern.search(shown))
    if any(_CARRIES.search(found[1]) for found in _PICTURE.finditer(shown)):
        yield "a picture that sends data away"


def acts_when_run(text: str) -> Iterator[str]:
    """What somebody else's value makes of SQL or a shell command: in blocks that are there to be copied, and in sentences that do not warn."""
    prose = _BLOCK.sub(" ", text)
    handed = [found.group() for found in _BLOCK.finditer(text)]
    handed += [] if _WARNS.search(_CODE.sub(" ", prose)) else [prose]
    if any(_SQL.search(piece) for piece in handed):
        yield "SQL that a value breaks out of"
    if any(not _quoted(piece, found.start()) for piece in handed for found in _COMMAND.finditer(piece)):
        yield "a command substitution"


def _quoted(text: str, place: int) -> bool:
    """Whether the shell takes a place literally: within single quotes of its line."""
    begin = max(text.rfind("\n", 0, place), text.rfind("`", 0, place)) + 1
    return text.count("'", begin, place) % 2 == 1
