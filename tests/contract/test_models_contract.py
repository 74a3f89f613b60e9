"""What every `Models` promises, and how the one over HTTP keeps it when the other side misbehaves."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from promptship.adapters.memory.models import ScriptedModels
from promptship.adapters.providers import HttpModels
from promptship.adapters.providers.answers import retry_after_s
from promptship.chat import ChatAnswer, ChatRequest
from promptship.errors import ConfigError, Problem, PromptshipError, Refused, Unavailable
from promptship.ports import Models
from promptship.settings import ModelSettings, ProviderSettings
from tests.support.gateway import completion
from tests.support.loopback import Behaviour, Loopback, hangs, raw, resets, says

pytestmark = pytest.mark.slow

ASK = ChatRequest(model="gpt-x", messages=({"role": "user", "content": "hi"},))


@asynccontextmanager
async def http(behaviour: Behaviour, *, timeout_s: float = 5.0) -> AsyncIterator[tuple[HttpModels, Loopback]]:
    async with Loopback(behaviour) as server:
        provider = ProviderSettings(base_url=f"{server.url}/v1/", api_key_env="KEY", timeout=timeout_s)
        models = HttpModels({"main": provider}, {}, {"KEY": "s3cret-key"})
        try:
            yield models, server
        finally:
            await models.aclose()


def scripted(line: str | ChatAnswer | Exception) -> ScriptedModels:
    return ScriptedModels([line])


Make = Callable[[], object]


@pytest.mark.parametrize("kind", ["http", "scripted"])
async def test_an_answer(kind: str) -> None:
    async with http(says(raw("200 OK", completion("hello")))) as (over_http, _):
        models: Models = over_http if kind == "http" else scripted("hello")
        answer = await models.complete(ASK)
    assert (answer.text, answer.finish_reason, answer.tool_calls) == ("hello", "stop", ())
    assert answer.model.startswith("gpt-x")


@pytest.mark.parametrize("kind", ["http", "scripted"])
@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (says(raw("503 Busy")), Unavailable),
        (says(raw("401 No")), Refused),
        (says(raw("400 Bad")), ConfigError),
    ],
)
async def test_each_error_has_its_class(
    kind: str, behaviour: Behaviour, error: type[PromptshipError]
) -> None:
    problem = Problem(file="f", key="k", got="g", expected="e")
    scripted_error = ConfigError([problem]) if error is ConfigError else error("no")
    async with http(behaviour) as (over_http, _):
        models: Models = over_http if kind == "http" else scripted(scripted_error)
        with pytest.raises(error):
            await models.complete(ASK)


async def test_a_script_that_is_over_is_unavailable_and_keeps_what_it_was_asked() -> None:
    models = scripted("once")
    await models.complete(ASK)
    with pytest.raises(Unavailable):
        await models.complete(ASK)
    assert models.requests == [ASK, ASK]


async def test_a_script_may_be_a_function() -> None:
    models = ScriptedModels(lambda request: str(request.messages[0]["content"]).upper())
    assert (await models.complete(ASK)).text == "HI"


async def test_what_is_sent() -> None:
    request = ChatRequest(
        model="gpt-x",
        messages=({"role": "user", "content": "hi"},),
        parameters={"temperature": 0, "model": "another"},
        tools=({"type": "function"},),
        response_format={"type": "json_object"},
    )
    async with http(says(raw("200 OK", completion()))) as (models, server):
        await models.complete(request)
        (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["authorization"] == "Bearer s3cret-key"
    assert asked.json == {
        "model": "gpt-x",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0,
        "tools": [{"type": "function"}],
        "response_format": {"type": "json_object"},
    }


async def test_what_is_read() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    body = completion(choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}])
    async with http(says(raw("200 OK", body))) as (models, _):
        answer = await models.complete(ASK)
    assert (answer.text, answer.tool_calls, answer.finish_reason) == ("", (call,), "tool_calls")
    assert (answer.tokens_in, answer.tokens_out, answer.model) == (7, 3, "gpt-x-1")
    assert answer.latency_ms > 0


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": ""}, ""),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab"),
        ({"content": None, "refusal": "I will not."}, "I will not."),
    ],
)
async def test_the_text_in_its_other_shapes(message: dict[str, object], text: str) -> None:
    async with http(says(raw("200 OK", completion(choices=[{"message": message}])))) as (models, _):
        assert (await models.complete(ASK)).text == text


@pytest.mark.parametrize("reason", ["content_filter", "length", "stop"])
@pytest.mark.parametrize("message", [{"role": "assistant"}, {"role": "assistant", "content": None}])
async def test_an_answer_that_ended_and_says_nothing_is_one(message: dict[str, object], reason: str) -> None:
    body = completion(choices=[{"message": message, "finish_reason": reason}])
    async with http(says(raw("200 OK", body))) as (models, _):
        answer = await models.complete(ASK)
    assert (answer.text, answer.finish_reason, answer.tokens_out) == ("", reason, 3)
    assert answer.flagged == {"input": False, "output": reason == "content_filter"}


@pytest.mark.parametrize(
    "behaviour",
    [
        says(raw("200 OK", b"<html>welcome</html>", "content-type: text/html")),
        says(raw("200 OK")),
        says(raw("200 OK", b"{}")),
        says(raw("200 OK", b'{"choices": []}')),
        says(raw("200 OK", b'{"choices": [{"message": {"content": null}}]}')),
        says(raw("200 OK", b'{"choices": [{"message": {"content": 3}}]}')),
        says(raw("200 OK", b'{"choices": [{"message": {"content": "x", "tool_calls": 3}}]}')),
        says(raw("200 OK", b'{"choices": [{"message": {"content": "x"}}], "usage": 3}')),
        says(raw("200 OK", completion()[:30])),
        says(raw("200 OK", completion()[:30], length=500), close=True),
        says(b"SMTP ready\r\n\r\n", close=True),
        says(raw("302 Found", b"", "location: http://127.0.0.1:1/")),
        says(raw("408 Request Timeout")),
        says(raw("500 Internal Server Error", b"oops")),
        resets,
    ],
)
async def test_an_answer_that_is_none_is_unavailable_and_was_asked_for_once(behaviour: Behaviour) -> None:
    async with http(behaviour) as (models, server):
        with pytest.raises(Unavailable, match="provider main"):
            await models.complete(ASK)
        assert len(server.asked) == 1


async def test_one_deadline_for_the_whole_call() -> None:
    async def drip(_asked: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await asyncio.sleep(0.005)

    for behaviour in (hangs, drip):
        async with http(behaviour, timeout_s=0.3) as (models, _):
            with pytest.raises(Unavailable, match=r"within 0\.3 s"):
                await models.complete(ASK)


async def test_429_tells_when_to_come_back() -> None:
    async with http(says(raw("429 Too Many Requests", b"", "retry-after: 7"))) as (models, _):
        with pytest.raises(Unavailable) as caught:
            await models.complete(ASK)
    assert caught.value.retry_after_s == 7.0


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
async def test_a_refused_key_is_named_but_never_shown(status: str) -> None:
    body = b'{"error": {"message": "bad key"}}'
    async with http(says(raw(status, body))) as (models, _):
        with pytest.raises(Refused, match=r"bad key.*providers\.main\.api_key_env") as caught:
            await models.complete(ASK)
    assert "s3cret-key" not in str(caught.value)
    assert caught.value.model_only == status.startswith("403"), "another model may be allowed"


async def test_a_wrong_request_is_a_config_error_with_the_providers_words() -> None:
    body = b'{"error": {"message": "unknown   model gpt-x"}}'
    async with http(says(raw("404 Not Found", body))) as (models, _):
        with pytest.raises(ConfigError, match=r"answered 404 \(unknown model gpt-x\)"):
            await models.complete(ASK)


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found"])
async def test_a_model_that_the_key_may_not_use_does_not_refuse_the_key(status: str) -> None:
    body = b'{"error": {"message": "no access to model gpt-x", "code": "model_not_found"}}'
    async with http(says(raw(status, body))) as (models, _):
        with pytest.raises(ConfigError, match="no access to model gpt-x"):
            await models.complete(ASK)


async def test_nobody_listens() -> None:
    async with Loopback(hangs) as server:
        closed = server.url
    models = HttpModels({"main": ProviderSettings(base_url=closed)}, {}, {})
    with pytest.raises(Unavailable, match=r"provider main: .*Connect"):
        await models.complete(ASK)
    await models.aclose()


@pytest.mark.parametrize(
    ("providers", "models", "key"),
    [
        ({}, {}, "providers"),
        ({"a": {"base_url": "nonsense"}}, {}, "providers.a.base_url"),
        ({"a": {"base_url": "http:///v1", "api_key_env": ""}}, {}, "providers.a.base_url"),
        ({"a": {"base_url": "http://x/v1", "api_key_env": "NO"}}, {}, "providers.a.api_key_env"),
        ({"a": {"base_url": "http://x/v1"}}, {"gpt-x": {"provider": "b"}}, "models.gpt-x.provider"),
    ],
)
async def test_settings_that_lead_nowhere_name_their_key(
    providers: dict[str, dict[str, str]], models: dict[str, dict[str, str]], key: str
) -> None:
    built = HttpModels(
        {name: ProviderSettings.model_validate(fields) for name, fields in providers.items()},
        {name: ModelSettings.model_validate(fields) for name, fields in models.items()},
        {},
    )
    with pytest.raises(ConfigError) as caught:
        await built.complete(ASK)
    assert [problem.key for problem in caught.value.problems] == [key]


async def test_a_model_goes_to_its_own_provider() -> None:
    async with Loopback(says(raw("200 OK", completion("second")))) as server:
        providers = {
            "first": ProviderSettings(base_url="http://127.0.0.1:1/v1"),
            "second": ProviderSettings(base_url=server.url),
        }
        models = HttpModels(providers, {"gpt-x": ModelSettings(provider="second")}, {})
        assert (await models.complete(ASK)).text == "second"
        await models.aclose()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_it_outlives_its_event_loop() -> None:
    models: list[HttpModels] = []

    async def one_call() -> str:
        async with Loopback(says(raw("200 OK", completion("again")))) as server:
            if not models:
                models.append(HttpModels({"main": ProviderSettings(base_url=server.url)}, {}, {}))
                return (await models[0].complete(ASK)).text
            with pytest.raises(
                Unavailable
            ):  # the first server is gone; the connection of the first loop is not touched
                await models[0].complete(ASK)
            await models[0].aclose()
            return "again"

    assert [asyncio.run(one_call()) for _ in range(2)] == ["again", "again"]
    gc.collect()  # the first loop's connection was left open on purpose: let its warning come here


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("2", 2.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
    ],
)
def test_retry_after_in_its_forms(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, now=datetime(2026, 11, 22, 12, 0, tzinfo=UTC)) == seconds
