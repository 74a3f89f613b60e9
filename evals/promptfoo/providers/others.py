"""Small providers: echo, webhook, sequence, Ollama, llama.cpp, and the litellm library."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from promptship.adapters.providers.dialects import Dialect, HttpCall, Target
from promptship.adapters.providers.dialects.call import count
from promptship.adapters.providers.dialects.openai_chat import answer as chat_answer
from promptship.chat import ChatAnswer, ChatRequest
from promptship.errors import Refused, Unavailable
from promptship.evals.promptfoo.model import CallContext, ProviderSpec
from promptship.evals.promptfoo.providers.base import (
    Caller,
    Tools,
    digest_of,
    loaded,
    merged,
    rendered,
    secret,
    target_for,
    wrong,
)
from promptship.evals.promptfoo.providers.families import address_of
from promptship.evals.promptfoo.providers.prompts import messages_of
from promptship.evals.promptfoo.providers.shapes import chat_shape
from promptship.evals.services import Scripts
from promptship.evals.units import Asking


@dataclass(frozen=True, slots=True, kw_only=True)
class Small:
    """What they share."""

    spec: ProviderSpec
    id: str

    @property
    def label(self) -> str:
        """Label, or id."""
        return self.spec.label or self.id

    @property
    def config(self) -> Mapping[str, Any]:
        """As configured."""
        return self.spec.config


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoProvider(Small):
    """Says what it is asked, for nothing."""

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        """See `Provider`."""
        del context, asking, scripts
        began = time.perf_counter()
        latency_ms = (time.perf_counter() - began) * 1000  # next to nothing, but measured
        return ChatAnswer(text=prompt, cost_usd=0.0, tokens_in=0, tokens_out=0, latency_ms=latency_ms)


def _unasked(_: ChatRequest) -> dict[str, Any]:
    raise NotImplementedError


def _addressed(target: Target, path: str, made: Mapping[str, Any]) -> HttpCall:
    return target.call(path, made)


def _webhook_answer(value: Any) -> ChatAnswer:
    output = value["output"]
    return (
        ChatAnswer(text=output)
        if isinstance(output, str)
        else ChatAnswer(text=orjson.dumps(output).decode(), value=output)
    )


def _ollama_answer(value: Any) -> ChatAnswer:
    message = value.get("message")
    calls = tuple((message or {}).get("tool_calls") or ())
    said = message["content"] if message is not None else value["response"]
    if not isinstance(said, str) or not (said or calls or value.get("done")):
        raise TypeError("no text")
    reason = str(value.get("done_reason") or "")
    return ChatAnswer(
        text=said, tool_calls=calls, value=list(calls) if calls and not said else None, finish_reason=reason, model=str(value.get("model") or ""),
        tokens_in=count(value.get("prompt_eval_count")), tokens_out=count(value.get("eval_count")),
    )  # fmt: skip


def _llama_answer(value: Any) -> ChatAnswer:
    return ChatAnswer(
        text=str(value["content"]), tokens_in=count(value.get("tokens_evaluated")), tokens_out=count(value.get("tokens_predicted"))
    )  # fmt: skip


WEBHOOK: Final = Dialect(name="answer of a webhook", body=_unasked, call=_addressed, answer=_webhook_answer)
OLLAMA: Final = Dialect(name="answer of Ollama", body=_unasked, call=_addressed, answer=_ollama_answer)
LLAMA: Final = Dialect(name="completion", body=_unasked, call=_addressed, answer=_llama_answer)
_OLLAMA_OPTIONS: Final = (
    "num_predict", "top_k", "top_p", "tfs_z", "seed", "useNUMA", "num_ctx", "num_keep", "num_gpu", "num_thread", "main_gpu",
    "low_vram", "f16_kv", "vocab_only", "use_mmap", "use_mlock", "stop", "repeat_last_n", "repeat_penalty", "temperature",
    "presence_penalty", "frequency_penalty", "mirostat", "mirostat_tau", "mirostat_eta", "penalize_newline", "typical_p",
)  # fmt: skip
_LLAMA_OPTIONS: Final = (
    "n_predict", "temperature", "dynatemp_range", "top_k", "top_p", "min_p", "n_keep", "stop", "repeat_penalty", "repeat_last_n",
    "presence_penalty", "frequency_penalty", "mirostat", "grammar", "json_schema", "seed", "cache_prompt", "logit_bias",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookProvider(Small):
    """`webhook:<address>`: posts prompt and configuration, reads `output`."""

    caller: Caller

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        """See `Provider`."""
        del scripts
        made = {"prompt": prompt, "config": {"basePath": str(self.spec.base), **merged(self.spec, context)}}
        call = WEBHOOK.call(self.caller.target, "", made)
        return await self.caller.ask(WEBHOOK, call, context, asking, shape=lambda answer, _: answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaProvider(Small):
    """`ollama:chat:<model>` and `ollama:completion:<model>`, in Ollama's own words."""

    model: str
    chats: bool
    caller: Caller

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        """See `Provider`."""
        del scripts
        config = merged(self.spec, context)
        options = {name: config[name] for name in _OLLAMA_OPTIONS if config.get(name) is not None}
        made: dict[str, Any] = {"model": self.model, "stream": False, "options": options}
        made |= {"messages": messages_of(prompt)} if self.chats else {"prompt": prompt}
        for name in ("think", "keep_alive", "format"):
            if config.get(name) is not None:
                made[name] = config[name]
        if self.chats and config.get("tools") is not None:
            made["tools"] = loaded(
                rendered(config["tools"], context.vars, self.caller.tools.renderer), self.spec.base
            )
        path = "/api/chat" if self.chats else "/api/generate"
        call = OLLAMA.call(self.caller.target, path, {**made, **(config.get("passthrough") or {})})
        return await self.caller.ask(
            OLLAMA, call, context, asking, shape=lambda answer, _: answer, model=self.model
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaProvider(Small):
    """`llama`: the server of llama.cpp, in its own words."""

    caller: Caller

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        """See `Provider`."""
        del scripts
        config = merged(self.spec, context)
        made = {"prompt": prompt, "n_predict": 512}
        made |= {name: config[name] for name in _LLAMA_OPTIONS if config.get(name) is not None}
        call = LLAMA.call(self.caller.target, "/completion", made)
        return await self.caller.ask(LLAMA, call, context, asking, shape=lambda answer, _: answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceProvider(Small):
    """`sequence`: asks another provider several inputs, one after the other, as one conversation."""

    asked: Any
    tools: Tools

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        """See `Provider`."""
        said: list[ChatAnswer] = []
        for text in self.config.get("inputs") or ():
            made = rendered(str(text), {**context.vars, "prompt": prompt}, self.tools.renderer)
            said.append(await self.asked.call(made, context, asking, scripts))
        separator = str(self.config.get("separator") or "\n---\n")
        return ChatAnswer(
            text=separator.join(answer.text for answer in said),
            tokens_in=sum(answer.tokens_in or 0 for answer in said),
            tokens_out=sum(answer.tokens_out or 0 for answer in said),
            cost_usd=None
            if any(answer.cost_usd is None for answer in said)
            else sum(answer.cost_usd or 0 for answer in said),
            latency_ms=sum(answer.latency_ms for answer in said),
            cached=bool(said) and all(answer.cached for answer in said),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LitellmProvider(Small):
    """`litellm:<model>` without an address: through the litellm library, in this process."""

    model: str
    tools: Tools

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        """See `Provider`."""
        del scripts
        config = merged(self.spec, context)
        parameters = {name: value for name, value in config.items() if name not in _LITELLM_OWN}
        messages = messages_of(prompt)
        key = digest_of(self.spec.id, messages, parameters, context.trial)
        return await asking.answer(self.label, lambda: self._once(messages, parameters, config), key=key)

    async def _once(
        self, messages: list[dict[str, Any]], parameters: dict[str, Any], config: Mapping[str, Any]
    ) -> ChatAnswer:
        litellm = _litellm(self.spec)
        key = secret(self.spec, self.tools.env)
        more = {"api_key": key} if key else {}
        began = time.perf_counter()
        try:
            came = await litellm.acompletion(
                model=self.model,
                messages=messages,
                timeout=self.tools.timeout_s,
                num_retries=0,
                **parameters,
                **more,
            )
            value = came.model_dump()
        except (litellm.AuthenticationError, litellm.PermissionDeniedError) as error:
            raise Refused(f"provider {self.label}: {type(error).__name__}") from None
        except (litellm.BadRequestError, litellm.NotFoundError) as error:
            raise wrong(
                self.spec,
                "",
                f"answered {type(error).__name__}",
                "expected a request that the provider accepts",
            ) from None
        except litellm.RateLimitError as error:
            raise Unavailable(f"provider {self.label}: {type(error).__name__}", throttled=True) from None
        except Exception as error:  # noqa: BLE001 - the library lets through what its many providers raise
            raise Unavailable(f"provider {self.label}: {type(error).__name__}") from None
        try:
            shaped: ChatAnswer = chat_shape(config)(chat_answer(value), value)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError):
            raise Unavailable(
                f"provider {self.label} answered with something that is no chat completion"
            ) from None
        cost = (getattr(came, "_hidden_params", None) or {}).get("response_cost")
        return replace(shaped, cost_usd=cost, latency_ms=(time.perf_counter() - began) * 1000)


_LITELLM_OWN: Final = frozenset(
    {"apiKey", "apiKeyEnvar", "apiBaseUrl", "apiHost", "cost", "inputCost", "outputCost", "showThinking"}
)


def _litellm(spec: ProviderSpec) -> Any:
    try:
        return importlib.import_module("litellm")
    except ImportError:
        advice = "pip install 'promptship[litellm]', or name a proxy: apiBaseUrl: http://localhost:4000"
        raise wrong(
            spec, "", "without the litellm library", "expected it, or the address of a litellm proxy", advice
        ) from None


def make_echo(spec: ProviderSpec, tools: Tools) -> EchoProvider:
    """`echo`."""
    del tools
    return EchoProvider(spec=spec, id=spec.id)


def make_webhook(spec: ProviderSpec, tools: Tools) -> WebhookProvider:
    """`webhook:<address>`. Raises ConfigError: no address."""
    target = target_for(spec, tools, spec.id.removeprefix("webhook:"))
    return WebhookProvider(spec=spec, id=spec.id, caller=Caller(spec=spec, tools=tools, target=target))


def make_ollama(spec: ProviderSpec, tools: Tools) -> OllamaProvider:
    """`ollama:…`. Raises ConfigError: no model, or one for vectors."""
    form, _, tail = spec.id.removeprefix("ollama:").partition(":")
    if form in {"embedding", "embeddings"}:
        raise wrong(
            spec, "", repr(spec.id), "expected ollama:chat:<model>", "it can grade, but answers no prompt"
        )
    model = tail if form in {"chat", "completion"} else spec.id.removeprefix("ollama:")
    if not model:
        raise wrong(spec, "", repr(spec.id), "expected ollama:chat:<model>", "name a model")
    shown = spec.shown(f"ollama:{'chat' if form == 'chat' else 'completion'}:{model}")
    return OllamaProvider(
        spec=spec, id=shown, model=model, chats=form == "chat", caller=ollama_caller(spec, tools)
    )


def ollama_caller(spec: ProviderSpec, tools: Tools) -> Caller:
    """Of an Ollama server."""
    address = address_of(spec, tools.env, "OLLAMA_BASE_URL") or "http://localhost:11434"
    key = secret(spec, tools.env, "OLLAMA_API_KEY")
    headers = [("authorization", f"Bearer {key}")] if key else []
    return Caller(spec=spec, tools=tools, target=target_for(spec, tools, address, headers=headers))


def make_llama(spec: ProviderSpec, tools: Tools) -> LlamaProvider:
    """`llama`."""
    address = address_of(spec, tools.env, "LLAMA_BASE_URL") or "http://localhost:8080"
    caller = Caller(spec=spec, tools=tools, target=target_for(spec, tools, address))
    return LlamaProvider(spec=spec, id=spec.id, caller=caller)


def make_litellm(spec: ProviderSpec, tools: Tools) -> LitellmProvider:
    """`litellm:<model>` through the library. Raises ConfigError: the library is not there."""
    _litellm(spec)
    model = spec.id.removeprefix("litellm:").removeprefix("chat:")
    return LitellmProvider(spec=spec, id=spec.id, model=model, tools=tools)
