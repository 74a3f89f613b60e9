"""Graders of native suites: models named in promptship.toml, pinned by the suite's `judge`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from promptship.chat import ChatAnswer, ChatRequest
from promptship.errors import ConfigError, Problem
from promptship.evals.calls import Anew
from promptship.evals.services import Spent
from promptship.evals.suite_file import JudgeSettings
from promptship.evals.units import Asking
from promptship.ports import Models


class NativeGraders:
    """`Graders` over `Models`. An assertion's `provider` names another model than the suite's for that assertion.

    A judge is not told which version answered. Its replies are kept by the content of the request alone, without the
    trial: the same answer gets the same verdict, and is paid once.

    Args:
        models: where to.
        asking: retries, limits, cache and budget of the run.
        settings: the suite's `judge`.
        endpoint: names the endpoint of a model for limits and fuses; the model's name without it.
        cost: price of an answer in USD where the provider names none; None: nobody knows it.
    """

    def __init__(
        self,
        models: Models,
        asking: Asking,
        settings: JudgeSettings,
        *,
        endpoint: Callable[[str], str] = str,
        cost: Callable[[ChatAnswer], float | None] | None = None,
    ) -> None:
        self._models = models
        self._asking = asking
        self._settings = settings
        self._endpoint = endpoint
        self._cost = cost

    async def say(
        self, messages: Sequence[Mapping[str, Any]], *, who: Any = None, anew: bool = False
    ) -> tuple[str, Spent]:
        """Text that the judge answers. Raises Unavailable, Refused, ConfigError."""
        request = ChatRequest(
            model=_name(who, self._settings.model, "judge.model"),
            messages=tuple(dict(message) for message in messages),
            parameters=dict(self._settings.parameters),
        )

        async def once() -> ChatAnswer:
            answer = await self._models.complete(request)
            if answer.cost_usd is None and self._cost is not None:
                return replace(answer, cost_usd=self._cost(answer))
            return answer

        endpoint = self._endpoint(request.model)
        asking = Anew(self._asking) if anew else self._asking
        answer = await asking.answer(endpoint, once, model=request.model, key=_key(endpoint, request))
        spent = Spent(
            tokens=(answer.tokens_in or 0) + (answer.tokens_out or 0),
            cost_usd=0.0 if answer.cached else answer.cost_usd or 0.0,
            unpriced=int(not answer.cached and answer.cost_usd is None),
            cached=answer.cached,
            model=answer.model or request.model,
            fingerprint=answer.fingerprint,
        )
        return answer.text, spent

    async def embed(
        self, texts: Sequence[str], *, who: Any = None
    ) -> tuple[Sequence[Sequence[float]], Spent]:
        """One vector per text. Raises Unavailable, Refused, ConfigError."""
        model = _name(who, self._settings.embeddings, "judge.embeddings")
        vectors, tokens = await self._asking.limited(
            self._endpoint(model), lambda: self._models.embed(model, texts), model=model
        )
        return vectors, Spent(tokens=tokens, unpriced=1, model=model)

    async def moderate(self, asked: str, said: str, *, who: Any = None) -> tuple[Mapping[str, float], Spent]:
        """Flagged categories of what was said. Raises Unavailable, Refused, ConfigError."""
        model = _name(who, self._settings.moderation, "judge.moderation")
        flags = await self._asking.limited(
            self._endpoint(model), lambda: self._models.moderate(model, asked, said), model=model
        )
        return flags, Spent(model=model)

    async def classify(self, text: str, *, who: Any = None) -> tuple[Mapping[str, float], Spent]:  # noqa: ARG002 - of the protocol
        """OpenAI-compatible endpoints have no classifiers in common. Raises ConfigError."""
        raise _config("judge", "a classifier", "expected one that a promptfoo file names as `provider`")


def _name(who: Any, default: str | None, key: str) -> str:
    """The model to ask: the assertion's own, or the suite's."""
    if who is not None and not (isinstance(who, str) and who):
        raise _config("provider", repr(who)[:60], "expected the name of a model")
    name = who or default
    if not name:
        raise _config(
            key, "missing", "expected the name of a model", "add it to the suite, or `provider` here"
        )
    return str(name)


def _config(key: str, got: str, expected: str, advice: str = "") -> ConfigError:
    return ConfigError([Problem(file="suite", key=key, got=got, expected=expected, advice=advice)])


def _key(endpoint: str, request: ChatRequest) -> str:
    """Content address of a judgement; empty when JSON has no form for it."""
    sent = ["judge", endpoint, request.model, request.messages, request.parameters]
    try:
        return hashlib.sha256(orjson.dumps(sent)).hexdigest()
    except TypeError:
        return ""
