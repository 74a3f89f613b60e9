"""What every promptfoo provider over HTTP promises, whatever the other side does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from promptship.adapters.providers.prices import Price, Prices
from promptship.errors import ConfigError, Refused, Unavailable
from tests.support.loopback import Behaviour, hangs, raw, resets, says
from tests.support.promptfoo_providers import Bench, bench
from tests.support.provider_stubs import ANSWERS, OPENAI, bad, ok

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Case:
    id: str
    answer: Any
    path: str = ""
    config: dict[str, Any] = field(default_factory=dict)


RESPONSE = {
    "status": "completed",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "hello"}]}],
}
CASES = {
    "chat": Case("openai:chat:gpt-4.1", OPENAI, "/v1"),
    "plain": Case("openai:gpt-4.1", OPENAI, "/v1"),
    "completion": Case("openai:completion:davinci-002", {"choices": [{"text": "hello"}]}, "/v1"),
    "responses": Case("openai:responses:gpt-4.1", RESPONSE, "/v1"),
    "azure": Case("azure:chat:dep", OPENAI),
    "azure-responses": Case("azure:responses:dep", RESPONSE),
    "anthropic": Case("anthropic:messages:claude-haiku-4-5", ANSWERS["anthropic"]),
    "google": Case("google:gemini-2.5-flash", ANSWERS["gemini"]),
    "vertex": Case("vertex:gemini-2.5-flash", ANSWERS["gemini"], config={"accessToken": "t", "projectId": "p"}),
    "bedrock": Case("bedrock:converse:amazon.nova-lite-v1:0", ANSWERS["bedrock"]),
    "mistral": Case("mistral:mistral-small-latest", OPENAI, "/v1"),
    "groq": Case("groq:llama-3.3-70b-versatile", OPENAI, "/v1"),
    "ollama": Case("ollama:chat:llama3", {"message": {"content": "hello"}, "done": True}),
    "ollama-completion": Case("ollama:completion:llama3", {"response": "hello", "done": True}),
    "llama": Case("llama", {"content": "hello"}),
    "webhook": Case("webhook:{url}/hook", {"output": "hello"}),
    "http": Case("{url}/ask", {"said": "hello"}, config={"method": "POST", "body": {"q": "{{prompt}}"}, "transformResponse": "json.said"}),
}  # fmt: skip
UNPRICED = {"azure", "azure-responses", "completion", "groq", "mistral"}
"""Vendors that the list has no prices of, and a model that is not in it."""
OWN_NAME = set(CASES) - {"webhook", "http"}


def made(one: Bench, name: str, **more: Any) -> Any:
    case = CASES[name]
    url = one.server.url
    address = {"endpoint": url} if name == "bedrock" else {"apiBaseUrl": url + case.path}
    address = address if name in OWN_NAME else {}
    return one.make(case.id.replace("{url}", url), **{**address, **case.config, **more})


@pytest.mark.parametrize("name", CASES)
async def test_an_answer_and_a_key_that_depends_on_what_is_sent_and_on_the_trial(name: str) -> None:
    async with bench(ok(CASES[name].answer)) as one:
        provider = made(one, name)
        answer = await one.ask(provider)
        await one.ask(provider)
        await one.ask(provider, trial=1)
        await one.ask(provider, "Say ho")
        key = (
            {}
            if name == "webhook"
            else {"apiKey": "another-s3cret", "accessKeyId": "x", "secretAccessKey": "y"}
        )
        await one.ask(made(one, name, **key))  # a webhook is sent its configuration
    assert answer.text == "hello"
    first, again, trial, other, other_key = one.asking.keys
    assert first == again == other_key
    assert len({first, trial, other, ""}) == 4
    assert len(set(one.asking.endpoints)) == 1
    assert "s3cret" not in " ".join(one.asking.keys + one.asking.endpoints)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "behaviour",
    [
        says(raw("200 OK", b"<html>hi</html>", "content-type: text/html")),
        says(raw("200 OK", b"{}")),
        says(raw("200 OK", b'{"choices": [{"mess')),
        says(raw("200 OK")),
        says(raw("200 OK", b"{", length=500), close=True),
        says(raw("500 Oops", b"<html>")),
        resets,
    ],
)
async def test_an_answer_that_is_none_is_unavailable(name: str, behaviour: Behaviour) -> None:
    async with bench(behaviour) as one:
        provider = made(one, name)
        # An http provider reads whatever is said: what its expression does not find is the configuration's affair.
        with pytest.raises(Unavailable if name != "http" else (Unavailable, ConfigError)) as caught:
            await one.ask(provider)
    assert provider.label in str(caught.value)


@pytest.mark.parametrize("name", CASES)
async def test_a_hang_ends_with_the_deadline(name: str) -> None:
    async with bench(hangs, env={"REQUEST_TIMEOUT_MS": "150"}) as one:
        with pytest.raises(Unavailable, match=r"within 0\.15 s"):
            await one.ask(made(one, name))


@pytest.mark.parametrize("name", CASES)
async def test_429_and_401_and_400(name: str) -> None:
    async with bench(bad("429 Too Many", {"error": {"message": "slow"}}, "retry-after: 2")) as one:
        provider = made(one, name)
        with pytest.raises(Unavailable) as throttled:
            await one.ask(provider)
        assert (throttled.value.throttled, throttled.value.retry_after_s) == (True, 2.0)
        one.server.behaviour = bad("401 No", {"error": {"message": "who are you"}})
        with pytest.raises(Refused, match="who are you") as refused:
            await one.ask(provider)
        assert "s3cret" not in str(refused.value)
        one.server.behaviour = bad("400 Bad", {"error": {"message": "no such model"}})
        with pytest.raises(ConfigError) as wrong:
            await one.ask(provider)
        assert provider.label in str(wrong.value)


@pytest.mark.parametrize("name", sorted(OWN_NAME - {"llama", "ollama", "ollama-completion"}))
async def test_costs_are_configured_or_those_of_the_list_wherever_the_model_answers(name: str) -> None:
    async with bench(ok({**CASES[name].answer, "usage": _usage(name)})) as one:
        listed = await one.ask(made(one, name))
        assert (listed.cost_usd is None) == (name in UNPRICED)
        known = await one.ask(made(one, name, inputCost=0.001, outputCost=0.01))
        assert known.cost_usd == pytest.approx(
            (known.tokens_in or 0) * 0.001 + (known.tokens_out or 0) * 0.01
        )
        assert (known.tokens_in, known.tokens_out) == (10, 5)


def _usage(name: str) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "responses": {"input_tokens": 10, "output_tokens": 5}, "azure-responses": {"input_tokens": 10, "output_tokens": 5},
        "completion": {"prompt_tokens": 10, "completion_tokens": 5},
    }.get(name) or CASES[name].answer.get("usage", {})  # fmt: skip
    return usage


async def test_own_prices_hold_for_models_of_ones_own() -> None:
    prices = Prices({"llama-3.3-70b-versatile": Price(price_in=1, price_out=1)})
    async with bench(ok(OPENAI), prices=prices) as one:
        assert (await one.ask(made(one, "groq"))).cost_usd == pytest.approx(15e-6)


@pytest.mark.parametrize("name", sorted(OWN_NAME - {"llama", "ollama", "ollama-completion", "bedrock"}))
async def test_without_a_key_nothing_is_sent(name: str) -> None:
    case = CASES[name]
    async with bench(hangs) as one:
        one.providers.tools = type(one.providers.tools)(
            wire=one.providers.tools.wire, env={}, renderer=one.providers.tools.renderer, hosts=one.providers.tools.hosts
        )  # fmt: skip
        with pytest.raises(ConfigError, match=r"expected (a key|one) in"):
            one.make(case.id, apiBaseUrl=one.server.url)


async def test_the_providers_own_environment_lies_over_the_runs() -> None:
    async with bench(ok(OPENAI)) as one:
        provider = one.make(
            "openai:gpt-4.1", env={"OPENAI_API_KEY": "own", "OPENAI_BASE_URL": f"{one.server.url}/v1"}
        )
        await one.ask(provider)
        named = one.make("openai:gpt-4.1", apiKeyEnvar="MISTRAL_API_KEY", apiBaseUrl=f"{one.server.url}/v1")
        await one.ask(named)
    assert [asked.headers["authorization"] for asked in one.server.asked] == [
        "Bearer own",
        "Bearer MISTRAL_API_KEY-s3cret",
    ]


@pytest.mark.parametrize(
    ("config", "env", "advice"),
    [
        ({"apiKey": "s3cret"}, {}, "check the key in its config.apiKey"),
        ({"apiKeyEnvar": "MY_KEY"}, {"MY_KEY": "s3cret"}, "check the key in MY_KEY"),
        ({"apiKeyEnvar": "MY_KEY"}, {"OPENAI_API_KEY": "s3cret"}, "check the key in OPENAI_API_KEY"),
    ],
)
async def test_a_refused_key_is_looked_for_where_it_stands(
    config: dict[str, Any], env: dict[str, str], advice: str
) -> None:
    async with bench(says(raw("401 Unauthorized", b"{}"))) as one:
        provider = one.make("openai:chat:gpt-4.1", env=env, apiBaseUrl=f"{one.server.url}/v1", **config)
        with pytest.raises(Refused) as refused:
            await one.ask(provider)
    assert str(refused.value).endswith(advice)
    assert "s3cret" not in str(refused.value)
