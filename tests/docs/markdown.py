"""What tests read out of the documentation: code blocks, links, tables, commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/decisions/*.md")])
WRITTEN = [page for page in PAGES if page.name not in {"cli.md", "CHANGELOG.md"}]
"""Pages that people write; the others are generated, or history."""

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`([\w./-]+\.(?:yaml|md|json|prompt|prompty|toml|txt|jsonl|csv|js|py))`")


@dataclass(frozen=True)
class Block:
    """One fenced code block. `file`: the first file name in backticks of the paragraph before it, or empty."""

    page: Path
    line: int
    language: str
    text: str
    file: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced code block of a page."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        paragraph = text[: match.start()].rstrip("\n").rpartition("\n\n")[2]
        named = [] if "```" in paragraph else _FILE.findall(paragraph)
        line = 1 + text.count("\n", 0, match.start())
        yield Block(page, line, match["language"], match["text"], named[0] if named else "")


def links(page: Path) -> Iterator[str]:
    """Targets of the page's links, without those in code blocks."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return iter(re.findall(r"\]\(([^)\s]+)\)", text))


def anchors(page: Path) -> set[str]:
    """Fragments that the page's headings answer to, as GitHub makes them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def section(page: Path, heading: str) -> str:
    """The text below a heading, up to the next one."""
    text = page.read_text(encoding="utf-8")
    _, found, rest = text.partition(f"\n{heading}\n")
    assert found, f"{page.name} has no heading {heading!r}"
    return re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """Cells of a table's rows, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def commands(page: Path) -> Iterator[str]:
    """Whatever stands behind `promptship ` in code spans and in shell blocks, one command each."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        if block.language in {"", "sh"}:
            yield from re.findall(
                r"(?:^|[&|;] *|\w=\S+ )promptship ([a-z][^#\n|&;]*)", block.text, re.MULTILINE
            )
    for span in re.findall(r"`([^`\n]+)`", _FENCE.sub("", text)):
        yield from re.findall(r"^promptship ([a-z].*)$", span)
