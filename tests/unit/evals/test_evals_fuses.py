"""A key ends its endpoint, a model only itself; and each endpoint has its own patience."""

from __future__ import annotations

import asyncio
import pickle
from collections import Counter

import pytest

from promptship.adapters.memory.models import ScriptedModels
from promptship.chat import ChatAnswer, ChatRequest
from promptship.errors import ConfigError, Problem, PromptshipError, Refused, Unavailable
from promptship.evals.calls import Calls, Limits, model_at, unanswered
from promptship.evals.lane import WRONG_MAX
from promptship.evals.native import matrix
from promptship.evals.regression import endpoint_name, limits_of
from promptship.evals.rows import Row
from promptship.evals.score import Scored
from promptship.evals.suite_run import Means, lost, run_suite, silent
from promptship.settings import ProviderSettings, Settings
from tests.support.services import FakeScripts
from tests.support.suites import prompt_of, suite_of

KEY = Refused("401 bad key")
NO_ACCESS = Refused("403 not your model", model_only=True)
NOT_THERE = ConfigError([Problem("promptship.toml", "providers.main", "answered 404", "expected a model")])


async def good() -> ChatAnswer:
    return ChatAnswer(text="yes")


async def times(calls: Calls, error: PromptshipError, model: str, number: int) -> int:
    """How many of so many calls are really made."""
    asked = 0

    async def once() -> ChatAnswer:
        nonlocal asked
        asked += 1
        raise error

    for _ in range(number):
        with pytest.raises(type(error)):
            await calls.answer("main", once, model=model)
    return asked


@pytest.mark.parametrize(
    ("error", "asked", "dead", "others"),
    [
        (KEY, 1, "main", False),
        (NO_ACCESS, 1, model_at("main", "small"), True),
        (NOT_THERE, WRONG_MAX, model_at("main", "small"), True),
    ],
)
async def test_what_is_about_the_key_ends_the_endpoint_and_what_is_about_a_model_that_model(
    error: PromptshipError, asked: int, dead: str, others: bool
) -> None:
    calls = Calls(Limits())
    assert await times(calls, error, "small", 9) == asked
    assert list(calls.dead) == [dead]
    assert str(calls.dead[dead]) == str(error)
    if others:
        assert (await calls.answer("main", good, model="large")).text == "yes"
    else:
        with pytest.raises(Refused, match="bad key"):
            await calls.answer("main", good, model="large")
    with pytest.raises(type(error)):
        await calls.limited("main", good, model="small")


async def test_those_of_a_dead_model_who_wait_are_told_and_the_others_get_their_turn() -> None:
    first, asked = asyncio.Event(), []

    async def refuse() -> ChatAnswer:
        asked.append("small")
        await first.wait()
        raise NO_ACCESS

    calls = Calls(Limits(concurrency=1))
    waiting = [asyncio.create_task(calls.answer("main", refuse, model="small")) for _ in range(4)]
    waiting.append(asyncio.create_task(calls.answer("main", good, model="large")))
    await asyncio.sleep(0)
    first.set()
    async with asyncio.timeout(5):
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [Refused] * 4 + [ChatAnswer]
    assert asked == ["small"]


async def test_a_model_that_has_answered_and_then_refuses_means_that_request() -> None:
    calls = Calls(Limits())
    await calls.answer("main", good, model="small")
    assert await times(calls, NO_ACCESS, "small", 7) == 7
    assert calls.dead == {}


async def test_a_call_that_names_no_model_ends_with_its_endpoint() -> None:
    calls = Calls(Limits())
    assert await times(calls, NO_ACCESS, "", 3) == 1
    assert list(calls.dead) == ["main"]


def test_the_word_about_the_model_survives_a_process_and_stands_in_the_reason() -> None:
    assert pickle.loads(pickle.dumps(NO_ACCESS)).model_only
    assert unanswered(NO_ACCESS).reason == "the provider refused the model"
    assert unanswered(KEY).reason == "the provider refused the key"


SUITE = "cases:\n" + "".join(
    f"  - {{vars: {{question: q{n}}}, assert: [{{type: contains, value: q{n}}}]}}\n" for n in range(30)
)


async def held(error: Exception, *, compared: bool) -> tuple[Counter[str], list[Row], list[str]]:
    """Models a and b of one endpoint; b fails. Calls by model, rows, and what is said to be down."""
    asked: Counter[str] = Counter()

    def say(request: ChatRequest) -> str | Exception:
        asked[request.model] += 1
        return error if request.model == "b" else str(request.messages[-1]["content"])

    means = Means(
        models=ScriptedModels(say), scripts=FakeScripts(), limits=Limits(concurrency=1, attempts=1), endpoint=lambda _: "main"
    )  # fmt: skip
    rows: list[Row] = []
    arms = matrix({"p": prompt_of()}, ["a", "b"])
    _, result = await run_suite(suite_of(SUITE), arms, means, trials=1, on_row=rows.append, compared=compared)
    return asked, rows, list(lost(result) if compared else silent(result, rows))


@pytest.mark.parametrize(("error", "tries"), [(NO_ACCESS, 1), (NOT_THERE, WRONG_MAX)])
async def test_the_other_models_of_a_matrix_go_on(error: Exception, tries: int) -> None:
    asked, rows, down = await held(error, compared=False)
    assert asked == {"a": 30, "b": tries}
    assert sum(isinstance(row.score, Scored) for row in rows) == 30
    assert down == [model_at("main", "b")]


async def test_a_comparison_ends_when_one_side_is_refused_and_pays_no_more_for_the_other() -> None:
    asked, rows, down = await held(NO_ACCESS, compared=True)
    assert asked["b"] == 1
    assert asked["a"] <= 2
    assert len(rows) < 30
    assert down == [model_at("main", "b")]


async def test_a_key_that_is_refused_ends_a_matrix_at_once() -> None:
    asked, rows, down = await held(KEY, compared=False)
    assert asked["b"] == 1
    assert len(rows) < 30
    assert down == ["main"]


# Silence


def test_each_endpoint_has_the_deadline_of_its_own_provider() -> None:
    providers = {
        "quick": ProviderSettings(base_url="http://127.0.0.1:1/v1", timeout=5.0),
        "slow": ProviderSettings(base_url="http://127.0.0.1:2/v1", timeout=600.0),
    }
    limits = limits_of(Settings(providers=providers))
    deadlines = [limits.deadline_of(endpoint_name(name, one)) for name, one in providers.items()]
    assert deadlines == [60.0, 600.0]
    assert limits.deadline_of("somebody else") == 60.0


async def test_a_slow_endpoint_does_not_make_another_one_s_silence_longer() -> None:
    async def hang() -> ChatAnswer:
        await asyncio.Event().wait()
        raise AssertionError

    limits = Limits(deadline_s=0.02, deadlines={"slow": 3600.0}, concurrency=8, down_max=1000)
    calls = Calls(limits)
    slow = asyncio.create_task(calls.answer("slow", hang))
    async with asyncio.timeout(20):
        ended = await asyncio.gather(*(calls.answer("m", hang) for _ in range(200)), return_exceptions=True)
    assert {type(error) for error in ended} == {Unavailable}
    assert list(calls.dead) == ["m"]
    assert not slow.done()
    slow.cancel()
