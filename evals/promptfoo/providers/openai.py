"""OpenAI's chat completions, completions and responses, of OpenAI, of Azure, and of everybody who is like OpenAI."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from promptship.adapters.providers.dialects import Dialect
from promptship.chat import ChatAnswer
from promptship.evals.promptfoo.model import CallContext, ProviderSpec
from promptship.evals.promptfoo.providers.base import Caller, first, loaded, merged, number, rendered
from promptship.evals.promptfoo.providers.prompts import json_or_text, messages_of
from promptship.evals.promptfoo.providers.shapes import chat_shape, is_schema, responses_shape
from promptship.evals.services import Scripts
from promptship.evals.units import Asking

MAX_TOKENS: Final = 1024
_REASONING: Final = re.compile(r"^(?:.*/)?(?:o[134](?:-|$)|gpt-[5-9]|codex)")
_CHAT_VERSION: Final = re.compile(r"gpt-5(?:\.\d+)?-chat")
_PASSED: Final = (
    "seed", "top_p", "presence_penalty", "frequency_penalty", "function_call", "tool_choice", "tool_resources", "stop",
    "user", "store", "metadata", "service_tier", "prompt_cache_key", "safety_identifier",
)  # fmt: skip
_PASSED_RESPONSES: Final = (
    "top_p", "instructions", "include", "max_tool_calls", "metadata", "parallel_tool_calls", "previous_response_id",
    "service_tier", "store", "truncation", "user", "tool_choice", "prompt", "prompt_cache_key",
    "safety_identifier", "webhook_url", "conversation",
)  # fmt: skip
_LOADED: Final = ("functions", "tools", "response_format")


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a family of providers differs from OpenAI in what is sent unasked, and what else may be sent."""

    max_tokens: int | None = MAX_TOKENS
    temperature: float | None = 0
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    best_of: int | None = None
    stop: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    """Keys of the configuration that only this family knows."""
    unbounded: tuple[str, ...] = ()
    """Parts of names of models that reason: they get no limit of tokens."""
    thinks: bool = True
    """Whether thoughts are put before the answer."""


