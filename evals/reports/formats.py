"""Names and file endings of the formats; light, so that the command line can offer and refuse them at once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Final

from promptship.errors import ConfigError, Problem


class Format(StrEnum):
    """Names of formats, as `--format` takes them."""

    TEXT = "text"
    MARKDOWN = "md"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    JUNIT = "junit"
    HTML = "html"


ENDINGS: Final = {
    ".txt": Format.TEXT,
    ".md": Format.MARKDOWN,
    ".markdown": Format.MARKDOWN,
    ".json": Format.JSON,
    ".jsonl": Format.JSONL,
    ".csv": Format.CSV,
    ".xml": Format.JUNIT,
    ".html": Format.HTML,
    ".htm": Format.HTML,
}


def format_of(path: Path) -> Format:
    """The format that a file's ending asks for. Raises ConfigError for one that we do not write."""
    try:
        return ENDINGS[path.suffix.lower()]
    except KeyError:
        expected = f"expected a file name that ends in {', '.join(ENDINGS)}"
        raise ConfigError([Problem(str(path), "", "a report of an unknown kind", expected)]) from None


def refuse_endings(paths: Iterable[Path], *more: str) -> None:
    """Raise ConfigError for the first path whose ending is neither ours nor one of `more`: before anything is paid."""
    for path in paths:
        if path.suffix.lower() not in more:
            format_of(path)


def refuse_places(paths: Iterable[Path]) -> None:
    """Raise ConfigError for every path that no file could be written to: before anything is paid. Makes nothing."""
    problems = []
    for path in paths:
        place = next(parent for parent in path.absolute().parents if parent.exists())
        if path.is_dir():
            got = "a directory"
        elif not place.is_dir():
            got = f"{place} is no directory"
        elif not os.access(place, os.W_OK | os.X_OK):
            got = f"{place} is not writable"
        else:
            continue
        problems.append(Problem(str(path), "", got, "expected a place for the report"))
    if problems:
        raise ConfigError(problems)
