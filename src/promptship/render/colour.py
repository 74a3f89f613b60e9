"""Colour for a terminal, laid over text that is complete without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.text import Text

TONES: Final = {"go": "bold green", "wait": "bold yellow", "stop": "bold red"}
"""Styles of rich for what was decided."""


def wants_colour(out: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether text for `out` is coloured: on a terminal, unless NO_COLOR is set or TERM is dumb; elsewhere only with FORCE_COLOR.

    Both variables count when they are not empty (no-color.org, force-color.org); NO_COLOR goes before.
    """
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return out.isatty() and environ.get("TERM") != "dumb"


def show(text: Text, out: TextIO, environ: Mapping[str, str]) -> None:
    """Write `text` as it is, coloured where that is wanted."""
    if not wants_colour(out, environ):
        out.write(text.plain)
        return
    from rich.console import Console  # only where somebody sees it

    # What a terminal can show beyond 16 colours differs, and no more are used.
    console = Console(
        file=out,
        highlight=False,
        soft_wrap=True,
        force_terminal=True,
        color_system="standard",
        no_color=False,
    )
    console.print(text, end="")
