"""What must never change by accident: digests, and how a diff reads. `make golden` rewrites the files."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from promptship.prompts.diff import diff
from promptship.prompts.diff_text import to_markdown, to_text
from promptship.prompts.digest import digest
from promptship.prompts.model import Prompt

HERE = Path(__file__).parent
UPDATE = bool(os.environ.get("PROMPTSHIP_UPDATE_GOLDEN"))
VECTORS: list[dict[str, Any]] = json.loads((HERE / "digests.json").read_text(encoding="utf-8"))

BEFORE: dict[str, Any] = {
    "name": "reply",
    "model": "small",
    "owner": "ann",
    "parameters": {"temperature": 0.2, "seed": 1},
    "messages": [
        {
            "role": "system",
            "content": "You help customers.\nBe kind.\n\nOne.\nTwo.\nThree.\nFour.\nFive.\nSix.\nSign as Ann.\n",
        },
        {"role": "user", "content": "Example question"},
        {"role": "assistant", "content": "Example answer"},
        {"role": "user", "content": "{{ question }}"},
    ],
    "variables": {"question": {}},
    "output_schema": {"properties": {"answer": {"type": "string"}, "why": {"type": "string"}}},
    "tools": [{"name": "look_up", "parameters": {"type": "object"}}],
}
AFTER: dict[str, Any] = {
    **BEFORE,
    "model": "large",
    "owner": "bob",
    "parameters": {"temperature": 0.7, "top_p": 1},
    "messages": [
        {
            "role": "system",
            "content": "You help our customers.\nBe concise.\n\nOne.\nTwo.\nThree.\nFour.\nFive.\nSix.\nSign as Ann.\n",
        },
        {"role": "user", "content": "Answer in ```code```: {{ question }}"},
        {"role": "assistant", "content": "Example answer"},
        {"role": "developer", "content": "New\x1b[31m rule."},
    ],
    "variables": {"question": {"description": "what they ask", "required": False}},
    "output_schema": {"properties": {"why": {"type": "string"}, "answer": {"type": "string"}}},
    "tools": [],
}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["why"]))
def test_digests(vector: dict[str, Any]) -> None:
    found = digest(Prompt.model_validate(vector["prompt"]))
    if UPDATE:
        vector["digest"] = found
        (HERE / "digests.json").write_text(
            json.dumps(VECTORS, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )

    assert found == vector["digest"]


@pytest.mark.parametrize("name", ["diff.txt", "diff.md"])
def test_diffs(name: str) -> None:
    changes = diff(Prompt.model_validate(BEFORE), Prompt.model_validate(AFTER))
    found = to_text(changes) if name == "diff.txt" else to_markdown(changes)
    if UPDATE:
        (HERE / name).write_text(found, encoding="utf-8")

    assert found == (HERE / name).read_text(encoding="utf-8")


def test_no_difference_says_so() -> None:
    same = diff(Prompt.model_validate(BEFORE), Prompt.model_validate(BEFORE))

    assert to_text(same) == to_markdown(same) == "The model sees no difference.\n"
