"""What every kind of provider promises through `HttpModels`, each against a server that speaks its dialect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from promptship.adapters.memory.models import ScriptedModels
from promptship.adapters.providers import HttpModels
from promptship.chat import ChatRequest, RateLimits
from promptship.errors import ConfigError, Refused, Unavailable
from promptship.ports import Models
from promptship.settings import ModelSettings, ProviderSettings
from tests.support.loopback import Behaviour, Loopback, hangs, raw, resets, says
from tests.support.provider_stubs import ANSWERS, CALL, CALLED, CUT, FILTERED, bad, ok

pytestmark = pytest.mark.slow

KINDS = ("openai", "anthropic", "azure", "gemini", "vertex", "bedrock")
ENV = {"KEY": "s3cret-key", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "s3cret-key"}
TOOL = {
    "type": "function",
    "function": {"name": "look_up", "description": "d", "parameters": {"type": "object"}},
}
ASK = ChatRequest(
    model="m:0",
    messages=(
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    ),
    parameters={"max_tokens": 9, "temperature": 0.5, "stop": "END"},
    tools=(TOOL,),
)


def settings(kind: str, url: str, timeout_s: float = 5.0) -> ProviderSettings:
    more: dict[str, Any] = {
        "vertex": {"kind": "gemini", "project": "p-1"}, "bedrock": {"region": "eu-west-1"}, "openai": {"base_url": f"{url}/v1"}
    }.get(kind, {})  # fmt: skip
    key = {} if kind == "bedrock" else {"api_key_env": "KEY"}
    return ProviderSettings.model_validate(
        {"kind": kind, "base_url": url, "timeout": timeout_s, **key, **more}
    )


@asynccontextmanager
async def over(
    kind: str, behaviour: Behaviour, *, timeout_s: float = 5.0, priced: bool = False
) -> AsyncIterator[tuple[HttpModels, Loopback]]:
    async with Loopback(behaviour) as server:
        models = {"m:0": ModelSettings(price_in=1, price_out=10, price_cached=0.5)} if priced else {}
        made = HttpModels({"main": settings(kind, server.url, timeout_s)}, models, ENV)
        try:
            yield made, server
        finally:
            await made.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_with_its_numbers(kind: str) -> None:
    async with over(kind, ok(ANSWERS[kind]), priced=True) as (models, _):
        answer = await models.complete(ASK)
    assert (answer.text, answer.finish_reason, answer.tool_calls) == ("hello", "stop", ())
    assert (answer.tokens_in, answer.tokens_out, answer.tokens_cached) == (10, 5, 4)
    assert answer.latency_ms > 0
    assert answer.flagged == {"input": False, "output": False}
    assert answer.cost_usd == pytest.approx((6 * 1 + 4 * 0.5 + 5 * 10) / 1e6)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_model_on_this_machine_has_no_list_price(kind: str) -> None:
    for model in ("gpt-4.1-mini", "claude-haiku-4-5", "gemini-2.5-flash", "amazon.nova-lite-v1:0"):
        async with over(kind, ok(ANSWERS[kind])) as (models, _):
            assert (await models.complete(replace(ASK, model=model))).cost_usd is None


@pytest.mark.parametrize("kind", KINDS)
async def test_calls_ends_and_filters_have_the_same_words_everywhere(kind: str) -> None:
    async with over(kind, ok(CALLED[kind])) as (models, server):
        answer = await models.complete(ASK)
        call = answer.tool_calls[0]
        assert (call["type"], call["function"]["name"], answer.finish_reason) == (
            "function",
            "look_up",
            "tool_calls",
        )
        assert call["function"]["arguments"].replace(" ", "") == '{"city":"Ulm"}'
        server.behaviour = ok(CUT[kind])
        answer = await models.complete(ASK)
        assert (answer.text, answer.finish_reason) == ("hel", "length")
        server.behaviour = ok(FILTERED[kind])
        answer = await models.complete(ASK)
        assert (answer.finish_reason, answer.flagged) == ("content_filter", {"input": False, "output": True})


SENT: dict[str, tuple[str, str, dict[str, Any]]] = {
    "openai": ("/v1/chat/completions", "authorization", {
        "max_tokens": 9, "temperature": 0.5, "stop": "END", "model": "m:0", "messages": list(ASK.messages), "tools": [TOOL],
    }),
    "azure": ("/openai/deployments/m:0/chat/completions?api-version=2024-12-01-preview", "api-key", {
        "max_tokens": 9, "temperature": 0.5, "stop": "END", "model": "m:0", "messages": list(ASK.messages), "tools": [TOOL],
    }),
    "anthropic": ("/v1/messages", "x-api-key", {
        "model": "m:0", "max_tokens": 9, "temperature": 0.5, "stop_sequences": ["END"],
        "system": [{"type": "text", "text": "be brief"}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "weather?"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "look_up", "input": {"city": "Ulm"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "rain"}]},
        ],
        "tools": [{"name": "look_up", "description": "d", "input_schema": {"type": "object"}}],
    }),
    "gemini": ("/v1beta/models/m:0:generateContent", "x-goog-api-key", {
        "contents": [
            {"role": "user", "parts": [{"text": "weather?"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "look_up", "args": {"city": "Ulm"}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "look_up", "response": {"result": "rain"}}}]},
        ],
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "generationConfig": {"temperature": 0.5, "maxOutputTokens": 9, "stopSequences": ["END"]},
        "tools": [{"functionDeclarations": [{"name": "look_up", "description": "d", "parametersJsonSchema": {"type": "object"}}]}],
    }),
    "bedrock": ("/model/m:0/converse", "authorization", {
        "messages": [
            {"role": "user", "content": [{"text": "weather?"}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": "c1", "name": "look_up", "input": {"city": "Ulm"}}}]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "rain"}]}}]},
        ],
        "system": [{"text": "be brief"}],
        "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "stopSequences": ["END"]},
        "toolConfig": {"tools": [{"toolSpec": {"name": "look_up", "description": "d", "inputSchema": {"json": {"type": "object"}}}}]},
    }),
}  # fmt: skip
SENT["vertex"] = (
    "/v1/projects/p-1/locations/us-central1/publishers/google/models/m:0:generateContent", "authorization", SENT["gemini"][2]
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_sent(kind: str) -> None:
    async with over(kind, ok(ANSWERS[kind])) as (models, server):
        await models.complete(ASK)
        (asked,) = server.asked
    path, header, body = SENT[kind]
    assert (asked.method, asked.path.replace("%3A", ":")) == ("POST", path)
    assert asked.json == body
    if kind == "bedrock":
        assert asked.headers[header].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
        assert "s3cret-key" not in str(asked.headers)
    else:
        assert asked.headers[header].removeprefix("Bearer ") == "s3cret-key"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "behaviour",
    [
        says(raw("200 OK", b"<html>welcome</html>", "content-type: text/html")),
        says(raw("200 OK")),
        says(raw("200 OK", b"{}")),
        says(raw("200 OK", b"[]")),
        says(raw("200 OK", b"null")),
        says(raw("200 OK", b'{"choices": [], "content": 3, "output": {}, "candidates": []}')),
        says(raw("200 OK", b'{"choices": [{"mess')),
        says(raw("200 OK", b'{"choices"', length=500), close=True),
        says(raw("503 Service Unavailable", b"<html>")),
        says(raw("302 Found", b"", "location: http://127.0.0.1:1/")),
        resets,
    ],
)
async def test_an_answer_that_is_none_is_unavailable(kind: str, behaviour: Behaviour) -> None:
    async with over(kind, behaviour) as (models, server):
        with pytest.raises(Unavailable, match="provider main"):
            await models.complete(ASK)
        assert len(server.asked) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_hang_ends_with_the_deadline(kind: str) -> None:
    async with over(kind, hangs, timeout_s=0.2) as (models, _):
        with pytest.raises(Unavailable, match=r"within 0\.2 s"):
            await models.complete(ASK)


@pytest.mark.parametrize("kind", KINDS)
async def test_401_is_refused_without_the_key_and_400_is_a_config_error(kind: str) -> None:
    said = "bad key" if kind == "bedrock" else "bad key s3cret-key"  # AWS is never sent the secret
    async with over(kind, bad("401 Unauthorized", {"error": {"message": said}})) as (
        models,
        server,
    ):
        with pytest.raises(Refused, match="bad key") as refused:
            await models.complete(ASK)
        assert "s3cret-key" not in str(refused.value)
        server.behaviour = bad("400 Bad Request", {"error": {"message": "no such   parameter"}})
        with pytest.raises(ConfigError, match=r"answered 400 \(no such parameter\)"):
            await models.complete(ASK)
        server.behaviour = bad("429 Too Many", {"error": {"code": "insufficient_quota", "message": "pay"}})
        with pytest.raises(Refused, match="no money"):
            await models.complete(ASK)


@pytest.mark.parametrize(
    ("kind", "status", "body", "headers", "wait_s"),
    [
        ("openai", "429 Too Many", {}, ["retry-after: 7"], 7.0),
        ("azure", "429 Too Many", {}, ["retry-after-ms: 1500", "retry-after: 7"], 1.5),
        ("anthropic", "529 Overloaded", {"error": {"type": "overloaded_error"}}, ["retry-after: 3"], 3.0),
        (
            "gemini",
            "429 Too Many",
            {"error": {"details": [{"@type": "x"}, {"retryDelay": "31.5s"}]}},
            [],
            31.5,
        ),
        ("vertex", "429 Too Many", [{"error": {"message": "slow"}}], [], None),
        ("bedrock", "429 Too Many", {"message": "Too many requests"}, [], None),
    ],
)
async def test_throttling_says_when_to_come_back(
    kind: str, status: str, body: Any, headers: list[str], wait_s: float | None
) -> None:
    async with over(kind, bad(status, body, *headers)) as (models, _):
        with pytest.raises(Unavailable) as caught:
            await models.complete(ASK)
    assert (caught.value.throttled, caught.value.retry_after_s) == (True, wait_s)


@pytest.mark.parametrize(
    ("kind", "headers", "limits"),
    [
        (
            "openai",
            ["x-ratelimit-remaining-requests: 0", "x-ratelimit-remaining-tokens: 90", "x-ratelimit-reset-requests: 1m2s", "x-ratelimit-reset-tokens: 9h"],
            RateLimits(requests_left=0, tokens_left=90, reset_s=62.0),
        ),
        (
            "anthropic",
            ["anthropic-ratelimit-requests-remaining: 3", "anthropic-ratelimit-tokens-remaining: 0", "anthropic-ratelimit-tokens-reset: 2000-01-01T00:00:00Z"],
            RateLimits(requests_left=3, tokens_left=0, reset_s=0.0),
        ),
        ("gemini", [], None),
    ],
)  # fmt: skip
async def test_rate_limits_are_read(kind: str, headers: list[str], limits: RateLimits | None) -> None:
    async with over(kind, ok(ANSWERS[kind], *headers)) as (models, _):
        assert (await models.complete(ASK)).limits == limits


async def test_a_prompt_that_a_filter_stopped_is_an_answer_and_is_flagged() -> None:
    body = {
        "error": {
            "code": "content_filter",
            "message": "filtered",
            "innererror": {"content_filter_result": {}},
        }
    }
    async with over("azure", bad("400 Bad Request", body)) as (models, _):
        answer = await models.complete(ASK)
    assert (answer.finish_reason, answer.flagged) == ("content_filter", {"input": True, "output": False})
    async with over("gemini", ok({"promptFeedback": {"blockReason": "SAFETY"}})) as (models, _):
        answer = await models.complete(ASK)
    assert (answer.text, answer.finish_reason, answer.flagged) == (
        "",
        "content_filter",
        {"input": True, "output": False},
    )


async def test_an_error_inside_of_a_200_is_that_error() -> None:
    async with over("openai", ok({"error": {"code": 429, "message": "slow"}})) as (models, _):
        with pytest.raises(Unavailable, match=r"429 \(slow\)") as caught:
            await models.complete(ASK)
    assert caught.value.throttled


async def test_log_probabilities_fingerprint_and_the_providers_own_cost() -> None:
    choice = {"message": {"content": "a"}, "logprobs": {"content": [{"logprob": -0.5}, {"logprob": -0.25}]}}
    body = {"system_fingerprint": "fp", "choices": [choice], "usage": {"cost": 0.25}}
    async with over("openai", ok(body)) as (models, _):
        answer = await models.complete(ASK)
    assert (answer.logprobs, answer.fingerprint, answer.cost_usd) == ((-0.5, -0.25), "fp", 0.25)


EMBEDDED = {
    "openai": ("/v1/embeddings", {"data": [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0]}], "usage": {"prompt_tokens": 3}}),
    "azure": ("/openai/deployments/m:0/embeddings?api-version=2024-12-01-preview", {"data": [{"embedding": [1, 0]}, {"embedding": [0, 1]}]}),
    "gemini": ("/v1beta/models/m:0:batchEmbedContents", {"embeddings": [{"values": [1, 0]}, {"values": [0, 1]}]}),
    "vertex": ("/v1/projects/p-1/locations/us-central1/publishers/google/models/m:0:predict", {
        "predictions": [{"embeddings": {"values": [1, 0], "statistics": {"token_count": 2}}}, {"embeddings": {"values": [0, 1]}}],
    }),
}  # fmt: skip


@pytest.mark.parametrize("kind", EMBEDDED)
async def test_vectors_are_in_the_order_of_the_texts(kind: str) -> None:
    path, value = EMBEDDED[kind]
    async with over(kind, ok(value)) as (over_http, server):
        models: Models = over_http
        vectors, _ = await models.embed("m:0", ["a", "b"])
        assert [list(vector) for vector in vectors] == [[1.0, 0.0], [0.0, 1.0]]
        assert server.asked[0].path.replace("%3A", ":") == path
        with pytest.raises(Unavailable):
            await models.embed("m:0", ["a"])  # two vectors for one text
        assert await models.embed("m:0", []) == ([], 0)
        assert len(server.asked) == 2


async def test_kinds_without_vectors_or_moderation_say_so() -> None:
    for kind in ("anthropic", "bedrock"):
        async with over(kind, hangs) as (models, _):
            with pytest.raises(ConfigError, match="for embeddings"):
                await models.embed("m:0", ["a"])
    async with over("gemini", hangs) as (models, _):
        with pytest.raises(ConfigError, match="for moderation"):
            await models.moderate("m:0", "asked", "said")


async def test_moderation_gives_flagged_categories_with_scores() -> None:
    result = {
        "categories": {"hate": True, "violence": False},
        "category_scores": {"hate": 0.9, "violence": 0.8},
    }
    async with over("openai", ok({"results": [result]})) as (models, server):
        assert await models.moderate("m:0", "asked", "said") == {"hate": 0.9}
        assert server.asked[0].json == {"model": "m:0", "input": "said"}
        server.behaviour = ok({"results": []})
        with pytest.raises(Unavailable):
            await models.moderate("m:0", "asked", "said")
        server.behaviour = bad("401 No", {})
        with pytest.raises(Refused):
            await models.moderate("m:0", "asked", "said")


async def test_scripted_models_embed_and_moderate() -> None:
    models: Models = ScriptedModels([], vectors={"x": [1.0]}, flags={"bad": {"hate": 1.0}})
    vectors, tokens = await models.embed("m", ["x", "one two", "two one"])
    assert (vectors[0], vectors[1] == vectors[2], tokens) == ([1.0], True, 5)
    assert await models.moderate("m", "q", "bad") == {"hate": 1.0}
    assert await models.moderate("m", "q", "good") == {}


@pytest.mark.parametrize(
    ("given", "env", "key"),
    [
        ({"kind": "bedrock", "region": "eu-west-1"}, {}, "providers.a"),
        ({"kind": "bedrock"}, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, "providers.a.region"),
        ({"kind": "anthropic"}, {}, "providers.a.api_key_env"),
        ({"kind": "gemini", "project": "p"}, {"GEMINI_API_KEY": "k"}, "providers.a.api_key_env"),
        ({"kind": "azure", "base_url": "nonsense"}, {"AZURE_OPENAI_API_KEY": "k"}, "providers.a.base_url"),
    ],
)
async def test_settings_that_lead_nowhere_name_their_key(
    given: dict[str, str], env: dict[str, str], key: str
) -> None:
    models = HttpModels({"a": ProviderSettings.model_validate(given)}, {}, env)
    with pytest.raises(ConfigError) as caught:
        await models.complete(ASK)
    assert [problem.key for problem in caught.value.problems] == [key]


async def test_a_bearer_token_takes_the_place_of_bedrocks_signature() -> None:
    async with Loopback(ok(ANSWERS["bedrock"])) as server:
        env = {"AWS_BEARER_TOKEN_BEDROCK": "token-1", "AWS_REGION": "eu-west-1"}
        given = ProviderSettings.model_validate({"kind": "bedrock", "base_url": server.url})
        models = HttpModels({"a": given}, {}, env)
        await models.complete(ASK)
        await models.aclose()
        assert server.asked[0].headers["authorization"] == "Bearer token-1"


@pytest.mark.parametrize("kind", ["anthropic", "bedrock"])
async def test_a_response_format_that_a_kind_has_no_words_for_is_a_config_error(kind: str) -> None:
    request = ChatRequest(
        model="m:0", messages=({"role": "user", "content": "x"},), response_format={"type": "json_object"}
    )
    async with over(kind, hangs) as (models, server):
        with pytest.raises(ConfigError, match="response_format"):
            await models.complete(request)
        assert server.asked == []
