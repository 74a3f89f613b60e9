"""Graders: whom an assertion names, or whom promptfoo would take by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from promptship.errors import ConfigError, Unavailable
from promptship.evals.promptfoo.graders import PromptfooGraders, chosen_of, default_id, spec_of
from tests.support.loopback import hangs
from tests.support.promptfoo_providers import Bench, bench
from tests.support.provider_stubs import OPENAI, bad, ok

MESSAGES = [{"role": "system", "content": "judge"}, {"role": "user", "content": "this"}]
VECTORS = {"data": [{"index": 0, "embedding": [1, 0]}], "usage": {"prompt_tokens": 3}}
FLAGS = {"results": [{"categories": {"hate": True, "violence": False}, "category_scores": {"hate": 0.9}}]}


def graders(one: Bench, default: Any = None) -> PromptfooGraders:
    return PromptfooGraders(one.providers, one.asking, one.scripts, one.base, default=default)


async def test_the_default_judge_is_openais_at_the_address_of_the_environment() -> None:
    async with bench(ok(OPENAI), env={"OPENAI_BASE_URL": "{url}/v1"}) as one:
        text, spent = await graders(one).say(MESSAGES)
        (asked,) = one.server.asked
    assert (text, spent.tokens, spent.model, spent.fingerprint) == ("hello", 15, "m-1", "fp")
    assert asked.json["messages"] == MESSAGES


@pytest.mark.parametrize(
    ("env", "text", "embedding", "moderation"),
    [
        (
            {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"},
            "openai:chat:",
            "openai:embedding:",
            "openai:moderation:",
        ),
        ({"ANTHROPIC_API_KEY": "k"}, "anthropic:messages:", None, None),
        ({"GEMINI_API_KEY": "k"}, "google:", "google:embedding:", None),
        ({"MISTRAL_API_KEY": "k"}, "mistral:", "mistral:embedding:", None),
        ({"AZURE_API_KEY": "k", "AZURE_DEPLOYMENT_NAME": "dep"}, "azure:chat:dep", None, None),
        ({"AZURE_API_KEY": "k"}, None, None, None),
        ({}, None, None, None),
    ],
)
def test_defaults_follow_the_keys(
    env: dict[str, str], text: str | None, embedding: str | None, moderation: str | None
) -> None:
    for kind, wanted in (("text", text), ("embedding", embedding), ("moderation", moderation)):
        if wanted is None:
            with pytest.raises(ConfigError, match=f"no key for a default {kind} grader"):
                default_id(kind, env)
        else:
            assert default_id(kind, env).startswith(wanted)


@pytest.mark.parametrize(
    ("given", "kind", "chosen"),
    [
        (None, "text", None), ("openai:x", "text", "openai:x"), ({"id": "x"}, "embedding", {"id": "x"}),
        ({"text": "a", "embedding": "b"}, "text", "a"), ({"text": "a", "embedding": "b"}, "embedding", "b"),
        ({"embedding": "b"}, "text", None), ({"text": "a"}, "moderation", None),
    ],
)  # fmt: skip
def test_a_reference_may_differ_by_kind(given: Any, kind: str, chosen: Any) -> None:
    assert chosen_of(given, kind) == chosen


def test_references_as_specs() -> None:
    assert spec_of("echo", Path()).id == "echo"
    full = spec_of({"id": "openai:x", "label": "l", "config": {"a": 1}, "env": {"B": 2}}, Path())
    assert (full.id, full.label, full.config, full.env) == ("openai:x", "l", {"a": 1}, {"B": "2"})
    keyed = spec_of({"openai:x": {"config": {"a": 1}}}, Path())
    assert (keyed.id, keyed.config) == ("openai:x", {"a": 1})
    nonsense: tuple[Any, ...] = (3, {"a": 1, "b": 2}, {"config": {}}, [])
    for wrong in nonsense:
        with pytest.raises(ConfigError, match="a provider's id"):
            spec_of(wrong, Path())


async def test_the_configured_default_stands_between_the_assertions_own_and_promptfoos() -> None:
    async with bench(ok(OPENAI)) as one:
        judge = graders(one, default={"text": "echo"})
        assert (await judge.say(MESSAGES))[0].startswith('[{"role":"system"')
        own = {"id": "openai:gpt-4.1", "config": {"apiBaseUrl": f"{one.server.url}/v1", "temperature": 1}}
        assert (await judge.say(MESSAGES, who=own))[0] == "hello"
        assert one.server.asked[0].json["temperature"] == 1


@pytest.mark.parametrize(
    ("id_", "path", "answer"),
    [
        ("openai:embedding:text-embedding-3-small", "/embeddings", VECTORS),
        ("azure:embedding:dep", "/openai/deployments/dep/embeddings?api-version=2024-12-01-preview", VECTORS),
        ("mistral:embedding:mistral-embed", "/embeddings", VECTORS),
        ("google:embedding:gemini-embedding-001", "/v1beta/models/gemini-embedding-001:batchEmbedContents", {"embeddings": [{"values": [1, 0]}]}),
        ("ollama:embeddings:nomic", "/api/embed", {"embeddings": [[1, 0]], "prompt_eval_count": 3}),
        ("voyage:voyage-3", "/embeddings", VECTORS),
    ],
)  # fmt: skip
async def test_vectors(id_: str, path: str, answer: Any) -> None:
    async with bench(ok(answer), env={"VOYAGE_API_KEY": "k"}) as one:
        who = {"embedding": {"id": id_, "config": {"apiBaseUrl": one.server.url}}}
        vectors, spent = await graders(one).embed(["a"], who=who)
        assert [list(vector) for vector in vectors] == [[1.0, 0.0]]
        assert spent.tokens in {0, 3}
        assert one.server.asked[0].path.replace("%3A", ":") == path
        with pytest.raises(Unavailable):
            await graders(one).embed(["a", "b"], who=who)


async def test_hugging_face_gives_vectors_and_labels() -> None:
    async with bench(ok([[{"label": "good", "score": 0.9}, {"label": "bad", "score": 0.1}]])) as one:
        config = {"apiEndpoint": one.server.url, "apiKey": "k", "top_k": 2}
        labels, _ = await graders(one).classify(
            "x", who={"id": "huggingface:text-classification:m", "config": config}
        )
        assert labels == {"good": 0.9, "bad": 0.1}
        assert one.server.asked[0].json == {"inputs": "x", "parameters": {"top_k": 2}}
        one.server.behaviour = ok([1.0, 0.0])
        vectors, _ = await graders(one).embed(
            ["a"], who={"id": "huggingface:feature-extraction:m", "config": config}
        )
        assert [list(vector) for vector in vectors] == [[1.0, 0.0]]


async def test_moderation_looks_at_the_answer() -> None:
    async with bench(ok(FLAGS), env={"OPENAI_BASE_URL": "{url}/v1"}) as one:
        flags, _ = await graders(one).moderate("asked", "said")
        assert flags == {"hate": 0.9}
        assert one.server.asked[0].json["input"] == [{"type": "text", "text": "said"}]
        one.server.behaviour = bad("503 Busy", {})
        with pytest.raises(Unavailable):
            await graders(one).moderate("asked", "said")


async def test_what_cannot_grade_says_so() -> None:
    async with bench(hangs) as one:
        judge = graders(one)
        with pytest.raises(ConfigError, match="a provider of embeddings"):
            await judge.embed(["a"], who="anthropic:messages:x")
        with pytest.raises(ConfigError, match="openai:moderation"):
            await judge.moderate("a", "b", who="replicate:moderation:x")
        with pytest.raises(ConfigError, match="text-classification"):
            await judge.classify("a", who="echo")
        with pytest.raises(ConfigError, match="no key for a default classification grader"):
            await judge.classify("a")
