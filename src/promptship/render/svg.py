"""Charts as one self-contained SVG: no script, no font, no address outside."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

INK, MUTED, GRID = "#1f2328", "#59636e", "#d8dee4"
GO, WAIT, STOP, PLAIN = "#1a7f37", "#bf8700", "#cf222e", "#0969da"
"""What passes, what waits for a person, what is taken back; and what is none of it."""


def text(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    size: int = 13,
    colour: str = INK,
    bold: bool = False,
) -> str:
    """Words; `anchor`: start, middle or end."""
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}"{weight}>{escape(words)}</text>'


def line(
    x1: float, y1: float, x2: float, y2: float, *, colour: str = GRID, width: float = 1, dashed: bool = False
) -> str:
    """A line."""
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width:g}"{dash}/>'


def bar(
    x: float, y: float, width: float, height: float, colour: str, *, title: str = "", opacity: float = 1.0
) -> str:
    """A rectangle; `title` is shown when it is pointed at."""
    fade = "" if opacity >= 1 else f' fill-opacity="{opacity:g}"'
    inner = f"<title>{escape(title)}</title>" if title else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}" fill="{colour}"{fade}>{inner}</rect>'


def dot(x: float, y: float, colour: str, *, radius: float = 4.5) -> str:
    """A point."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{colour}"/>'


def document(width: int, height: float, title: str, parts: Sequence[str]) -> str:
    """The whole picture, on white, with a title for readers of screens."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}" viewBox="0 0 {width} {height:.0f}" '
        f'role="img" font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">'
    )
    body = "\n".join(parts)
    return f'{head}\n<title>{escape(title)}</title>\n<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
