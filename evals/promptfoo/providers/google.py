"""Google's Gemini, through AI Studio (`google:`, `palm:`) and Vertex AI (`vertex:`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from promptship.adapters.providers.dialects import GEMINI
from promptship.adapters.providers.dialects.gemini import contents
from promptship.adapters.providers.dialects.messages import split_system
from promptship.chat import ChatAnswer
from promptship.evals.promptfoo.model import CallContext, ProviderSpec
from promptship.evals.promptfoo.providers.base import (
    Caller,
    ModelProvider,
    Tools,
    first,
    no_key,
    secret,
    target_for,
    wrong,
)
from promptship.evals.promptfoo.providers.prompts import messages_of
from promptship.evals.promptfoo.providers.shapes import parts_shape
from promptship.evals.services import Scripts
from promptship.evals.units import Asking

KEYS: Final = ("GOOGLE_API_KEY", "GEMINI_API_KEY", "PALM_API_KEY")
TOKENS: Final = ("GOOGLE_ACCESS_TOKEN", "VERTEX_ACCESS_TOKEN")
_GENERATION: Final = ("temperature", "topP", "topK", "stopSequences", "maxOutputTokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleProvider(ModelProvider):
    """`google:<model>`, `palm:<model>`, `vertex:<model>`."""

    async def call(self, prompt: str, context: CallContext, asking: Asking, scripts: Scripts) -> ChatAnswer:
        """See `Provider`."""
        del scripts
        config = self.settled(context, "tools", "responseSchema", "systemInstruction")
        call = GEMINI.call(self.caller.target, self.model, self.body(messages_of(prompt), config))
        return await self.caller.ask(GEMINI, call, context, asking, shape=parts_shape, model=self.model)

    def body(self, messages: list[dict[str, Any]], config: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of a call."""
        generation = {name: config[name] for name in _GENERATION if config.get(name) is not None}
        generation |= config.get("generationConfig") or {}
        if config.get("responseSchema") is not None:
            generation |= {
                "response_schema": config["responseSchema"],
                "response_mime_type": "application/json",
            }
        system, rest = split_system(messages)
        made: dict[str, Any] = {"contents": contents(rest), "generationConfig": generation}
        own = config.get("systemInstruction")
        parts = _parts(own) + [{"text": text} for text in system]
        if parts:
            made["system_instruction"] = {"parts": parts}
        for name in ("toolConfig", "tools"):
            if config.get(name) is not None:
                made[name] = config[name]
        if config.get("safetySettings") is not None:
            made["safetySettings"] = [_safety(one) for one in config["safetySettings"]]
        return {**made, **(config.get("passthrough") or {})}


def _parts(instruction: Any) -> list[dict[str, Any]]:
    if instruction is None:
        return []
    if isinstance(instruction, Mapping):
        return list(instruction.get("parts") or [])
    return [{"text": str(instruction)}]


def _safety(setting: Mapping[str, Any]) -> dict[str, Any]:
    """There is an older name for the threshold."""
    rest = {name: value for name, value in setting.items() if name != "probability"}
    return {**rest, "threshold": first(rest.get("threshold"), setting.get("probability"))}


def make_google(spec: ProviderSpec, tools: Tools) -> GoogleProvider:
    """The provider of a `google:`, `palm:` or `vertex:` id. Raises ConfigError: no key."""
    prefix, _, model = spec.id.partition(":")
    if not model or model.split(":")[0] in {
        "live",
        "image",
        "video",
        "interactions",
        "embedding",
        "embeddings",
    }:
        raise wrong(
            spec, "", repr(spec.id), f"expected {prefix}:<model> that answers in text", "name a Gemini model"
        )
    shown = spec.shown(f"google:{model}") if prefix == "palm" else spec.id
    return GoogleProvider(spec=spec, id=shown, model=model, caller=google_caller(spec, tools))


def google_caller(spec: ProviderSpec, tools: Tools) -> Caller:
    """Of AI Studio, or of Vertex AI for `vertex:`. Raises ConfigError: no key, no project."""
    return (_vertex if spec.id.startswith("vertex:") else _studio)(spec, tools)


def _studio(spec: ProviderSpec, tools: Tools) -> Caller:
    env, config = tools.env, spec.config
    key = secret(spec, env, *KEYS)
    if not key:
        raise no_key(spec, *KEYS)
    host = first(config.get("apiHost"), env.get("GOOGLE_API_HOST") or env.get("PALM_API_HOST") or None)
    address = first(
        config.get("apiBaseUrl"), env.get("GOOGLE_API_BASE_URL") or None,
        f"https://{host or 'generativelanguage.googleapis.com'}",
    )  # fmt: skip
    target = target_for(
        spec, tools, str(address), headers=[("x-goog-api-key", key)], envars=KEYS,
        api_version=str(config.get("apiVersion") or ""),
    )  # fmt: skip
    return Caller(spec=spec, tools=tools, target=target)


def _vertex(spec: ProviderSpec, tools: Tools) -> Caller:
    env, config = tools.env, spec.config
    region = str(
        first(
            config.get("region"),
            env.get("VERTEX_REGION") or env.get("GOOGLE_CLOUD_LOCATION") or None,
            "global",
        )
    )
    host = first(config.get("apiHost"), env.get("VERTEX_API_HOST") or None)
    plain = "aiplatform.googleapis.com"
    address = str(
        first(
            config.get("apiBaseUrl"),
            f"https://{host or (plain if region == 'global' else f'{region}-{plain}')}",
        )
    )
    token = next((env[name] for name in TOKENS if env.get(name)), str(config.get("accessToken") or ""))
    project = first(
        config.get("projectId"), env.get("VERTEX_PROJECT_ID") or env.get("GOOGLE_PROJECT_ID") or env.get("GOOGLE_CLOUD_PROJECT") or None
    )  # fmt: skip
    if not token:
        advice = (
            f"set {TOKENS[0]}=$(gcloud auth print-access-token); application default credentials are not read here, and an API "
            "key belongs to google:<model>"
        )
        raise wrong(spec, "", "without an access token", f"expected one in {TOKENS[0]}", advice)
    if not project:
        raise wrong(
            spec,
            "config.projectId",
            "missing",
            "expected a project of Google Cloud",
            "or set GOOGLE_CLOUD_PROJECT",
        )
    target = target_for(
        spec, tools, address, headers=[("authorization", f"Bearer {token}")], envars=TOKENS, project=str(project),
        location=region, api_version=str(config.get("apiVersion") or ""),
    )  # fmt: skip
    return Caller(spec=spec, tools=tools, target=target)
