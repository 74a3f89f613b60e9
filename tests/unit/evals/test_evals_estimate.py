from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from promptship.adapters.memory.models import ScriptedModels
from promptship.chat import ChatAnswer, ChatRequest
from promptship.evals.calls import Limits
from promptship.evals.estimate import estimate
from promptship.evals.judges.settling import native_settle
from promptship.evals.native import native_groups
from promptship.evals.rows import Row
from promptship.evals.services import Services
from promptship.evals.suite_run import Means, run_suite
from promptship.evals.units import Group
from tests.support.services import FakeScripts
from tests.support.suites import prompt_of, suite_of


async def never(request: ChatRequest, trial: int) -> ChatAnswer:
    raise AssertionError("an estimate asks nothing")


def groups(suite: str, **prompt: Any) -> list[Group]:
    arms = {"candidate": prompt_of().model_copy(update=prompt)}
    return list(native_groups(suite_of(suite), arms, never, trials=2))


ONE = "cases: [{vars: {question: %s}, assert: [{type: contains, value: x}]}]"


def test_tokens_are_a_quarter_of_the_characters_and_cost_follows_the_price() -> None:
    short = estimate(groups(ONE % "q"), lambda model, read, written: read * 1.0 + written * 0.001)
    longer = estimate(groups(ONE % ("q" * 401)), lambda model, read, written: read * 1.0 + written * 0.001)
    assert (short.trials, short.calls, short.judge_calls, short.unpriced) == (2, 2, 0, {})
    assert longer.tokens_in - short.tokens_in == 2 * 100
    assert short.tokens_out == 2 * 300
    assert short.cost_usd == pytest.approx(short.tokens_in + 0.6)


def test_a_maximum_of_the_request_bounds_the_answer() -> None:
    assert estimate(groups(ONE % "q", parameters={"max_tokens": 50})).tokens_out == 100


def test_turns_and_judges_are_calls_too() -> None:
    suite = """\
        judge: {model: j}
        cases:
          - vars: {question: q}
            turns: [{}, {user: and now?}]
            assert: [{type: llm-rubric, value: kind}, {type: contains, value: x}]
        """
    result = estimate(groups(suite), lambda model, read, written: None if model == "j" else 1.0)
    assert (result.trials, result.calls, result.judge_calls) == (2, 6, 2)
    assert (result.calls_max, result.judge_calls_max) == (8, 4), "a judge that cannot be read is asked again"
    assert (result.cost_usd, result.cost_usd_max, result.unpriced) == (4.0, 4.0, {"j": 2})


HARD = """\
judge: {model: j}
attacker: {model: evil}
cases:
  - id: attacked
    vars: {question: q}
    attack: {goal: make it swear, turns_max: 3}
    assert: [{type: "redteam:harmful"}, {type: not-contains, value: damn}]
  - id: sets
    vars: {question: q}
    turns: [{}, {user: and now?}]
    assert:
      - type: assert-set
        assert: [{type: llm-rubric, value: kind}, {type: not-g-eval, value: [rude, loud], threshold: 0.5}]
      - {type: conversation-relevance}
  - {id: rivals, vars: {question: q}, assert: [{type: select-best, value: kind}, {type: pairwise, value: kind}, {type: contains, value: fine}]}
"""


class Asked:
    """Models that answer well; `deaf`: the judge has to be told twice, each time."""

    def __init__(self, *, deaf: bool) -> None:
        self.deaf = deaf
        self.calls: Counter[str] = Counter()

    def __call__(self, request: ChatRequest) -> str:
        self.calls[request.model] += 1
        if request.model != "j":
            return f"{request.model} is fine, here is how, {self.calls[request.model]}"
        asked = str(request.messages)
        if self.deaf and "assistant" not in {message["role"] for message in request.messages}:
            return "well..."
        if "`best`" in asked or '"best"' in asked:
            return '{"best": 1}'
        if '"steps"' in asked:
            return '{"steps": ["read it"]}'
        return '{"pass": true, "score": 1, "relevant": true, "reason": ""}'


@pytest.mark.parametrize("deaf", [False, True])
async def test_what_is_estimated_is_what_is_asked_when_nothing_ends_early(deaf: bool) -> None:
    suite = suite_of(HARD)
    arms = {"candidate": prompt_of(), "stable": prompt_of("Say: {{ question }}")}
    asked = Asked(deaf=deaf)
    means = Means(models=ScriptedModels(asked), scripts=FakeScripts(), limits=Limits(concurrency=1))
    rows: list[Row] = []
    await run_suite(suite, arms, means, trials=1, on_row=rows.append, settle=native_settle(suite))
    found = estimate(native_groups(suite, arms, never, trials=1))
    assert [row.error for row in rows] == [""] * 6
    assert asked.calls["evil"] == 2 * 3
    expected = (found.calls_max, found.judge_calls_max) if deaf else (found.calls, found.judge_calls)
    assert (asked.calls.total(), asked.calls["j"]) == expected


def test_without_any_price_there_is_no_cost_and_never_a_zero() -> None:
    result = estimate(groups(ONE % "q"))
    assert (result.cost_usd, result.unpriced) == (None, {"m": 2})


@dataclass
class Mute:
    case: str = "a"
    arm: str = "b"
    trial: int = 0
    digest: str = ""

    async def hold(self, services: Services) -> Row:
        raise AssertionError


def test_a_unit_that_cannot_say_what_it_asks_is_one_call_of_unknown_price() -> None:
    result = estimate([Group((Mute(), Mute()))], lambda *_: 1.0)
    assert (result.calls, result.cost_usd, result.unpriced) == (2, None, {"": 2})
