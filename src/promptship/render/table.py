"""Rows as an aligned table, in plain text or Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], *, indent: str = "", gap: str = "  ") -> list[str]:
    """Lines with columns under each other, as wide as a terminal shows them; no trailing blanks. Rows may be ragged."""
    from rich.cells import cell_len  # what only cuts a line need not wait for it

    cells = [[one_line(cell) for cell in row] for row in rows]
    columns = max((len(row) for row in cells), default=0)
    widths = [max(cell_len(row[i]) for row in cells if i < len(row)) for i in range(columns)]
    return [
        (indent + gap.join(cell + " " * (widths[i] - cell_len(cell)) for i, cell in enumerate(row))).rstrip()
        for row in cells
    ]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; cells cannot break out of it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def one_line(text: str) -> str:
    """Text without control characters or line breaks, so that nothing written by others can forge a line of ours."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def clipped(text: str, width: int) -> str:
    """One line of at most `width` characters, with `…` where it was cut."""
    line = one_line(text)
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"


def _cell(text: str) -> str:
    return one_line(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
