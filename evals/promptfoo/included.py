"""Files that templates name in `include`, `import`, `from` and `extends`: they decide about a row like the template itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_NAMED: Final = re.compile(
    r"""\{%-?\s*(?:include|import|from|extends)\s+(?P<quote>['"])(?P<name>[^'"\n]+)(?P=quote)(?P<rest>[^%]*)"""
)


def named_templates(text: str) -> Iterator[tuple[str, bool]]:
    """Every file that a text names outright, and whether it may be missing."""
    if "{%" in text:
        for found in _NAMED.finditer(text):
            yield found["name"], found["rest"].split()[:2] == ["ignore", "missing"]


def templates_of(text: str, root: Path) -> dict[str, bytes | None]:
    """Every file that a text brings in, by its name, also by way of others; None: it is not there, and has to be."""
    found: dict[str, bytes | None] = {}
    waiting = [text]
    while waiting:
        for name, optional in named_templates(waiting.pop()):
            if name in found:
                continue
            content = _content(root, name)
            if content is None and optional:
                continue
            found[name] = content
            if content is not None:
                waiting.append(content.decode(errors="replace"))
    return found


def _content(root: Path, name: str) -> bytes | None:
    path = (root / name).resolve()
    try:
        return path.read_bytes() if path.is_relative_to(root.resolve()) else None
    except OSError:
        return None
