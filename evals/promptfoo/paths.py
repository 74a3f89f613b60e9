"""Files that a path with wildcards finds, in the order promptfoo finds them: it decides the order of prompts and rows."""

from __future__ import annotations

import glob
import os
import re
from functools import cmp_to_key
from pathlib import Path
from typing import Final

_MAGIC: Final = re.compile(r"[*?]|\[[^\]]{2,}\]|[+@]\(")
_BRACES: Final = re.compile(r"\{([^{}]*,[^{}]*)\}")


def has_wildcards(path: str) -> bool:
    """Whether a path is a pattern. Braces alone do not make one."""
    return _MAGIC.search(path) is not None


def alternatives(pattern: str) -> list[str]:
    """`a.{b,c}` as `a.b` and `a.c`."""
    braces = _BRACES.search(pattern)
    if braces is None:
        return [pattern]
    before, after = pattern[: braces.start()], pattern[braces.end() :]
    return [path for part in braces[1].split(",") for path in alternatives(f"{before}{part}{after}")]


def glob_files(pattern: str, base: Path) -> list[Path]:
    """The files of a pattern, absolute and each once; in a directory from Z to A, its own files before those below it."""
    found: dict[Path, None] = {}
    for one in alternatives(pattern):
        root = os.path.normpath(base / one)
        hits = [root] if not has_wildcards(one) else glob.glob(root, recursive=True)  # noqa: PTH207 - absolute text
        files = [Path(hit) for hit in hits if os.path.isfile(hit)]  # noqa: PTH113 - text, thousands of times
        found.update(dict.fromkeys(sorted(files, key=cmp_to_key(_order))))
    return list(found)


def _order(left: Path, right: Path) -> int:
    for index, (one, other) in enumerate(zip(left.parts, right.parts, strict=False), start=1):
        if one == other:
            continue
        one_is_file, other_is_file = index == len(left.parts), index == len(right.parts)
        if one_is_file != other_is_file:
            return -1 if one_is_file else 1
        return -1 if one > other else 1
    return 0
