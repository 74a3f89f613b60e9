"""What all providers of a promptfoo configuration have in common."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import yaml

from promptship.adapters.providers.answers import json_of, read
from promptship.adapters.providers.dialects import Dialect, HttpCall, Target
from promptship.adapters.providers.prices import Price, Prices, is_local
from promptship.adapters.providers.targets import is_address
from promptship.adapters.providers.wire import Wire, WireAnswer
from promptship.chat import ChatAnswer
from promptship.errors import ConfigError, Problem, Unavailable
from promptship.evals.promptfoo.model import CallContext, ProviderSpec
from promptship.evals.promptfoo.nunjucks import Nunjucks, TemplateError
from promptship.evals.promptfoo.providers.hosting import Hosts
from promptship.evals.units import Asking

TIMEOUT_S: Final = 300.0
"""Of one attempt, as promptfoo has it; `REQUEST_TIMEOUT_MS` changes it. `Asking` has a deadline of its own over all attempts."""
_SECRET: Final = (
    "authorization",
    "api-key",
    "apikey",
    "token",
    "secret",
    "cookie",
    "password",
    "signature",
    "x-goog-api-key",
)
Shape = Callable[[ChatAnswer, Any], ChatAnswer]
"""An answer as promptfoo shows it, from the answer and the JSON it came in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What providers work with, for one run."""

    wire: Wire
    env: Mapping[str, str] = field(repr=False)
    """Of the process, with the configuration's `env` over it."""
    renderer: Nunjucks
    hosts: Hosts
    prices: Prices = field(default_factory=Prices)

    def of(self, spec: ProviderSpec) -> Tools:
        """With the provider's own `env` over the environment."""
        own = {name: str(value) for name, value in spec.env.items()}
        return replace(self, env={**self.env, **own}) if own else self

    @property
    def timeout_s(self) -> float:
        """Of one attempt."""
        try:
            return max(0.001, float(self.env["REQUEST_TIMEOUT_MS"]) / 1000)
        except (KeyError, ValueError):
            return TIMEOUT_S


def wrong(spec: ProviderSpec, key: str, got: str, expected: str, advice: str = "") -> ConfigError:
    """A mistake in a provider's configuration."""
    where = f"providers[{spec.label or spec.id}]"
    return ConfigError([
        Problem(
            file=spec.file or str(spec.base), key=f"{where}.{key}" if key else where, got=got, expected=expected, advice=advice,
            line=spec.line,
        )
    ])  # fmt: skip


def merged(spec: ProviderSpec, context: CallContext) -> dict[str, Any]:
    """The provider's configuration with that of the prompt and of the test's options over it."""
    return {**spec.config, **context.prompt_config}


def first(*values: Any) -> Any:
    """The first that is given; None: none is."""
    return next((value for value in values if value is not None), None)


def number(env: Mapping[str, str], name: str) -> float | int | None:
    """A number in the environment; None: not there, or no number."""
    try:
        value = float(env[name])
    except (KeyError, ValueError):
        return None
    return int(value) if value.is_integer() else value


def secret(spec: ProviderSpec, env: Mapping[str, str], *names: str) -> str:
    """The key: `apiKey`, or the variable that `apiKeyEnvar` names, or the first of `names` that is set; empty: none."""
    given = spec.config.get("apiKey")
    if given:
        return str(given).strip()
    envar = spec.config.get("apiKeyEnvar")
    for name in (str(envar), *names) if envar else names:
        if env.get(name, "").strip():
            return env[name].strip()
    return ""


def no_key(spec: ProviderSpec, *names: str) -> ConfigError:
    """The error of a provider whose key is nowhere."""
    listed = " or ".join(names)
    return wrong(
        spec,
        "config.apiKey",
        "not set",
        f"expected a key in {listed}",
        f"set {names[0]}, or name your variable in apiKeyEnvar",
    )


def price_of(config: Mapping[str, Any]) -> Price | None:
    """The user's own price: `inputCost` and `outputCost`, or `cost` for both, in USD per token. None: none is given."""
    both = config.get("cost")
    price_in, price_out = first(config.get("inputCost"), both), first(config.get("outputCost"), both)
    if not (_is_price(price_in) and _is_price(price_out)):
        return None
    return Price(price_in=price_in * 1_000_000, price_out=price_out * 1_000_000, source="the configuration")


