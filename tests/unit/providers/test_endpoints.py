"""Which provider takes which API, and where."""

from __future__ import annotations

import pytest

from promptship.adapters.providers.endpoints import Endpoints
from promptship.routing.api import Api
from promptship.settings import ProviderSettings

ENV = {"KEY": "k", "AWS_REGION": "eu-1", "AWS_BEARER_TOKEN_BEDROCK": "k"}


def endpoints(kind: str, **more: str) -> Endpoints:
    given = {"kind": kind, "base_url": "https://h.example/v1", "api_key_env": "KEY", **more}
    return Endpoints({"p": ProviderSettings.model_validate(given)}, {}, ENV)


@pytest.mark.parametrize(
    ("kind", "api", "path"),
    [
        ("openai", "chat", "/v1/chat/completions"),
        ("openai", "responses", "/v1/responses"),
        ("openai", "messages", "/v1/messages"),
        ("openai", "embeddings", "/v1/embeddings"),
        ("azure", "chat", "/v1/openai/deployments/m%2F1/chat/completions?api-version=2026-01-01"),
        ("azure", "embeddings", "/v1/openai/deployments/m%2F1/embeddings?api-version=2026-01-01"),
        ("azure", "responses", "/v1/openai/v1/responses?api-version=2026-01-01"),
        ("anthropic", "messages", "/v1/v1/messages"),
    ],
)
def test_calls_that_pass_as_they_are(kind: str, api: Api, path: str) -> None:
    more = {"api_version": "2026-01-01"} if kind == "azure" else {}
    endpoint = endpoints(kind, **more).of("m/1", api)
    assert endpoint.url is not None
    assert endpoint.url.raw_path_qs == path
    assert endpoint.headers["accept-encoding"] == "identity"
    assert "k" in str(list(endpoint.headers.values()))
    assert "'k'" not in repr(endpoint)


@pytest.mark.parametrize(
    ("kind", "api"),
    [
        ("azure", "messages"),
        ("anthropic", "chat"),
        ("anthropic", "responses"),
        ("anthropic", "embeddings"),
        ("gemini", "chat"),
        ("gemini", "responses"),
        ("gemini", "messages"),
        ("gemini", "embeddings"),
        ("bedrock", "chat"),
    ],
)
def test_what_a_provider_does_not_offer_has_no_address(kind: str, api: Api) -> None:
    endpoint = endpoints(kind).of("m", api)
    assert endpoint.url is None
    assert (endpoint.chat is None) == (kind != "azure")
    assert endpoint.spoken.kind == kind


@pytest.mark.parametrize(
    ("base", "kind", "is_newer"),
    [
        ("https://api.openai.com/v1", "openai", True),
        ("https://eu.api.openai.com/v1", "openai", True),
        ("https://notopenai.com/v1", "openai", False),
        ("http://127.0.0.1:8000/v1", "openai", False),
        ("https://x.example", "azure", True),
    ],
)
def test_only_openai_itself_is_told_the_limit_by_its_newer_name(base: str, kind: str, is_newer: bool) -> None:
    given = {"kind": kind, "base_url": base, "api_key_env": "KEY"}
    known = Endpoints({"p": ProviderSettings.model_validate(given)}, {}, ENV)
    assert known.of("m", "messages").limits_completions is is_newer


def test_models_that_clients_name_do_not_pile_up() -> None:
    known = endpoints("openai")
    for number in range(2500):
        known.of(f"m{number}", "embeddings")
    assert len(known._known) <= 1000
    assert len(known._targets._known) <= 1000
