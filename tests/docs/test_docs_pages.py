"""Links lead somewhere, commands exist, Python parses."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from promptship.cli import app
from tests.docs.markdown import PAGES, ROOT, WRITTEN, Block, anchors, blocks, commands, links

GENERATED = {ROOT / "docs" / "cli.md", ROOT / "docs" / "measured.md"}
"""Pages that commands write: `make check` says when they are missing or old."""


def name(value: object) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_lead_to_files_and_headings(page: Path) -> None:
    wrong = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if target in GENERATED or target.parent == ROOT / "docs" / "schemas":
            continue
        if not target.exists() or (fragment and fragment not in anchors(target)):
            wrong.append(link)
    assert wrong == []


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_commands_and_their_options_exist(page: Path) -> None:
    assert [line for line in commands(page) if not exists(line)] == []


def exists(line: str) -> bool:
    """Whether a command line names a command of ours, and only options that it has."""
    command: Any = get_command(app)
    words = [word.strip(",.") for word in shlex.split(line)]
    while words and hasattr(command, "commands"):
        if words[0] not in command.commands:
            return False
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts} | {"-h", "--help"}
    return all(word.partition("=")[0] in known for word in words if re.match(r"--?[a-z]", word))


@pytest.mark.parametrize(
    ("line", "good"),
    [("release open x --again", True), ("release x", False), ("relase list", False), ("lint --fix", False)],
)
def test_a_command_that_does_not_exist_is_seen(line: str, good: bool) -> None:
    assert exists(line) is good


PYTHON = [block for page in WRITTEN for block in blocks(page) if block.language == "python"]


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_parses(block: Block) -> None:
    ast.parse(block.text)


@pytest.mark.parametrize("page", [page for page in WRITTEN if page.is_relative_to(ROOT / "docs")], ids=name)
def test_lines_are_at_most_140_characters(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    # A row of a table cannot be broken.
    assert [line for line in lines if len(line) > 140 and not line.startswith("|")] == []
