from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from promptship.chat import ChatAnswer, ChatRequest
from promptship.evals.estimate import estimate
from promptship.evals.native import native_groups
from promptship.evals.rows import Row
from promptship.evals.services import Services
from promptship.evals.units import Group
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
    assert (result.cost_usd, result.unpriced) == (4.0, {"j": 2})


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
