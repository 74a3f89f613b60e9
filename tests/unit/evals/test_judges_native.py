"""Graders of native suites: which model is asked, how often, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from promptship.adapters.memory.models import ScriptedModels
from promptship.chat import ChatAnswer, ChatRequest
from promptship.errors import ConfigError
from promptship.evals.judges import NativeGraders
from promptship.evals.services import Graders
from promptship.evals.suite_file import JudgeSettings

T = TypeVar("T")
MESSAGES = ({"role": "user", "content": "judge"},)


class Models(ScriptedModels):
    """With embeddings and moderation."""

    def __init__(self, *lines: ChatAnswer) -> None:
        super().__init__(lines)
        self.others: list[Any] = []

    async def embed(self, model: str, texts: Sequence[str]) -> tuple[Sequence[Sequence[float]], int]:
        self.others.append((model, tuple(texts)))
        return [[1.0]] * len(texts), 5

    async def moderate(self, model: str, asked: str, said: str) -> Mapping[str, float]:
        self.others.append((model, asked, said))
        return {"hate": 0.9}


class Asking:
    """`promptship.evals.units.Asking` that keeps answers by key."""

    def __init__(self) -> None:
        self.kept: dict[str, ChatAnswer] = {}
        self.endpoints: list[str] = []

    async def answer(
        self,
        endpoint: str,
        once: Callable[[], Awaitable[ChatAnswer]],
        *,
        model: str = "",
        key: str = "",
        deadline_s: float | None = None,
        anew: bool = False,
    ) -> ChatAnswer:
        self.endpoints.append(endpoint)
        if key in self.kept and not anew:
            return replace(self.kept[key], cached=True)
        self.kept[key] = await once()
        return self.kept[key]

    async def limited(
        self, endpoint: str, once: Callable[[], Awaitable[T]], *, model: str = "", deadline_s: float | None = None
    ) -> T:  # fmt: skip
        self.endpoints.append(endpoint)
        return await once()


def graders_of(models: Models, asking: Asking, **more: Any) -> NativeGraders:
    settings = JudgeSettings(model="judge-1", **more.pop("settings", {}))
    return NativeGraders(models, asking, settings, **more)


def request(models: Models) -> ChatRequest:
    return models.requests[-1]


async def test_the_suite_s_judge_is_asked_with_its_parameters() -> None:
    answer = ChatAnswer(
        text="ok", tokens_in=3, tokens_out=4, cost_usd=0.5, model="judge-1-2026", fingerprint="fp_1"
    )
    models, asking = Models(answer), Asking()
    graders: Graders = graders_of(models, asking, endpoint=lambda model: f"https://x/{model}")
    text, spent = await graders.say(MESSAGES)
    assert text == "ok"
    assert (request(models).model, request(models).parameters, request(models).messages) == (
        "judge-1",
        {"temperature": 0},
        MESSAGES,
    )
    assert (spent.tokens, spent.cost_usd, spent.cached, spent.model, spent.fingerprint) == (
        7,
        0.5,
        False,
        "judge-1-2026",
        "fp_1",
    )
    assert asking.endpoints == ["https://x/judge-1"]
    # The same request again is the same verdict, and costs nothing.
    text, spent = await graders.say([dict(MESSAGES[0])])
    assert (text, spent.cost_usd, spent.cached, len(models.requests)) == ("ok", 0.0, True, 1)


async def test_an_assertion_may_name_another_judge() -> None:
    models = Models(ChatAnswer(text="a"), ChatAnswer(text="b"))
    graders = graders_of(models, Asking())
    await graders.say(MESSAGES, who="judge-2")
    assert request(models).model == "judge-2"
    _, spent = await graders.say(MESSAGES)
    assert request(models).model == "judge-1"
    assert (spent.tokens, spent.cost_usd, spent.model) == (0, 0.0, "judge-1")
    wrong: list[Any] = [{"id": "openai:x"}, 5, [], ""]
    for who in wrong:
        with pytest.raises(ConfigError) as caught:
            await graders.say(MESSAGES, who=who)
        assert caught.value.problems[0].key == "provider"


async def test_a_price_list_says_what_the_provider_does_not() -> None:
    graders = graders_of(
        Models(ChatAnswer(text="a", tokens_in=10)),
        Asking(),
        cost=lambda answer: (answer.tokens_in or 0) * 0.1,
    )
    spent = (await graders.say(MESSAGES))[1]
    assert spent.cost_usd == pytest.approx(1.0)
    assert spent.unpriced == 0


async def test_an_answer_whose_cost_nobody_knows_is_counted_as_that_until_it_is_kept() -> None:
    graders = graders_of(Models(ChatAnswer(text="a", tokens_in=10)), Asking())
    assert [(await graders.say(MESSAGES))[1].unpriced for _ in range(2)] == [1, 0]


async def test_embeddings_and_moderation_have_models_of_their_own() -> None:
    models, asking = Models(), Asking()
    graders = graders_of(models, asking, settings={"embeddings": "e-1", "moderation": "m-1"})
    vectors, spent = await graders.embed(["a", "b"])
    assert (len(vectors), spent.tokens, spent.model) == (2, 5, "e-1")
    flags, spent = await graders.moderate("asked", "said")
    assert (flags, spent.model) == ({"hate": 0.9}, "m-1")
    await graders.embed(["a"], who="e-2")
    assert models.others == [("e-1", ("a", "b")), ("m-1", "asked", "said"), ("e-2", ("a",))]
    assert asking.endpoints == ["e-1", "m-1", "e-2"]


async def test_a_model_that_is_not_named_is_a_clear_error() -> None:
    graders = graders_of(Models(), Asking())
    for call, key in (
        (graders.embed(["a"]), "judge.embeddings"),
        (graders.moderate("a", "b"), "judge.moderation"),
    ):
        with pytest.raises(ConfigError) as caught:
            await call
        assert caught.value.problems[0].key == key
    with pytest.raises(ConfigError):
        await graders.classify("a")
