"""Which provider answers for a model, and in which words: address, key, dialect."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar
from urllib.parse import urlsplit

from promptship.adapters.providers.dialects import AZURE_CHAT, CHAT, CONVERSE, GEMINI, MESSAGES, Dialect
from promptship.adapters.providers.dialects.anthropic import VERSION
from promptship.adapters.providers.dialects.bedrock import SERVICE
from promptship.adapters.providers.dialects.call import HttpCall, Target
from promptship.adapters.providers.dialects.sigv4 import Credentials, signed
from promptship.adapters.providers.prices import is_local
from promptship.errors import ConfigError, Problem
from promptship.settings import ModelSettings, ProviderSettings

T = TypeVar("T")
FILE: Final = "promptship.toml"
DIALECTS: Final[Mapping[str, Dialect]] = {
    "openai": CHAT,
    "anthropic": MESSAGES,
    "azure": AZURE_CHAT,
    "gemini": GEMINI,
    "bedrock": CONVERSE,
}
_ADVICE: Final = "check base_url, the model's name and the prompt's parameters"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A target with the words it understands."""

    kind: str
    dialect: Dialect
    target: Target


class ByModel(ABC, Generic[T]):
    """Something made of a model's provider, once. Keys are read then, at start: a key that changes needs a restart."""

    def __init__(
        self,
        providers: Mapping[str, ProviderSettings],
        models: Mapping[str, ModelSettings],
        env: Mapping[str, str],
    ) -> None:
        self._providers = providers
        self._models = models
        self._env = env
        self._known: dict[str, T] = {}

    def of(self, model: str) -> T:
        """What is made of the model's own provider, or of the first configured one.

        Raises:
            ConfigError: no provider at all, an unknown one, one whose key is not in the environment, or one of a kind that
                cannot be used here.
        """
        known = self._known.get(model)
        if known is None:
            name = provider_name(model, self._providers, self._models)
            known = self._known[model] = self._built(name, self._providers[name])
        return known

    def forget(self) -> None:
        """Make everything anew when it is next asked for."""
        self._known.clear()

    @abstractmethod
    def _built(self, name: str, settings: ProviderSettings) -> T:
        """Of one provider. Raises ConfigError."""


class Targets(ByModel[Spoken]):
    """The configured providers, with the words each understands."""

    def _built(self, name: str, settings: ProviderSettings) -> Spoken:
        return Spoken(settings.kind, DIALECTS[settings.kind], target_of(name, settings, self._env))


def provider_name(
    model: str, providers: Mapping[str, ProviderSettings], models: Mapping[str, ModelSettings]
) -> str:
    """Key of the provider that answers for a model. Raises ConfigError: there is none."""
    settings = models.get(model)
    if settings is not None and settings.provider is not None:
        if settings.provider not in providers:
            known = ", ".join(sorted(providers)) or "none is configured"
            raise config_error(
                f"models.{model}.provider", settings.provider, f"one of [providers]: {known}", "name one"
            )
        return settings.provider
    first = next(iter(providers), None)
    if first is None:
        raise config_error(
            "providers", "empty", "at least one provider", f"add one: something must answer for {model}"
        )
    return first


def target_of(name: str, settings: ProviderSettings, env: Mapping[str, str]) -> Target:
    """A provider's target, with its key. Raises ConfigError: the key or the region is missing, the address is none."""
    base = settings.base_url.rstrip("/")
    region = settings.region
    if settings.kind == "bedrock":
        region = region or env.get("AWS_REGION", "") or env.get("AWS_DEFAULT_REGION", "")
        if not region:
            advice = "or set AWS_REGION where this process starts"
            raise config_error(
                f"providers.{name}.region", "missing", "expected the region of Bedrock", advice
            )
    base = base.replace("{region}", region)
    if not is_address(base):
        raise config_error(
            f"providers.{name}.base_url",
            repr(settings.base_url),
            "an http or https address up to /v1" if settings.kind == "openai" else "an http or https address",
            "correct it",
        )
    key = _key(name, settings, env)
    return Target(
        provider=name,
        base_url=base,
        headers=_headers(settings, key),
        sign=_signer(name, settings, env, region) if settings.kind == "bedrock" and not key else None,
        api_version=settings.api_version,
        project=settings.project,
        location=region,
        timeout_s=settings.timeout,
        key=f"providers.{name}",
        refused=_refused(name, settings),
        advice=_ADVICE,
        is_local=is_local(base),
    )


def is_address(text: str) -> bool:
    """Whether it is an http or https address with a host."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def config_error(key: str, got: str, expected: str, advice: str) -> ConfigError:
    """A mistake in promptship.toml."""
    return ConfigError([Problem(file=FILE, key=key, got=got, expected=expected, advice=advice)])


def _key(name: str, settings: ProviderSettings, env: Mapping[str, str]) -> str:
    if not settings.api_key_env:
        return env.get("AWS_BEARER_TOKEN_BEDROCK", "").strip() if settings.kind == "bedrock" else ""
    key = env.get(settings.api_key_env, "").strip()
    if not key:
        raise config_error(
            f"providers.{name}.api_key_env",
            f"{settings.api_key_env}, which is not set",
            "an environment variable that holds the key",
            f"set {settings.api_key_env} where this process starts",
        )
    return key


def _headers(settings: ProviderSettings, key: str) -> tuple[tuple[str, str], ...]:
    version = (("anthropic-version", VERSION),) if settings.kind == "anthropic" else ()
    if not key:
        return version
    if settings.kind == "anthropic":
        return (("x-api-key", key), *version)
    if settings.kind == "azure":
        return (("api-key", key),)
    if settings.kind == "gemini" and not settings.project:
        return (("x-goog-api-key", key),)
    return (("authorization", f"Bearer {key}"),)


def aws_credentials(env: Mapping[str, str]) -> Credentials | None:
    """AWS keys in the environment; None: there are none."""
    key_id, secret = env.get("AWS_ACCESS_KEY_ID", "").strip(), env.get("AWS_SECRET_ACCESS_KEY", "").strip()
    if not (key_id and secret):
        return None
    return Credentials(key_id=key_id, secret=secret, session_token=env.get("AWS_SESSION_TOKEN", "").strip())


def aws_signer(credentials: Credentials, region: str) -> Callable[[HttpCall], HttpCall]:
    """Signs calls of Bedrock, each at the time of its making."""

    def sign(call: HttpCall) -> HttpCall:
        return signed(call, credentials, region=region, service=SERVICE, at=datetime.now(UTC))

    return sign


def _signer(
    name: str, settings: ProviderSettings, env: Mapping[str, str], region: str
) -> Callable[[HttpCall], HttpCall] | None:
    credentials = aws_credentials(env)
    if credentials is None and not is_local(settings.base_url):
        raise config_error(
            f"providers.{name}",
            "without AWS keys",
            "expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
            "set them (and AWS_SESSION_TOKEN), or AWS_BEARER_TOKEN_BEDROCK; profiles, SSO and instance roles are not read",
        )
    return aws_signer(credentials, region) if credentials is not None else None


def _refused(name: str, settings: ProviderSettings) -> str:
    if settings.kind == "bedrock" and not settings.api_key_env:
        return "check the AWS keys in the environment and what they may call"
    return f"check the key in the variable that providers.{name}.api_key_env names"
