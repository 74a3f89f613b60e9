"""YAML between two lines of dashes, above a body of text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from promptship.prompts.formats.draft import Draft
from promptship.prompts.formats.yaml_tree import read_yaml
from promptship.prompts.json_values import shown

_FENCE = re.compile(r"---[ \t]*\n(?P<yaml>(?:.*\n)*?)---[ \t]*(?:\n|\Z)")
_HEADER = re.compile(r"(?:(?:#.*|[ \t]*)\n)*(?=---)")


@dataclass(frozen=True, slots=True)
class Parts:
    """A file cut in two. `body_line`: the 1-based line of the body's first character; `found`: there was front matter."""

    values: dict[str, Any]
    body: str
    body_line: int
    found: bool


def split(draft: Draft, text: str, *, header: bool = False) -> Parts:
    """Front matter and body; a file without front matter is all body.

    Line ends are already plain newlines. `header`: comments (`# ...`) and blank lines may stand above the front matter.

    Raises:
        ConfigError: the front matter is not YAML.
    """
    lead = _HEADER.match(text) if header else None
    start = lead.end() if lead else 0
    match = _FENCE.match(text, start)
    if match is None:
        return Parts({}, text, 1, found=False)
    line = 2 + text.count("\n", 0, start)
    values = read_yaml(draft, match["yaml"], line=line)
    if values is not None and not isinstance(values, dict):
        draft.wrong("", f"front matter that is {shown(values)}", "expected keys and values", line=line)
        values = None
    return Parts(values or {}, text[match.end() :], 1 + text.count("\n", 0, match.end()), found=True)
