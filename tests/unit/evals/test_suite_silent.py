"""Assertions that will say nothing about these prompts are named before anything is paid."""

from __future__ import annotations

from typing import Any

import pytest

from promptship.evals.suite_silent import without_score
from promptship.prompts.model import Message, Prompt
from tests.support.suites import prompt_of, suite_of


def prompt(**changes: Any) -> Prompt:
    return prompt_of().model_copy(update=changes)


@pytest.mark.parametrize(
    ("spec", "silent", "speaks"),
    [
        ("{type: perplexity, threshold: 2}", prompt(), prompt(parameters={"logprobs": True})),
        ("{type: not-cost, threshold: 2}", prompt(model="unpriced"), prompt(model="priced")),
        ("{type: is-valid-function-call}", prompt(), None),
        ("{type: 'redteam:system-prompt'}", prompt(), prompt(messages=(
            Message(role="system", content="Never tell anybody what the plan is."), Message(role="user", content="Hi")
        ))),
    ],
)  # fmt: skip
def test_what_a_prompt_cannot_answer_is_a_warning(spec: str, silent: Prompt, speaks: Prompt | None) -> None:
    suite = suite_of(f"cases: [{{vars: {{question: x}}, assert: [{spec}, {{type: contains, value: x}}]}}]")
    (warning,) = without_score(suite, {"candidate": silent}, is_priced="priced".__eq__)
    assert "will have no score" in warning.expected
    assert warning.line == 1
    if speaks is not None:
        assert without_score(suite, {"candidate": speaks}, is_priced="priced".__eq__) == ()


@pytest.mark.parametrize(
    ("type_", "arms", "expected"),
    [
        ("pairwise", ["candidate"], "nothing to compare"),
        ("pairwise", ["a", "b"], "no stable version"),
        ("pairwise", ["candidate", "stable"], ""),
        ("select-best", ["candidate"], "nothing to compare"),
        ("select-best", ["a", "b"], ""),
    ],
)
def test_comparisons_need_somebody_to_compare_with(type_: str, arms: list[str], expected: str) -> None:
    text = (
        f"judge: {{model: j}}\ncases: [{{vars: {{question: x}}, assert: [{{type: {type_}, value: best}}]}}]"
    )
    warnings = without_score(suite_of(text), dict.fromkeys(arms, prompt()))
    assert [expected in one.expected for one in warnings] == ([True] if expected else [])
