"""Files that a command writes besides what it prints: Markdown, a picture, JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from promptship.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

ENDINGS: Final = (".md", ".svg", ".json")

Output = Annotated[
    list[Path] | None,
    typer.Option(
        "--output",
        "-o",
        help="File to write too, by ending: .md, .svg (a picture) or .json. May be repeated.",
    ),
]


def as_json(value: Any) -> str:
    """As `--json` prints it."""
    from json import dumps

    return dumps(value, indent=2, default=str, ensure_ascii=False) + "\n"


def check_files(where: str, files: list[Path] | None) -> None:
    """ConfigError with all files that could not be written, before there is any work that would be lost."""
    problems = []
    for file in files or ():
        if file.suffix not in ENDINGS:
            expected = f"expected an ending out of {', '.join(ENDINGS)}"
        elif not file.absolute().parent.is_dir():
            expected = "expected a file in a directory that is there"
        else:
            continue
        problems.append(Problem(where, "--output", str(file), expected))
    if problems:
        raise ConfigError(problems)


def write(files: list[Path] | None, kinds: dict[str, Callable[[], str]]) -> None:
    """Write every file in the format of its ending; `check_files` has said that it can be done."""
    for file in files or ():
        file.write_text(kinds[file.suffix](), encoding="utf-8")
