from __future__ import annotations

import pytest

from promptship.evals.promptfoo.terminal_text import without_sequences


@pytest.mark.parametrize(
    ("printed", "text"),
    [
        ("plain\n[1m text\t", "plain\n[1m text\t"),
        ("\x1b[1;31mred\x1b[0m \x1b[38:5:9mred\x1b[m", "red red"),
        ("\x1b[2J\x1b[?25lx\x1b[ q\x9b1mx", "xx"),
        ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "alink"),
        ("\x1bP1$r0m\x1b\\a\x1b_private\x9cb", "ab"),
        ("\x1b(Ba\x1b7b\x1b8\x1bMc\x1b=", "abc"),
        ("cut off \x1b[1", "cut off \x1b[1"),
        ("ends \x1b", "ends \x1b"),
        ("\x1b[1\nmtwo lines", "\x1b[1\nmtwo lines"),
    ],
)
def test_control_sequences_of_terminals_go_and_nothing_else(printed: str, text: str) -> None:
    assert without_sequences(printed) == text
