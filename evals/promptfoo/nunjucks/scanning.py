"""Looking for tags in a text without reading it as a template."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from promptship.evals.promptfoo.nunjucks.values import SPACE


@dataclass(frozen=True, slots=True)
class Tag:
    """`text[start:end]` is the whole tag, its marks included; `content` is what stands between them."""

    start: int
    end: int
    content: str

    @property
    def words(self) -> list[str]:
        """What white space separates in the content."""
        return words(self.content)


_BLANKS: Final = dict.fromkeys(map(ord, SPACE), " ")


def words(text: str) -> list[str]:
    """What white space separates in a text, as JavaScript understands white space."""
    return [word for word in text.translate(_BLANKS).split(" ") if word]


def tags(text: str, opening: str, closing: str, begin: int = 0) -> Iterator[Tag]:
    """Tags from left to right, only the innermost where they are nested: no content has an opening mark in it."""
    at = begin
    while (end := text.find(closing, at)) >= 0:
        start = text.rfind(opening, begin, end)
        if start < 0:
            at = end + 1
            begin = max(begin, at - len(opening))  # an opening mark may still reach into this closing one
            continue
        begin = at = end + len(closing)
        yield Tag(start, begin, text[start + len(opening) : end])
