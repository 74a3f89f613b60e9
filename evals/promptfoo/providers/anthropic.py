"""Anthropic's messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from promptship.adapters.providers.dialects import MESSAGES
from promptship.adapters.providers.dialects.anthropic import VERSION, turns
from promptship.adapters.providers.dialects.messages import split_system
from promptship.chat import ChatAnswer
from promptship.evals.promptfoo.model import CallContext, ProviderSpec
from promptship.evals.promptfoo.providers.base import (
    Caller,
    ModelProvider,
    Tools,
    first,
    no_key,
    number,
    secret,
    target_for,
)
from promptship.evals.promptfoo.providers.prompts import messages_of
from promptship.evals.promptfoo.providers.shapes import blocks_shape
from promptship.evals.services import Scripts
from promptship.evals.units import Asking

MAX_TOKENS: Final = 1024
MAX_TOKENS_THINKING: Final = 2048
_TOP_P_MIN_THINKING: Final = 0.95
DEFAULT_MODEL: Final = "claude-sonnet-4-6"
_KEY: Final = "ANTHROPIC_API_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicProvider(ModelProvider):
    """`anthropic:messages:<model>` and `anthropic:<model>`."""

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        """See `Provider`."""
        del scripts
        config = self.settled(context, "tools", "output_format", "output_config")
        call = MESSAGES.call(self.caller.target, self.model, self.body(messages_of(prompt), config))
        return await self.caller.ask(
            MESSAGES, call, context, asking, shape=blocks_shape(config), model=self.model
        )

    def body(self, messages: list[dict[str, Any]], config: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a call."""
        env, thinking = self.caller.tools.env, config.get("thinking")
        thinks = isinstance(thinking, Mapping) and thinking.get("type") != "disabled"
        system, rest = split_system(messages)
        budget = thinking.get("budget_tokens") or 0 if isinstance(thinking, Mapping) else 0
        limit = first(config.get("max_tokens"), number(env, "ANTHROPIC_MAX_TOKENS"))
        limit = limit or (MAX_TOKENS_THINKING if thinks else MAX_TOKENS)
        made: dict[str, Any] = {"model": self.model, "stream": False, "messages": turns(rest)}
        # A limit below the thinking's budget is refused: promptfoo raises it, and so do we.
        made["max_tokens"] = max(limit, MAX_TOKENS_THINKING, budget + 1) if thinks else limit
        if system:
            made["system"] = [{"type": "text", "text": text} for text in system]
        made |= self._sampling(config, thinks=thinks)
        for name in (
            "stop_sequences",
            "metadata",
            "tools",
            "tool_choice",
            "thinking",
            "service_tier",
            "cache_control",
        ):
            if config.get(name) is not None:
                made[name] = config[name]
        output = dict(config.get("output_config") or {})
        if config.get("output_format") is not None:
            output["format"] = config["output_format"]
        if config.get("effort") is not None:
            output["effort"] = config["effort"]
        if output:
            made["output_config"] = output
        return {**made, **(config.get("extra_body") or {})}

    def _sampling(self, config: Mapping[str, Any], *, thinks: bool) -> dict[str, Any]:
        """Thinking admits no temperature and no `top_k`, and a `top_p` from 0.95."""
        top_p = config.get("top_p")
        if thinks:
            return {} if top_p is None else {"top_p": max(top_p, _TOP_P_MIN_THINKING)}
        heat = first(config.get("temperature"), number(self.caller.tools.env, "ANTHROPIC_TEMPERATURE"))
        if heat is None and top_p is None and not config.get("omitDefaults"):
            heat = 0
        named = (("temperature", heat), ("top_p", top_p), ("top_k", config.get("top_k")))
        return {name: value for name, value in named if value is not None}


def make_anthropic(spec: ProviderSpec, tools: Tools) -> AnthropicProvider:
    """The provider of an `anthropic:` id. Raises ConfigError: no key."""
    parts = spec.id.split(":")[1:]
    model = ":".join(parts[1:] if parts and parts[0] == "messages" else parts) or DEFAULT_MODEL
    env = tools.env
    key = secret(spec, env, _KEY)
    if not key:
        raise no_key(spec, _KEY)
    address = first(
        spec.config.get("apiBaseUrl"), env.get("ANTHROPIC_BASE_URL") or None, "https://api.anthropic.com"
    )
    beta = spec.config.get("beta") or ()
    headers = [("x-api-key", key), ("anthropic-version", VERSION)]
    if beta:
        headers.append(("anthropic-beta", beta if isinstance(beta, str) else ",".join(beta)))
    target = target_for(spec, tools, str(address).removesuffix("/v1"), headers=headers, envars=(_KEY,))
    caller = Caller(spec=spec, tools=tools, target=target)
    return AnthropicProvider(spec=spec, id=spec.shown(f"anthropic:{model}"), model=model, caller=caller)
