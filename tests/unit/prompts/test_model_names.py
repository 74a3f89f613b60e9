"""Names as vendors write them."""

import pytest

from promptship.prompts.model_names import understood

NAMES = """
gpt-5.2-mini                                  gpt-mini                      5.2
gpt-5.2-mini-2026-01-01                       gpt-mini                      5.2  20260101
gpt-4o                                        gpt                           4
gpt-4o-mini-2024-07-18                        gpt-mini                      4    20240718
gpt-4-0613                                    gpt                           4    00000613
gpt-4-1106-preview                            gpt                           4    00001106 preview
gpt-3.5-turbo-16k-0613                        gpt-turbo-16k                 3.5  00000613
gpt-5.2-chat-latest                           gpt-chat                      5.2
o3                                            o                             3
o4-mini-2025-04-16                            o-mini                        4    20250416
claude-sonnet-4-5                             claude-sonnet                 4.5
claude-sonnet-4-5-20250929                    claude-sonnet                 4.5  20250929
claude-3-5-sonnet-latest                      claude-sonnet                 3.5
claude-opus-4-1@20250805                      claude-opus                   4.1  20250805
us.anthropic.claude-sonnet-4-5-20250929-v1:0  claude-sonnet                 4.5  20250929
anthropic/claude-sonnet-4.5                   claude-sonnet                 4.5
gemini-3-pro-preview                          gemini-pro                    3    -        preview
models/gemini-2.5-flash-lite                  gemini-flash-lite             2.5
gemini-2.5-flash-preview-09-2025              gemini-flash                  2.5  20250900 preview
gemini-2.0-flash-001                          gemini-flash                  2.0  001
llama-3.3-70b-instruct                        llama-70b-instruct            3.3
llama3.1:8b                                   llama-8b                      3.1
meta.llama3-3-70b-instruct-v1:0               llama-70b-instruct            3.3
llama-4-scout-17b-16e-instruct                llama-scout-17b-16e-instruct  4
mistral-large-2411                            mistral-large                 -    20241100
mistral-large-latest                          mistral-large                 -
mixtral-8x7b-instruct-v0.1                    mixtral-8x7b-instruct         0.1
qwen3-235b-a22b-2507                          qwen-235b-a22b                3    20250700
deepseek-v3.1                                 deepseek                      3.1
command-r-plus-08-2024                        command-r-plus                -    20240800
grok-4-0709                                   grok                          4    00000709
kimi-k2-0905-preview                          kimi-k                        2    00000905 preview
text-embedding-3-small                        text-embedding-small          3
sim-1                                         sim                           1
"""
ROWS = [line.split() for line in NAMES.strip().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_family_version_and_snapshot(row: list[str]) -> None:
    name, family, version, snapshot, preview = [*row, "-", "-"][:5] if len(row) == 3 else [*row, "-"][:5]
    found = understood(name)
    said = ".".join(map(str, found.version)) or "-"
    assert (found.family, said, found.snapshot or "-") == (family, version, snapshot)
    assert found.is_alias == (snapshot == "-")
    assert found.preview == (preview == "preview")


def test_a_fine_tune_is_a_family_of_its_own() -> None:
    mine = understood("ft:gpt-4o-mini-2024-07-18:org::abc")
    assert not mine.is_alias
    assert not understood("gpt-5-mini").succeeds(mine)


@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        ("gpt-5.2-mini", "gpt-4o-mini"),
        ("gpt-5.10", "gpt-5.9"),
        ("claude-sonnet-4-5-20250929", "claude-3-5-sonnet-20241022"),
        ("gpt-4o-2024-11-20", "gpt-4o-2024-08-06"),
        ("gpt-4o-2024-11-20", "gpt-4o"),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", "anthropic.claude-opus-4-20250514-v1:0"),
    ],
)
def test_who_succeeds_whom(later: str, earlier: str) -> None:
    assert understood(later).succeeds(understood(earlier))
    assert not understood(earlier).succeeds(understood(later))