@dataclass(frozen=True, kw_only=True)
class Asker:
    """What the three forms share."""

    spec: ProviderSpec
    id: str
    model: str
    dialect: Dialect
    caller: Caller
    habits: Habits = field(default_factory=Habits)

    @property
    def label(self) -> str:
        """Label, or id."""
        return self.spec.label or self.id

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """As configured, with tools and schemas read from their files: assertions look at them."""
        config = dict(self.spec.config)
        for name in _LOADED:
            if config.get(name) is not None and "{{" not in str(config[name]):
                config[name] = _read(config[name], self.spec.base)
        return config

    def settings(self, context: CallContext) -> dict[str, Any]:
        """The configuration of one call: prompt and test over the provider's; tools and schemas rendered, or read from their files."""
        config = merged(self.spec, context)
        for name in _LOADED:
            if config.get(name) is not None:
                made = rendered(config[name], context.vars, self.caller.tools.renderer)
                config[name] = _read(made, self.spec.base)
        return config

    def sampling(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Temperature and limit of tokens as promptfoo sends them to models that do not reason."""
        env, bare = self.caller.tools.env, bool(config.get("omitDefaults"))
        limit = first(
            config.get("max_tokens"),
            number(env, "OPENAI_MAX_TOKENS"),
            None if bare else self.habits.max_tokens,
        )
        heat = first(
            config.get("temperature"),
            number(env, "OPENAI_TEMPERATURE"),
            None if bare else self.habits.temperature,
        )
        return {
            name: value for name, value in (("max_tokens", limit), ("temperature", heat)) if value is not None
        }


def _read(value: Any, base: Path) -> Any:
    """A value from its file; of a list, each item that names one, with what it holds in its place."""
    made = loaded(value, base)
    if not isinstance(made, list):
        return made
    items = (loaded(one, base) for one in made)
    return [item for one in items for item in (one if isinstance(one, list) else [one])]


def reasons(model: str) -> bool:
    """Whether a model of OpenAI's reasons: it takes neither temperature nor `max_tokens`."""
    return bool(_REASONING.match(model)) and not _CHAT_VERSION.search(model)


@dataclass(frozen=True, kw_only=True)
class ChatProvider(Asker):
    """`openai:chat:*`, `azure:chat:*` and the families."""

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        """See `Provider`."""
        del scripts
        config = self.settings(context)
        made = self.body(messages_of(prompt), config)
        call = self.dialect.call(self.caller.target, self.model, made)
        shape = chat_shape(config, think=self.habits.thinks)
        return await self.caller.ask(self.dialect, call, context, asking, shape=shape, model=self.model)

    def body(self, messages: list[dict[str, Any]], config: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a call."""
        thinking = reasons(self.model) or bool(config.get("isReasoningModel"))
        made: dict[str, Any] = {"model": self.model, "messages": messages}
        if not thinking:
            made |= self.sampling(config)
            made |= self._unasked(config)
            if any(part in self.model for part in self.habits.unbounded):
                made.pop("max_tokens", None)
        else:
            limit = first(
                config.get("max_completion_tokens"),
                number(self.caller.tools.env, "OPENAI_MAX_COMPLETION_TOKENS"),
            )
            made |= {} if limit is None else {"max_completion_tokens": limit}
            for name in ("reasoning_effort", "reasoning", "verbosity"):
                if config.get(name) is not None:
                    made[name] = config[name]
            if "gpt-5" in self.model:
                made.pop("reasoning", None)
        env = self.caller.tools.env
        for name in ("top_p", "presence_penalty", "frequency_penalty"):
            value = first(config.get(name), number(env, f"OPENAI_{name.upper()}"))
            if value is not None:
                made[name] = value
        for name in (*_PASSED, *_LOADED, *self.habits.more):
            if config.get(name) is not None:
                made[name] = config[name]
        return {**made, **(config.get("passthrough") or {})}

    def _unasked(self, config: Mapping[str, Any]) -> dict[str, Any]:
        if config.get("omitDefaults"):
            return {}
        habits = self.habits
        named = {name: getattr(habits, name) for name in ("top_p", "presence_penalty", "frequency_penalty")}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class CompletionProvider(Asker):
    """`openai:completion:*` and `azure:completion:*`."""

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        """See `Provider`."""
        del scripts
        config, habits = merged(self.spec, context), self.habits
        made: dict[str, Any] = {"model": self.model, "prompt": prompt, **self.sampling(config)}
        unasked = {
            "top_p": habits.top_p, "presence_penalty": habits.presence_penalty,
            "frequency_penalty": habits.frequency_penalty, "best_of": habits.best_of, "stop": list(habits.stop) or None,
            "seed": None, "user": None, "logprobs": None,
        }  # fmt: skip
        for name, usual in unasked.items():
            value = first(config.get(name), usual)
            if value is not None:
                made[name] = value
        call = self.dialect.call(
            self.caller.target, self.model, {**made, **(config.get("passthrough") or {})}
        )
        return await self.caller.ask(
            self.dialect, call, context, asking, shape=lambda answer, _: answer, model=self.model
        )


@dataclass(frozen=True, kw_only=True)
class ResponsesProvider(Asker):
    """`openai:responses:*` and `azure:responses:*`."""

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        """See `Provider`."""
        del scripts
        config = self.settings(context)
        made = self.body(json_or_text(prompt), config)
        call = self.dialect.call(self.caller.target, self.model, made)
        shape = responses_shape(config)
        return await self.caller.ask(self.dialect, call, context, asking, shape=shape, model=self.model)

    def body(self, asked: Any, config: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a call."""
        made: dict[str, Any] = {"model": self.model, "input": asked}
        if reasons(self.model):
            limit = first(config.get("max_output_tokens"), config.get("max_completion_tokens"))
            reasoning = dict(config.get("reasoning") or {})
            if config.get("reasoning_effort") is not None:
                reasoning.setdefault("effort", config["reasoning_effort"])
            if reasoning:
                made["reasoning"] = reasoning
        else:
            sampling = self.sampling(config)
            limit = first(config.get("max_output_tokens"), sampling.get("max_tokens"))
            if "temperature" in sampling:
                made["temperature"] = sampling["temperature"]
        if limit is not None:
            made["max_output_tokens"] = limit
        for name in _PASSED_RESPONSES:
            if config.get(name) is not None:
                made[name] = config[name]
        if config.get("tools") is not None:
            made["tools"] = config["tools"]
        made["text"] = {"format": _text_format(config.get("response_format"))}
        if config.get("verbosity") is not None:
            made["text"]["verbosity"] = config["verbosity"]
        return {**made, **(config.get("passthrough") or {})}


def _text_format(given: Any) -> dict[str, Any]:
    """A response format of chat completions, in the words of responses; a schema is strict unless it says otherwise."""
    if not isinstance(given, Mapping):
        return {"type": "text"}
    if not is_schema(given):
        return dict(given)
    inner = given.get("json_schema") or {key: value for key, value in given.items() if key != "type"}
    name = inner.get("name") or "response_schema"
    return {
        "type": "json_schema",
        "name": name,
        "schema": inner.get("schema"),
        "strict": inner.get("strict", True),
    }
