"""From ids to providers: every family, small providers, and ids that are none."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from promptship.adapters.providers.wire import Wire
from promptship.errors import ConfigError
from promptship.evals.promptfoo.model import Effect, ProviderSpec
from promptship.evals.promptfoo.providers import make_provider, provider_notes
from promptship.evals.promptfoo.providers.families import FAMILIES
from promptship.evals.promptfoo.providers.prompts import messages_of
from tests.support.loopback import hangs
from tests.support.promptfoo_providers import bench
from tests.support.provider_stubs import CALL, OPENAI, ok


@pytest.mark.parametrize("prefix", sorted(FAMILIES))
async def test_every_family_asks_its_address_with_its_key(prefix: str) -> None:
    family = FAMILIES[prefix]
    env = dict.fromkeys(family.keys[:1], "fam-key")
    async with bench(ok(OPENAI), env=env) as one:
        provider = one.make(f"{prefix}:some/model", apiBaseUrl=f"{one.server.url}/v1")
        assert (await one.ask(provider)).text == "hello"
        (asked,) = one.server.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.json["model"] == "some/model"
    assert asked.headers.get("authorization") == ("Bearer fam-key" if family.keys else None)
    assert family.url.startswith("http") or family.url_envs


@pytest.mark.parametrize(
    ("id_", "why"),
    [
        ("opnai:gpt-4.1", "did you mean openai"), ("antropic:x", "did you mean anthropic"), ("no-such-thing", "known: "),
        ("gpt-4.1", "known: "), ("promptfoo:redteam:crescendo", "promptfoo's servers"), ("browser", "drives a browser"),
        ("wss://h/x", "keeps a socket open"), ("cohere:command-r", "openai:chat:<model> with apiBaseUrl"),
        ("github:openai/gpt-4o", "retired on 30 July 2026"), ("openai:realtime:x", "sound and pictures"),
        ("openai:embedding:x", "answers no prompt"), ("openai:codex-sdk", "wrap yours"), ("elevenlabs:tts", "sound and pictures"),
        ("azure:embedding:x", "azure:chat:"), ("google:live:x", "answers in text"), ("bedrock:kb:x", "Converse"),
        ("groq:", "expected groq:<model>"), ("ollama:embeddings:x", "answers no prompt"), ("anthropic:claude-code", "anthropic:messages"),
        ("litellm:x", r"pip install 'promptship\[litellm\]'"), ("sequence", "config.provider and config.inputs"),
        ("webhook:nonsense", "an http or https address"), ("file://x.go", "a file that is there"),
    ],
)  # fmt: skip
async def test_ids_that_cannot_be_run_say_what_to_do(id_: str, why: str) -> None:
    async with bench(hangs) as one:
        with pytest.raises(ConfigError, match=why) as caught:
            one.make(id_)
    assert id_ in str(caught.value)


async def test_make_provider_by_itself() -> None:
    wire = Wire()
    provider = make_provider(ProviderSpec(id=" echo ", label="mine", base=Path()), env={}, wire=wire)
    assert (provider.id, provider.label) == ("echo", "mine")
    await wire.aclose()


async def test_echo_says_the_prompt_and_sequence_asks_in_turn() -> None:
    async with bench(hangs) as one:
        answer = await one.ask(one.make("echo"), "Say hi")
        assert (answer.text, answer.cost_usd, one.asking.endpoints) == ("Say hi", 0.0, [])
        inputs = ["1 {{prompt}}", "2 {{x}}"]
        sequence = one.make("sequence", provider="echo", inputs=inputs, separator="##")
        assert (await one.ask(sequence, "a", vars={"x": "b"})).text == "1 a##2 b"


@pytest.mark.parametrize(
    ("prompt", "messages"),
    [
        ("Say hi", [{"role": "user", "content": "Say hi"}]),
        ('[{"role": "system", "content": "s"}]', [{"role": "system", "content": "s"}]),
        ("- role: system\n  content: s\n- role: user\n  content: u", [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]),
        ("[broken", [{"role": "user", "content": "[broken"}]),
        ("[1, 2]", [{"role": "user", "content": "[1, 2]"}]),
        ('{"a": 1}', [{"role": "user", "content": '{"a": 1}'}]),
        ("[]", [{"role": "user", "content": "[]"}]),
    ],
)  # fmt: skip
def test_prompts_as_messages(prompt: str, messages: list[dict[str, Any]]) -> None:
    assert messages_of(prompt) == messages


@pytest.mark.parametrize("prompt", ["- role: [", "- role: user\n  content: x\n- just text"])
def test_a_prompt_that_begins_like_yaml_and_is_none(prompt: str) -> None:
    with pytest.raises(ConfigError, match="YAML messages"):
        messages_of(prompt)


REFUSED = {"role": "assistant", "content": None, "refusal": "I will not"}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}


@pytest.mark.parametrize(
    ("message", "config", "text", "value"),
    [
        ({"content": None, "tool_calls": [CALL]}, {}, None, [CALL]),
        (
            {"content": "hi", "tool_calls": [CALL]},
            {},
            "hi",
            {"role": "assistant", "content": "hi", "tool_calls": [CALL]},
        ),
        (
            {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {},
            None,
            {"name": "f", "arguments": "{}"},
        ),
        ({"content": "done", "reasoning_content": "hm"}, {}, "Thinking: hm\n\ndone", None),
        ({"content": "done", "reasoning": "hm"}, {"showThinking": False}, "done", None),
        ({"content": '{"a": 1}'}, {"response_format": {"type": "json_object"}}, '{"a": 1}', None),
        ({"content": '{"a": 1}'}, {"response_format": SCHEMA}, '{"a": 1}', {"a": 1}),
        ({"content": "no json"}, {"response_format": SCHEMA}, "no json", None),
        (REFUSED, {}, "I will not", None),
    ],
)
async def test_outputs_of_chats(
    message: dict[str, Any], config: dict[str, Any], text: str | None, value: Any
) -> None:
    body = {"choices": [{"message": {"role": "assistant", **message}}]}
    async with bench(ok(body)) as one:
        answer = await one.ask(one.make("openai:gpt-4.1", apiBaseUrl=one.server.url, **config))
    assert answer.value == value
    assert text is None or answer.text == text
    assert answer.flagged == {"input": False, "output": "refusal" in message}


@pytest.mark.parametrize(
    ("blocks", "config", "text"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], {}, "a\n\nb"),
        ([{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "b"}], {}, "Thinking: hm\nSignature: s\n\nb"),
        ([{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "b"}], {"showThinking": False}, "b"),
        ([{"type": "tool_use", "id": "t", "name": "f", "input": {}}], {}, '{"type":"tool_use","id":"t","name":"f","input":{}}'),
    ],
)  # fmt: skip
async def test_outputs_of_anthropic(blocks: list[Any], config: dict[str, Any], text: str) -> None:
    async with bench(ok({"content": blocks})) as one:
        answer = await one.ask(one.make("anthropic:messages:m", apiBaseUrl=one.server.url, **config))
    assert answer.text == text


async def test_tools_may_stand_in_a_file_and_use_variables(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text("- {type: function, function: {name: g}}\n")
    inline = {"type": "function", "function": {"name": "{{x}}"}}
    async with bench(ok(OPENAI), tmp_path) as one:
        await one.ask(
            one.make("openai:gpt-4.1", apiBaseUrl=one.server.url, tools=[inline, "file://t.yaml"]),
            vars={"x": "f"},
        )
        (asked,) = one.server.asked
        with pytest.raises(ConfigError, match="can be read"):
            await one.ask(one.make("openai:gpt-4.1", apiBaseUrl=one.server.url, tools="file://none.json"))
        filed = one.make("openai:gpt-4.1", tools="file://t.yaml")
    assert [tool["function"]["name"] for tool in asked.json["tools"]] == ["f", "g"]
    assert filed.config["tools"] == [{"type": "function", "function": {"name": "g"}}]  # assertions look there


def test_what_somebody_from_promptfoo_has_to_know() -> None:
    def effects(id_: str, **config: Any) -> list[Effect]:
        return [note.effect for note in provider_notes(ProviderSpec(id=id_, config=config, base=Path()))]

    assert effects("openai:gpt-4.1") == []
    assert effects("openai:gpt-4.1", functionToolCallbacks={"f": "x"}) == [Effect.UNSUPPORTED]
    assert effects("http", url="x") == [Effect.DIFFERS]
    assert effects("http", url="x", validateStatus="true") == []
    assert effects("file://p.js") == ([] if shutil.which("node") else [Effect.DIFFERS])
    assert effects("bedrock:amazon.nova-lite-v1:0") == [Effect.DIFFERS]


SHOWN = {
    "openai:chat:gpt-4.1": ("openai:gpt-4.1", "openai:chat:gpt-4.1"), "openai:gpt-4.1": ("openai:gpt-4.1", "openai:gpt-4.1"),
    "openai:responses:gpt-4.1": ("openai:gpt-4.1", "openai:responses:gpt-4.1"),
    "openai:completion:davinci-002": ("openai:davinci-002", "openai:completion:davinci-002"),
    "anthropic:messages:claude-haiku-4-5": ("anthropic:claude-haiku-4-5", "anthropic:messages:claude-haiku-4-5"),
    "azureopenai:chat:dep": ("azure:dep", "azureopenai:chat:dep"), "palm:gemini-2.5-flash": ("google:gemini-2.5-flash", "palm:gemini-2.5-flash"),
    "ollama:llama3": ("ollama:completion:llama3", "ollama:llama3"), "ollama:chat:llama3": ("ollama:chat:llama3",) * 2,
    "togetherai:chat:m": ("m", "togetherai:chat:m"), "perplexity:sonar": ("sonar", "sonar"), "cerebras:m": ("m", "m"),
    "localai:chat:m": ("localai:m", "localai:chat:m"), "llamaapi:chat:m": ("llamaapi:m",) * 2, "novita:m": ("novita:chat:m", "novita:m"),
    "groq:chat:m": ("groq:chat:m",) * 2, "file://./p.py": ("python:p.py:default", "file://./p.py"),
    "python:p.py:ask": ("python:p.py:ask",) * 2, "ruby:r.rb": ("ruby:r.rb:default", "ruby:r.rb"), "echo": ("echo", "echo"),
}  # fmt: skip
"""The id in promptfoo's results: of a provider that is written as its id alone, and of one with a configuration."""


@pytest.mark.parametrize("id_", SHOWN)
async def test_results_name_a_provider_as_promptfoo_does(id_: str, tmp_path: Path) -> None:
    (tmp_path / "p.py").write_text("")
    (tmp_path / "r.rb").write_text("")
    keys = [key for family in FAMILIES.values() for key in family.keys[:1]]
    env = {**dict.fromkeys(keys, "k"), "AZURE_API_HOST": "x.openai.azure.com"}
    async with bench(hangs, tmp_path, env=env) as one:
        bare = one.providers.make(ProviderSpec(id=id_, bare=True, base=tmp_path))
        configured = one.make(id_)
    assert (bare.id, configured.id) == SHOWN[id_]
