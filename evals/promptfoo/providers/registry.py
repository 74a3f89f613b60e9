"""From a provider's id to the provider: one table of prefixes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from promptship.adapters.providers.prices import Prices
from promptship.adapters.providers.wire import Wire
from promptship.errors import ConfigError
from promptship.evals.promptfoo.calling import split_function
from promptship.evals.promptfoo.model import Effect, Note, Provider, ProviderSpec
from promptship.evals.promptfoo.nunjucks import Nunjucks
from promptship.evals.promptfoo.providers.anthropic import make_anthropic
from promptship.evals.promptfoo.providers.base import Tools, wrong
from promptship.evals.promptfoo.providers.bedrock import make_bedrock
from promptship.evals.promptfoo.providers.families import (
    ALIASES,
    FAMILIES,
    address_of,
    family_of,
    make_azure,
    make_family,
    make_openai,
)
from promptship.evals.promptfoo.providers.google import make_google
from promptship.evals.promptfoo.providers.hosting import Hosts
from promptship.evals.promptfoo.providers.http import make_http
from promptship.evals.promptfoo.providers.others import (
    SequenceProvider,
    make_echo,
    make_litellm,
    make_llama,
    make_ollama,
    make_webhook,
)
from promptship.evals.promptfoo.providers.own import JAVASCRIPT, PYTHON, RUBY, make_exec, make_file

Make = Callable[[ProviderSpec, Tools], Provider]
_MADE: Final[Mapping[str, Make]] = {
    "anthropic": make_anthropic,
    "azure": make_azure,
    "azureopenai": make_azure,
    "bedrock": make_bedrock,
    "echo": make_echo,
    "exec": make_exec,
    "google": make_google,
    "http": make_http,
    "https": make_http,
    "llama": make_llama,
    "ollama": make_ollama,
    "openai": make_openai,
    "palm": make_google,
    "vertex": make_google,
    "webhook": make_webhook,
}
_FILES: Final = ("python", "ruby", "golang", "file")
_OPENAI_LIKE: Final = (
    "ask it as openai:chat:<model> with apiBaseUrl and apiKeyEnvar, if it has an OpenAI-compatible address"
)
_WRAP: Final = "wrap it in file://provider.py"
_ELSEWHERE: Final[Mapping[str, str]] = {
    **dict.fromkeys(("promptfoo", "agentic"), "it runs on promptfoo's servers: remote generation and its graders have no place here"),
    **dict.fromkeys(("browser",), "it drives a browser: " + _WRAP),
    **dict.fromkeys(("websocket", "ws", "wss"), "it keeps a socket open: " + _WRAP),
    **dict.fromkeys(("elevenlabs", "fal", "quiverai", "modelslab", "luma"), "sound and pictures cannot be run here"),
    **dict.fromkeys(
        ("a2a", "mcp", "n8n", "openclaw", "opencode", "openinterpreter", "slack", "bedrock-agent", "package", "transformers",
         "transformers.js", "claude-agent-sdk", "simulated-user"), _WRAP,
    ),
    **dict.fromkeys(
        ("bam", "cloudera", "cloudflare-ai", "cloudflare-gateway", "cohere", "databricks", "f5", "helicone", "hf", "huggingface",
         "jfrog", "meta", "mlflow-gateway", "portkey", "qwak", "replicate", "sagemaker", "snowflake", "vercel", "voyage", "watsonx"),
        _OPENAI_LIKE,
    ),
    "github": "GitHub Models was retired on 30 July 2026: choose another provider",
}  # fmt: skip
"""Prefixes of promptfoo's that cannot be run here, and what to do."""


class Providers:
    """Makes the providers of one run, and ends what they started.

    Args:
        env: environment of the process, with the configuration's `env` over it.
        wire: connections.
        renderer: of templates in configurations.
        prices: the user's own, over the list.
    """

    def __init__(
        self, *, env: Mapping[str, str] | None = None, wire: Wire | None = None, renderer: Nunjucks | None = None,
        prices: Prices | None = None,
    ) -> None:  # fmt: skip
        env = os.environ if env is None else env
        self.tools = Tools(
            wire=wire or Wire(), env=dict(env), renderer=renderer or Nunjucks(env=env, files=Path.cwd()), hosts=Hosts(), prices=prices or Prices()
        )  # fmt: skip
        self._own_wire = wire is None

    def make(self, spec: ProviderSpec) -> Provider:
        """See `make_provider`."""
        return made(spec, self.tools)

    async def aclose(self) -> None:
        """End the processes of providers, and close connections unless they were given."""
        await self.tools.hosts.aclose()
        if self._own_wire:
            await self.tools.wire.aclose()


