"""The official SDKs of OpenAI and Anthropic against a gateway process: whole answers, streams, errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from promptship.prompts.digest import canonical, digest
from promptship.prompts.model import Prompt
from promptship.routing.table import Route, RoutingTable, Version
from promptship.settings import ModelSettings, ProviderSettings
from tests.support.control_plane import ControlPlane
from tests.support.gateway import prompt
from tests.support.gateway_process import Gateway, gateway
from tests.support.loopback import Loopback
from tests.support.provider_answers import every_provider

pytestmark = pytest.mark.system

PROMPTS = (
    prompt("You answer {{ question }}"),
    prompt("You answer {{ question }}", name="claude", model="claude-x"),
    prompt("You answer {{ question }}", name="gemini", model="gemini-x"),
    prompt("You answer {{ question }}", name="azure", model="azure-x"),
    prompt("You answer {{ question }}", name="bedrock", model="bedrock-x"),
)
EVERY = sorted(one.name for one in PROMPTS)
WHY: dict[str, Any] = {"prompt_variables": {"question": "why?"}}


def routes(*prompts: Prompt) -> RoutingTable:
    return RoutingTable(
        revision=1,
        routes={one.name: Route(prompt=one.name, revision=1, stable=digest(one)) for one in prompts},
        versions={
            digest(one): Version(digest=digest(one), commit="c", content=canonical(one)) for one in prompts
        },
    )


@asynccontextmanager
async def serving(root: Path) -> AsyncIterator[tuple[Gateway, Loopback]]:
    """A gateway with three providers that are one loopback server, and that server."""
    async with Loopback(ControlPlane(routes(*PROMPTS))) as control, Loopback(every_provider()) as provider:
        options: dict[str, Any] = {
            "prompt_ids": {"pmpt_1": "support", "pmpt_1@2": f"support@{digest(PROMPTS[0])}"},
            "providers": {
                "anthropic": ProviderSettings(kind="anthropic", base_url=provider.url, api_key_env="KEY"),
                "google": ProviderSettings(kind="gemini", base_url=provider.url, api_key_env="KEY"),
                "azure": ProviderSettings(kind="azure", base_url=provider.url, api_key_env="KEY"),
                "aws": ProviderSettings(
                    kind="bedrock", base_url=provider.url, api_key_env="KEY", region="eu-1"
                ),
            },
            "models": {
                "gpt-x": ModelSettings(price_in=1.0, price_out=10.0),
                "claude-x": ModelSettings(provider="anthropic", price_in=1.0, price_out=10.0),
                "gemini-x": ModelSettings(provider="google"),
                "azure-x": ModelSettings(provider="azure"),
                "bedrock-x": ModelSettings(provider="aws"),
            },
        }
        async with gateway(root, control.url, provider.url, **options) as started:
            await started.serves(1)
            yield started, provider


async def test_openais_sdk(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as (started, provider),
        openai.AsyncOpenAI(base_url=f"{started.address}/v1", api_key="x", max_retries=0) as client,
    ):
        for model in ("prompt:support", "promptship/claude", "prompt:gemini"):
            whole = await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "and?"}], extra_body=WHY
            )
            assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("hello", "stop")
            assert whole.usage is not None
            chunks = [
                chunk
                async for chunk in await client.chat.completions.create(
                    model=model,
                    messages=[],
                    stream=True,
                    stream_options={"include_usage": True},
                    extra_body=WHY,
                )
            ]
            assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == "hello"
            assert chunks[-1].usage is not None
            assert chunks[-1].usage == whole.usage or model == "prompt:support"
        assert {asked.path.partition("?")[0] for asked in provider.asked} == {
            "/v1/chat/completions",
            "/v1/messages",
            "/v1beta/models/gemini-x:generateContent",
            "/v1beta/models/gemini-x:streamGenerateContent",
        }
        embedded = await client.embeddings.create(model="embed-x", input="a", encoding_format="float")
        assert embedded.data[0].embedding == [0.5, -0.25]
        listed = [model.id async for model in client.models.list()]
        assert listed == [f"prompt:{name}" for name in EVERY]
        assert (await client.models.retrieve("prompt:support")).id == "prompt:support"
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(model="prompt:support", messages=[])
        assert (caught.value.param, caught.value.code) == ("question", "invalid_prompt_variables")
        seen = started.lines()
        assert len(seen) == 6  # embeddings have no prompt, and a mistake of the client is not observed
        assert {line["error"] for line in seen} == {False}
        assert all(line["ttft_ms"] is not None for line in seen if line["streamed"])
        assert all(line["tokens_out"] for line in seen)
        assert [line["cost_usd"] is None for line in seen] == [line["model"] == "gemini-x" for line in seen]


async def test_openais_sdk_with_prompt_objects(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as (started, provider),
        openai.AsyncOpenAI(base_url=f"{started.address}/v1", api_key="x", max_retries=0) as client,
    ):
        object_: Any = {"id": "pmpt_1", "version": "2", "variables": {"question": "why?"}}
        whole = await client.responses.create(prompt=object_, input="and?")
        assert whole.output_text == "hello"
        asked = provider.asked[-1]
        assert asked.path == "/v1/responses"
        assert asked.json == {
            "model": "gpt-x",
            "instructions": "You answer why?",
            "input": [{"role": "user", "content": "and?"}],
        }
        async with client.responses.stream(model="x", extra_body={"prompt": object_}, input="and?") as stream:
            texts = [one.delta async for one in stream if one.type == "response.output_text.delta"]
            final = await stream.get_final_response()
        assert ("".join(texts), final.output_text) == ("hello", "hello")
        with pytest.raises(openai.NotFoundError) as unknown:
            await client.responses.create(prompt=object_ | {"version": "3"})
        assert unknown.value.param == "prompt.version"
        with pytest.raises(openai.BadRequestError) as wrong:
            await client.responses.create(
                prompt={"id": "support", "variables": {"question": "?", "mood": "x"}}
            )
        assert wrong.value.param == "mood"
        seen = started.lines()
        assert [(line["tokens_in"], line["tokens_out"], line["refusal"]) for line in seen] == [
            (9, 2, False)
        ] * 2
        assert {line["version"] for line in seen} == {digest(PROMPTS[0])}


async def test_anthropics_sdk(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as (started, provider),
        anthropic.AsyncAnthropic(base_url=started.address, api_key="x", max_retries=0) as client,
    ):
        turns: Any = [{"role": "user", "content": "and?"}]
        whole = await client.messages.create(
            model="promptship/claude", max_tokens=50, system="Be brief.", messages=turns, extra_body=WHY
        )
        assert [block.text for block in whole.content if block.type == "text"] == ["hello"]
        asked = provider.asked[-1]
        assert asked.headers["x-api-key"] == "upstream-key"
        assert asked.json == {
            "model": "claude-x",
            "max_tokens": 50,
            "system": [{"type": "text", "text": "You answer why?"}, {"type": "text", "text": "Be brief."}],
            "messages": turns,
        }
        async with client.messages.stream(
            model="promptship/claude", max_tokens=50, messages=turns, extra_body=WHY
        ) as stream:
            assert "".join([text async for text in stream.text_stream]) == "hello"
            assert (await stream.get_final_message()).usage.output_tokens == 3
        assert [model.id async for model in client.models.list()] == [f"prompt:{name}" for name in EVERY]
        with pytest.raises(anthropic.BadRequestError) as wrong:
            await client.messages.create(model="promptship/claude", max_tokens=50, messages=turns)
        assert "question" in str(wrong.value)
        assert wrong.value.body == {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "prompt claude: variable question is missing",
                "param": "question",
                "code": "invalid_prompt_variables",
            },
        }
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.create(model="promptship/nobody", max_tokens=50, messages=turns)
        seen = started.lines()
        assert [(line["tokens_in"], line["tokens_out"]) for line in seen] == [(8, 3)] * 2
        assert [line["ttft_ms"] is None for line in seen] == [True, False]
        assert {line["cost_usd"] for line in seen} == {(8 * 1.0 + 3 * 10.0) / 1_000_000}


TOOL: Any = {
    "type": "function",
    "name": "find",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}


async def test_prompt_objects_of_openais_sdk_against_every_provider(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as (started, _),
        openai.AsyncOpenAI(base_url=f"{started.address}/v1", api_key="x", max_retries=0) as client,
    ):
        for name in EVERY:
            object_: Any = {"id": name, "variables": {"question": "why?"}}
            whole = await client.responses.create(prompt=object_, input="and?", tools=[TOOL])
            assert (whole.output_text, whole.status) == ("hello", "completed")
            assert whole.usage is not None or name == "azure"
            async with client.responses.stream(
                model="x", extra_body={"prompt": object_}, input="and?"
            ) as stream:
                texts = [one.delta async for one in stream if one.type == "response.output_text.delta"]
                final = await stream.get_final_response()
            assert ("".join(texts), final.output_text) == ("hello", "hello")
            assert final.usage is not None
            if name in {"support", "azure"}:
                continue  # they offer responses themselves and say no to what they do not know
            for fields, field in (
                ({"previous_response_id": "resp_1"}, "previous_response_id"),
                ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
                ({"reasoning": {"effort": "low"}}, "reasoning.effort"),
            ):
                with pytest.raises(openai.BadRequestError) as wrong:
                    await client.responses.create(prompt=object_, extra_body=fields)
                assert (wrong.value.param, wrong.value.code) == (field, "unsupported_by_provider")
        served = [line for line in started.lines() if line["status"] == 200]
        assert len(served) == 2 * len(EVERY)
        assert all(line["tokens_in"] and line["tokens_out"] for line in served)
        assert all(line["ttft_ms"] is not None for line in served if line["streamed"])


async def test_anthropics_sdk_against_every_provider(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as (started, _),
        anthropic.AsyncAnthropic(base_url=started.address, api_key="x", max_retries=0) as client,
    ):
        turns: Any = [{"role": "user", "content": "and?"}]
        for name in EVERY:
            asked: Any = {
                "model": f"promptship/{name}",
                "max_tokens": 50,
                "messages": turns,
                "extra_body": WHY,
            }
            whole = await client.messages.create(**asked)
            assert [block.text for block in whole.content if block.type == "text"] == ["hello"]
            assert whole.stop_reason == "end_turn"
            async with client.messages.stream(**asked) as stream:
                assert "".join([text async for text in stream.text_stream]) == "hello"
                final = await stream.get_final_message()
            assert (final.stop_reason, final.usage.output_tokens > 0) == ("end_turn", True)
            assert final.usage.input_tokens > 0
            if name in {"claude", "support"}:
                continue
            with pytest.raises(anthropic.BadRequestError) as wrong:
                await client.messages.create(**asked, thinking={"type": "enabled", "budget_tokens": 1024})
            error: Any = wrong.value.body
            assert (error["type"], error["error"]["param"]) == ("error", "thinking")
        served = [line for line in started.lines() if line["status"] == 200]
        assert len(served) == 2 * len(EVERY)
        assert all(line["tokens_in"] and line["tokens_out"] for line in served)
        assert all(line["ttft_ms"] is not None for line in served if line["streamed"])
