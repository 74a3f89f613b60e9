"""Colour for a terminal, laid over text that is complete without it: rich drops it by itself where nobody would see it."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from promptship.release.phase import Phase
from promptship.render.facts import PHASE_WORDS

_STYLES: Final = {
    Phase.CANARY: "blue",
    Phase.AWAITING_APPROVAL: "yellow",
    Phase.APPROVED: "green",
    Phase.PROMOTED: "bold green",
    Phase.ROLLED_BACK: "bold red",
    Phase.REJECTED: "red",
    Phase.FAILED: "red",
}


def coloured(text: str) -> Text:
    """`text` with the words of phases in their colours; the characters are the same."""
    painted = Text(text)
    for phase, style in _STYLES.items():
        painted.highlight_regex(rf"(?i)\b{PHASE_WORDS[phase]}\b", style)
    painted.highlight_regex(r"(?m)^(suite|timeline|canary, stage .*)$", "bold")
    painted.highlight_regex(r"\[-[^\n]*?-\]", "red")
    painted.highlight_regex(r"\{\+[^\n]*?\+\}", "green")
    return painted