def make_provider(
    spec: ProviderSpec, *, env: Mapping[str, str], wire: Wire, renderer: Nunjucks | None = None, prices: Prices | None = None
) -> Provider:  # fmt: skip
    """One provider. Use `Providers` for those that start processes, and close it.

    Raises:
        ConfigError: an unknown prefix (with the nearest), one that cannot be run here (with advice), no key, a wrong configuration.
    """
    return Providers(env=env, wire=wire, renderer=renderer, prices=prices).make(spec)


def made(spec: ProviderSpec, tools: Tools) -> Provider:
    """See `make_provider`."""
    tools = tools.of(spec)
    id_ = spec.id.strip()
    spec = spec if id_ == spec.id else replace(spec, id=id_)
    prefix = id_.partition(":")[0]
    if id_ == "sequence":
        return _sequence(spec, tools)
    if prefix in _FILES or _is_file(id_):
        return make_file(spec, tools, _reference(id_))
    if prefix == "litellm" and not (address_of(spec, tools.env, *FAMILIES["litellm"].url_envs)):
        return make_litellm(spec, tools)
    family = family_of(id_)
    if family is not None:
        return make_family(spec, tools, *family)
    if prefix in _ELSEWHERE:
        raise wrong(spec, "", repr(id_), "expected a provider that can be run here", _ELSEWHERE[prefix])
    make = _MADE.get(prefix)
    if make is None:
        raise _unknown(spec, prefix)
    if prefix == "anthropic" and id_.startswith(("anthropic:claude-agent-sdk", "anthropic:claude-code")):
        raise wrong(spec, "", repr(id_), "expected anthropic:messages:<model>", _WRAP)
    return make(spec, tools)


def _unknown(spec: ProviderSpec, prefix: str) -> ConfigError:
    known = sorted({*_MADE, *FAMILIES, *ALIASES, *_FILES, "sequence"})
    near = get_close_matches(prefix, [*known, *_ELSEWHERE], n=1, cutoff=0.6)
    advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    return wrong(spec, "id", repr(spec.id), "expected a provider's id", advice)


def _is_file(id_: str) -> bool:
    name = split_function(id_)[0]
    return (
        "://" not in id_.removeprefix("file://")
        and Path(name).suffix in PYTHON | JAVASCRIPT | RUBY
        and not id_.startswith("exec:")
    )


def _reference(id_: str) -> str:
    for prefix in ("python:", "ruby:", "golang:"):
        if id_.startswith(prefix):
            return id_.removeprefix(prefix)
    return id_


def _sequence(spec: ProviderSpec, tools: Tools) -> Provider:
    """Asks `config.provider`; promptfoo takes the run's own and calls itself without end when that is the sequence."""
    inner = spec.config.get("provider")
    if not inner or not spec.config.get("inputs"):
        raise wrong(
            spec,
            "config",
            "without provider or inputs",
            "expected config.provider and config.inputs",
            "name whom to ask",
        )
    if isinstance(inner, Mapping):
        asked = replace(spec, id=str(inner.get("id") or ""), config=dict(inner.get("config") or {}), label="")
    else:
        asked = replace(spec, id=str(inner), config={}, label="")
    return SequenceProvider(spec=spec, id=spec.id, asked=made(asked, tools), tools=tools)


def provider_notes(spec: ProviderSpec) -> tuple[Note, ...]:
    """What somebody who comes from promptfoo has to know about a provider before the run."""
    where, config = f"providers[{spec.label or spec.id}]", spec.config
    prefix = spec.id.partition(":")[0]
    found: list[Note] = []

    def note(effect: Effect, what: str, advice: str = "") -> None:
        found.append(Note(where=where, effect=effect, what=what, advice=advice))

    if config.get("functionToolCallbacks") or config.get("functionToolCallback"):
        note(Effect.UNSUPPORTED, "functionToolCallbacks are not called: the calls themselves are the output")
    if config.get("mcp"):
        note(Effect.UNSUPPORTED, "mcp servers are not started", "give their tools in `tools`")
    if config.get("stream"):
        note(Effect.IGNORED, "answers are not streamed")
    if prefix in {"http", "https"} and not config.get("validateStatus"):
        note(Effect.DIFFERS, "401, 429 and 5xx are errors, not outputs", "validateStatus decides otherwise")
    if prefix == "bedrock" and not spec.id.startswith("bedrock:converse:"):
        note(Effect.DIFFERS, "every model is asked through Converse")
    if prefix == "litellm":
        note(Effect.DIFFERS, "without apiBaseUrl the litellm library is used, not a proxy on port 4000")
    if (
        _is_file(spec.id)
        and Path(split_function(spec.id)[0]).suffix in JAVASCRIPT
        and shutil.which("node") is None
    ):
        note(
            Effect.DIFFERS,
            "without Node.js on the PATH it runs in an engine that has no network and no npm packages",
        )
    return tuple(found)
