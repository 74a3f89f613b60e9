"""Lists of models of every kind of provider, as their vendors document them, over a loopback server."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from promptship.adapters.providers.catalogue import HttpCatalogue
from promptship.errors import ConfigError, Refused, Unavailable
from promptship.ports.catalogue import Listed, ListedModel, Unlisted
from promptship.settings import ProviderSettings
from tests.support.loopback import Asked, Behaviour, Loopback, raw, says
from tests.support.provider_stubs import bad, ok

ENV = {"KEY": "sk-test-0123456789", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
JUNE = date(2027, 6, 1)
OPENAI = {
    "object": "list",
    "data": [
        {
            "id": "gpt-x",
            "object": "model",
            "created": 1686935002,
            "owned_by": "o",
            "shutdown_date": "2027-06-01",
        },
        {"id": "gpt-y", "object": "model", "created": 1686935002, "owned_by": "o", "shutdown_date": None},
    ],
}
BARE: dict[str, Any] = {
    "mistral": {"data": [{"id": "m-1", "created": 1, "deprecation": "2027-06-01T12:00:00Z"}]},
    "openrouter": {"data": [{"id": "v/m-1", "expiration_date": "2027-06-01"}]},
    "together": [{"id": "m-1", "created": 0}],
    "odd dates": {"data": [{"id": "m-1", "created": "soon", "shutdown_date": "never"}]},
}
AZURE = {
    "data": [{"id": "gpt-4o-2024-08-06", "created_at": 1700000000, "deprecation": {"inference": 1811808000}}]
}
BEDROCK = {
    "modelSummaries": [
        {"modelId": "anthropic.claude-a-v1:0", "modelLifecycle": {"status": "ACTIVE"}},
        {
            "modelId": "meta.llama-b",
            "modelLifecycle": {"status": "LEGACY", "endOfLifeTime": "2027-06-01T00:00:00Z"},
        },
    ]
}


async def _listing(behaviour: Behaviour, **settings: Any) -> tuple[Listed | Unlisted, list[Asked]]:
    async with Loopback(behaviour) as server:
        made = ProviderSettings(**{"base_url": server.url, "api_key_env": "KEY", **settings})
        catalogue = HttpCatalogue({"p": made}, ENV)
        try:
            return await catalogue.listing("p"), server.asked
        finally:
            await catalogue.aclose()


def listing(behaviour: Behaviour, **settings: Any) -> tuple[Any, list[Asked]]:
    return asyncio.run(_listing(behaviour, **settings))


def pages(parts: dict[str, Any], key: str) -> Behaviour:
    async def behave(asked: Asked, writer: Any) -> None:
        after = parse_qs(urlsplit(asked.path).query).get(key, [""])[0]
        await ok(parts[after])(asked, writer)

    return behave


def names(found: Any) -> list[str]:
    return [model.name for model in found.models]


def test_openai_says_when_a_model_is_shut_down() -> None:
    found, asked = listing(ok(OPENAI))
    created = datetime(2023, 6, 16, 17, 3, 22, tzinfo=UTC)
    assert found == Listed(
        provider="p",
        models=(
            ListedModel(name="gpt-x", created=created, shuts_down_on=JUNE),
            ListedModel(name="gpt-y", created=created),
        ),
    )
    assert (asked[0].method, asked[0].path, asked[0].body) == ("GET", "/models", b"")
    assert asked[0].headers["authorization"] == f"Bearer {ENV['KEY']}"


@pytest.mark.parametrize(
    ("vendor", "on"), [("mistral", JUNE), ("openrouter", JUNE), ("together", None), ("odd dates", None)]
)
def test_who_speaks_openais_words_has_habits_of_his_own(vendor: str, on: date | None) -> None:
    found, _ = listing(ok(BARE[vendor]))
    assert [model.shuts_down_on for model in found.models] == [on]


def test_anthropic_lists_in_pages() -> None:
    parts = {
        "": {
            "data": [{"id": "claude-b", "created_at": "2026-02-19T00:00:00Z"}],
            "has_more": True,
            "last_id": "claude-b",
        },
        "claude-b": {"data": [{"id": "claude-a"}], "has_more": False, "last_id": "claude-a"},
    }
    found, asked = listing(pages(parts, "after_id"), kind="anthropic")
    assert names(found) == ["claude-b", "claude-a"]
    assert "anthropic-version" in asked[0].headers


def test_gemini_lists_in_pages_what_generates() -> None:
    parts = {
        "": {
            "models": [{"name": "models/gemini-a", "supportedGenerationMethods": ["generateContent"]}],
            "nextPageToken": "t",
        },
        "t": {"models": [{"name": "models/embedding-a", "supportedGenerationMethods": ["embedContent"]}]},
    }
    found, asked = listing(pages(parts, "pageToken"), kind="gemini")
    assert names(found) == ["gemini-a"]
    assert asked[0].path.startswith("/v1beta/models?")


def test_azure_says_when_inference_ends() -> None:
    found, asked = listing(ok(AZURE), kind="azure")
    assert found.models[0].shuts_down_on == JUNE
    assert asked[0].path.startswith("/openai/models?api-version=")


def test_bedrock_is_signed_and_says_when_life_ends() -> None:
    found, asked = listing(ok(BEDROCK), kind="bedrock", region="eu-central-1", api_key_env="")
    assert [model.shuts_down_on for model in found.models] == [None, JUNE]
    assert asked[0].path == "/foundation-models"
    assert asked[0].headers["authorization"].startswith("AWS4-HMAC-SHA256")


def test_who_has_no_list_says_so() -> None:
    for status in ("404 Not Found", "405 Method Not Allowed", "501 Not Implemented"):
        found, _ = listing(bad(status, {}))
        assert isinstance(found, Unlisted)
    found, asked = listing(ok(OPENAI), kind="gemini", project="x")
    assert isinstance(found, Unlisted)
    assert not asked


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (bad("401 Unauthorized", {}), Refused),
        (bad("500 Internal Server Error", {}), Unavailable),
        (bad("400 Bad Request", {}), ConfigError),
        (ok({"data": [{"name": "no id"}]}), Unavailable),
        (ok({"models": 1}), Unavailable),
        (says(raw("200 OK", b"<html>")), Unavailable),
    ],
)
def test_what_is_no_list_is_an_error(behaviour: Behaviour, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        listing(behaviour)
    assert ENV["KEY"] not in str(caught.value)


def test_a_provider_that_nobody_configured() -> None:
    unknown: Callable[[], Any] = lambda: asyncio.run(HttpCatalogue({}, ENV).listing("p"))  # noqa: E731
    with pytest.raises(ConfigError):
        unknown()