def _is_price(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def rendered(value: Any, variables: Mapping[str, Any], renderer: Nunjucks) -> Any:
    """A value with every string in it rendered. Raises ConfigError: a template is wrong."""
    if isinstance(value, str):
        try:
            return renderer.render(value, variables)
        except TemplateError as error:
            problem = Problem("template", value[:60], str(error), "expected a template that can be rendered")
            raise ConfigError([problem]) from None
    if isinstance(value, Mapping):
        return {key: rendered(item, variables, renderer) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rendered(item, variables, renderer) for item in value]
    return copy.copy(value)


def loaded(value: Any, base: Path) -> Any:
    """What `file://x.json` or `file://x.yaml` holds; any other value as it is. Raises ConfigError: no such file, or not that."""
    if not (isinstance(value, str) and value.startswith("file://")):
        return value
    path = (base / value.removeprefix("file://")).resolve()
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            return orjson.loads(text)
        return yaml.safe_load(text) if path.suffix in {".yaml", ".yml"} else text
    except (OSError, ValueError, yaml.YAMLError) as error:
        got = " ".join(str(error).split())[:200]
        raise ConfigError(
            [Problem(str(path), "", got, "expected a JSON or YAML file that can be read")]
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Sends calls of one provider and reads what comes, under the run's limits, cache and budget."""

    spec: ProviderSpec
    tools: Tools
    target: Target
    prices_listed: bool = True

    @property
    def endpoint(self) -> str:
        """Name for limits and fuses."""
        return endpoint_of(self.spec, self.target.base_url)

    async def ask(
        self,
        dialect: Dialect,
        call: HttpCall,
        context: CallContext,
        asking: Asking,
        *,
        shape: Shape,
        model: str = "",
    ) -> ChatAnswer:
        """The answer to a call, as `shape` leaves it. Raises what `Asking.answer` raises."""

        async def once() -> ChatAnswer:
            came = await self.send(call)
            answer = read(
                dialect, self.target, status=came.status, headers=came.headers, body=came.body, latency_ms=came.latency_ms
            )  # fmt: skip
            answer = replace(answer, cost_usd=self._cost(model, answer, context))
            return shape(answer, json_of(came.body))

        return await asking.answer(self.endpoint, once, key=self.key(call, context.trial))

    async def send(self, call: HttpCall) -> WireAnswer:
        """The raw answer. Raises Unavailable with the provider's name."""
        try:
            return await self.tools.wire.send(
                call.method, call.url, headers=call.headers, body=call.body or None, timeout_s=self.target.timeout_s
            )  # fmt: skip
        except Unavailable as error:
            raise Unavailable(f"provider {self.target.provider}: {error}") from None

    def key(self, call: HttpCall, trial: int) -> str:
        """Content address of a call and trial; keys are no part of it."""
        return content_key(self.spec, call, trial)

    def _cost(self, model: str, answer: ChatAnswer, context: CallContext) -> float | None:
        own = price_of(merged(self.spec, context))
        if own is not None:
            return own.cost_usd(answer.tokens_in, answer.tokens_out)
        # promptfoo knows a model by its name wherever it answers: many teams reach OpenAI through a proxy of their own.
        return self.tools.prices.of_answer(model, answer, listed=self.prices_listed)


def endpoint_of(spec: ProviderSpec, address: str) -> str:
    """Name of a provider and its address for limits and fuses; nothing of it is secret."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return f"{spec.label or spec.id} at {host}" if host else spec.label or spec.id


def content_key(spec: ProviderSpec, call: HttpCall, trial: int) -> str:
    """Content address of a call of a provider: everything that is sent except keys, and the trial."""
    headers = [pair for pair in call.headers if not _is_secret(pair[0])]
    return digest_of(spec.id, public_url(call.url), call.method, headers, trial, call.body)


def digest_of(*parts: Any) -> str:
    """SHA-256 over values; bytes as they are."""
    made = hashlib.sha256()
    for part in parts:
        made.update(
            part
            if isinstance(part, bytes)
            else orjson.dumps(part, default=str, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS)
        )
        made.update(b"\0")
    return made.hexdigest()


def public_url(url: str) -> str:
    """An address without the values of its query that look secret."""
    parts = urlsplit(url)
    query = "&".join(
        piece
        for piece in parts.query.split("&")
        if not _is_secret(piece.partition("=")[0]) and piece.partition("=")[0] != "key"
    )
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}?{query}"


def _is_secret(name: str) -> bool:
    lower = name.lower().replace("_", "-")
    return lower.startswith("x-amz-") or any(part in lower for part in _SECRET)


def _advice(spec: ProviderSpec, env: Mapping[str, str], envars: tuple[str, ...]) -> str:
    """Where the key that was refused stands: see `secret`."""
    if spec.config.get("apiKey"):
        return "check the key in its config.apiKey"
    envar = str(spec.config.get("apiKeyEnvar") or "")
    if envar and env.get(envar, "").strip():
        return f"check the key in {envar}"
    return f"check the key in {' or '.join(envars)}" if envars else "check its key"


def target_for(
    spec: ProviderSpec,
    tools: Tools,
    base_url: str,
    *,
    headers: Iterable[tuple[str, str]] = (),
    envars: tuple[str, ...] = (),
    **more: Any,
) -> Target:
    """Where a provider's calls go, with its own headers. Raises ConfigError: the address is none."""
    base = base_url.rstrip("/")
    if not is_address(base):
        raise wrong(
            spec, "config.apiBaseUrl", repr(base_url), "expected an http or https address", "correct it"
        )
    own = spec.config.get("headers") or {}
    named = {name.lower(): (name, value) for name, value in headers}
    named |= {str(name).lower(): (str(name), str(value)) for name, value in own.items() if value is not None}
    where = f"providers[{spec.label or spec.id}]"
    return Target(
        provider=spec.label or spec.id,
        base_url=base,
        headers=tuple(named.values()),
        timeout_s=tools.timeout_s,
        file=spec.file or str(spec.base),
        key=where,
        refused=_advice(spec, tools.env, envars),
        advice="check the address, the model's name and the provider's config",
        is_local=is_local(base),
        **more,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProvider:
    """What providers of one vendor's models have in common."""

    spec: ProviderSpec
    id: str
    model: str
    caller: Caller

    @property
    def label(self) -> str:
        """Label, or id."""
        return self.spec.label or self.id

    @property
    def config(self) -> Mapping[str, Any]:
        """As configured."""
        return self.spec.config

    def settled(self, context: CallContext, *names: str) -> dict[str, Any]:
        """The configuration of a call; templates in the named parts rendered, and files they name read."""
        config = merged(self.spec, context)
        for name in names:
            if config.get(name) is not None:
                made = rendered(config[name], context.vars, self.caller.tools.renderer)
                config[name] = loaded(made, self.spec.base)
        return config
