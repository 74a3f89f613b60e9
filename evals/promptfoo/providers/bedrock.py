"""Amazon Bedrock: every model through Converse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from promptship.adapters.providers.dialects import CONVERSE
from promptship.adapters.providers.dialects.bedrock import tool, tool_choice, turns
from promptship.adapters.providers.dialects.messages import split_system
from promptship.adapters.providers.dialects.sigv4 import Credentials
from promptship.adapters.providers.targets import aws_credentials, aws_signer
from promptship.chat import ChatAnswer
from promptship.evals.promptfoo.model import CallContext, ProviderSpec
from promptship.evals.promptfoo.providers.base import (
    Caller,
    ModelProvider,
    Tools,
    first,
    target_for,
    wrong,
)
from promptship.evals.promptfoo.providers.prompts import messages_of
from promptship.evals.services import Scripts
from promptship.evals.units import Asking

REGION: Final = "us-east-1"
_OTHER_SERVICES: Final = frozenset(
    {
        "agents",
        "kb",
        "knowledge-base",
        "embeddings",
        "nova-sonic",
        "video",
        "luma",
        "openai",
        "responses",
        "mantle",
    }
)
_INFERENCE: Final = (
    ("maxTokens", ("maxTokens", "max_tokens")),
    ("temperature", ("temperature",)),
    ("topP", ("topP", "top_p")),
    ("stopSequences", ("stopSequences", "stop_sequences", "stop")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BedrockProvider(ModelProvider):
    """`bedrock:converse:<model>`; `bedrock:<model>` asks the same model the same way."""

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        """See `Provider`."""
        del scripts
        config = self.settled(context, "tools")
        call = CONVERSE.call(self.caller.target, self.model, self.body(messages_of(prompt), config))
        return await self.caller.ask(
            CONVERSE, call, context, asking, shape=lambda answer, _: answer, model=self.model
        )

    def body(self, messages: list[dict[str, Any]], config: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a call."""
        system, rest = split_system(messages)
        made: dict[str, Any] = {"messages": turns(rest)}
        if system:
            made["system"] = [{"text": text} for text in system]
        inference = {
            name: value
            for name, keys in _INFERENCE
            if (value := first(*(config.get(key) for key in keys))) is not None
        }
        inference |= config.get("inferenceConfig") or {}
        if inference:
            made["inferenceConfig"] = inference
        if config.get("tools"):
            choice = config.get("toolChoice")
            tools: dict[str, Any] = {"tools": [tool(one) for one in config["tools"]]}
            made["toolConfig"] = tools if choice is None else {**tools, "toolChoice": tool_choice(choice)}
        thinking = config.get("thinking")
        more = dict(config.get("additionalModelRequestFields") or {})
        if thinking is not None:
            more["thinking"] = thinking
        if more:
            made["additionalModelRequestFields"] = more
        if config.get("guardrailIdentifier"):
            made["guardrailConfig"] = {
                "guardrailIdentifier": str(config["guardrailIdentifier"]),
                "guardrailVersion": str(config.get("guardrailVersion") or "DRAFT"),
            }
        for name in ("performanceConfig", "serviceTier", "additionalModelResponseFieldPaths"):
            if config.get(name) is not None:
                made[name] = config[name]
        return made


def make_bedrock(spec: ProviderSpec, tools: Tools) -> BedrockProvider:
    """The provider of a `bedrock:` id. Raises ConfigError: no keys, no model."""
    rest = spec.id.removeprefix("bedrock:")
    kind, _, tail = rest.partition(":")
    if kind in _OTHER_SERVICES:
        raise wrong(
            spec,
            "",
            repr(spec.id),
            "expected bedrock:converse:<model>",
            "only models that Converse reaches can be asked here",
        )
    model = tail if kind in {"converse", "completion"} else rest
    if not model:
        raise wrong(spec, "", repr(spec.id), "expected bedrock:converse:<model>", "name a model")
    env, config = tools.env, spec.config
    region = str(
        first(
            config.get("region"),
            env.get("AWS_BEDROCK_REGION") or env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or None,
            REGION,
        )
    )
    address = first(config.get("endpoint"), f"https://bedrock-runtime.{region}.amazonaws.com")
    token = str(config.get("apiKey") or env.get("AWS_BEARER_TOKEN_BEDROCK") or "").strip()
    keys = _credentials(config) or aws_credentials(env)
    if not token and keys is None:
        advice = "set them, or AWS_BEARER_TOKEN_BEDROCK; profiles, SSO and instance roles are not read here"
        raise wrong(
            spec, "", "without AWS keys", "expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", advice
        )
    target = target_for(
        spec, tools, str(address), headers=[("authorization", f"Bearer {token}")] if token else [],
        envars=("AWS_ACCESS_KEY_ID",), sign=None if token or keys is None else aws_signer(keys, region),
    )  # fmt: skip
    return BedrockProvider(
        spec=spec, id=spec.id, model=model, caller=Caller(spec=spec, tools=tools, target=target)
    )


def _credentials(config: Mapping[str, Any]) -> Credentials | None:
    key_id, secret = config.get("accessKeyId"), config.get("secretAccessKey")
    if not (key_id and secret):
        return None
    return Credentials(
        key_id=str(key_id), secret=str(secret), session_token=str(config.get("sessionToken") or "")
    )
