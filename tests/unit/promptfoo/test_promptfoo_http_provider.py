"""The http provider: expressions, raw requests, sessions, credentials, statuses."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship.errors import ConfigError, Refused, Unavailable
from promptship.evals.promptfoo.nunjucks import Nunjucks
from promptship.evals.promptfoo.providers.expressions import Missing, walk
from promptship.evals.promptfoo.providers.http_request import Malformed, parsed_raw, planned, request_of
from promptship.evals.services import Script
from tests.support.loopback import Asked, raw
from tests.support.promptfoo_providers import bench
from tests.support.provider_stubs import bad, ok
from tests.support.services import FakeScripts

TEXTS = st.text(max_size=40).filter(lambda text: "{{" not in text and "{%" not in text and "{#" not in text)
VALUE = {"said": "hello", "list": [1, {"b": 2}], "nothing": None}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("json.said", "hello"), ("json.list[1].b", 2), ("json['said']", "hello"), ('json["list"][0]', 1), ("json.list.length", 2),
        ("json.missing", None), ("json.list[7]", None), ("json.nothing?.deep", None), ("json", VALUE), ("text", "raw"),
    ],
)  # fmt: skip
def test_paths_are_walked_without_a_script(path: str, value: Any) -> None:
    assert walk(path, {"json": VALUE, "text": "raw"}) == value


@pytest.mark.parametrize("path", ["json.missing.deep", "json.nothing.deep", "json.list[7].b"])
def test_a_step_from_nothing_is_said(path: str) -> None:
    with pytest.raises(Missing):
        walk(path, {"json": VALUE})


async def test_what_is_no_path_is_javascript_and_a_function_is_called_with_the_names() -> None:
    ran: list[Script] = []

    def answer(script: Script) -> Any:
        ran.append(script)
        return {
            "output": "made",
            "tokenUsage": {"prompt": 1, "completion": 2},
            "cost": 0.5,
            "metadata": {"a": 1},
        }

    code = "(json, text, context) => ({output: json.said})"
    async with bench(ok(VALUE)) as one:
        one.scripts = FakeScripts()
        one.scripts.run = _always(answer)
        answered = await one.ask(one.make("{url}/x".replace("{url}", one.server.url), transformResponse=code))
    assert (answered.text, answered.tokens_in, answered.tokens_out, answered.cost_usd) == ("made", 1, 2, 0.5)
    assert answered.metadata["a"] == 1
    assert answered.metadata["http"]["status"] == 200
    (script,) = ran
    assert code in script.code
    assert script.names["json"] == VALUE
    assert script.names["context"]["response"]["status"] == 200


def _always(answer: Any) -> Any:
    async def run(script: Script) -> Any:
        return answer(script)

    return run


@pytest.mark.parametrize(
    ("status", "validate", "error"),
    [
        ("200 OK", None, None), ("400 Bad", None, None), ("403 Forbidden", None, None), ("401 No", None, Refused),
        ("429 Slow", None, Unavailable), ("500 Oops", None, Unavailable), ("500 Oops", True, None), ("200 OK", False, ConfigError),
        ("404 Gone", False, ConfigError), ("403 No", False, Refused),
    ],
)  # fmt: skip
async def test_statuses(status: str, validate: bool | None, error: type[Exception] | None) -> None:
    code: dict[str, Any] = {} if validate is None else {"validateStatus": "status + 0"}
    async with bench(bad(status, VALUE)) as one:
        one.scripts.run = _always(lambda _: validate)
        provider = one.make(f"{one.server.url}/x", **code)
        if error is None:
            assert (await one.ask(provider)).value == VALUE
            return
        with pytest.raises(error):
            await one.ask(provider)


async def test_an_expression_that_finds_nothing_is_a_config_error_and_not_tried_again() -> None:
    async with bench(ok(VALUE)) as one:
        for code in ("json.missing", "json.missing.deep"):
            with pytest.raises(ConfigError, match="transformResponse"):
                await one.ask(one.make(f"{one.server.url}/x", transformResponse=code))


async def test_raw_requests_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text(
        'POST /a?q={{x}} HTTP/1.1\nHost: {{host}}\nX-B: b\nContent-Type: application/json\n\n{"p": "{{prompt}}"}\n'
    )
    async with bench(ok(VALUE), tmp_path) as one:
        provider = one.make("http", request="file://r.txt")
        await one.ask(
            provider, 'say "x"\nplease', vars={"x": "1", "host": one.server.url.removeprefix("http://")}
        )
        (asked,) = one.server.asked
        with pytest.raises(ConfigError, match="can be read"):
            one.make("http", request="file://none.txt")
    assert (asked.method, asked.path, asked.headers["x-b"], asked.json) == (
        "POST",
        "/a?q=1",
        "b",
        {"p": 'say "x"\nplease'},
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hello", "METHOD /path"),
        ("GET /x HTTP/1.1\nnonsense\n\n", "name: value"),
        ("GET /x HTTP/1.1\nA: b\n\n", "Host header"),
        ("", "METHOD /path"),
    ],
)
def test_raw_requests_that_are_none(text: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        parsed_raw(text, https=False)


@given(TEXTS, TEXTS)
def test_whatever_a_variable_holds_json_bodies_stay_json(prompt: str, other: str) -> None:
    plans = [
        planned("http", {"url": "http://h.example", "method": "POST", "body": {"p": "a {{prompt}}", "o": ["{{other}}b"]}}, None),
        planned("http", {
            "url": "http://h.example", "method": "POST", "headers": {"Content-Type": "application/json"},
            "body": '{"p": "a {{prompt}}", "o": ["{{other}}b"]}',
        }, None),
    ]  # fmt: skip
    for plan in plans:
        call = request_of(plan, {"prompt": prompt, "other": other}, Nunjucks())
        value = orjson.loads(call.body)
        assert value["p"] == f"a {prompt}"
        assert isinstance(value["o"][0], str | list | dict)


async def test_sessions_are_opened_before_and_kept_for_a_conversation() -> None:
    numbers = iter(range(9))

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        value = {"sid": f"s{next(numbers)}"} if asked.path == "/open" else {"said": asked.json["s"]}
        writer.write(raw("200 OK", orjson.dumps(value)))
        await writer.drain()

    async with bench(behave) as one:
        provider = one.make(
            f"{one.server.url}/ask", method="POST", body={"s": "{{sessionId}}"}, transformResponse="json.said",
            session={"url": f"{one.server.url}/open", "responseParser": "data.body.sid"},
        )  # fmt: skip
        talk = {"metadata": {"conversationId": "c"}}
        said = [(await one.ask(provider, test=test)).text for test in ({}, {}, talk, talk)]
    assert said == ["s0", "s1", "s2", "s2"]


async def test_an_answers_session_is_used_in_the_conversation() -> None:
    async with bench(ok({"id": "s9"})) as one:
        provider = one.make(
            f"{one.server.url}/ask", method="POST", body={"s": "{{sessionId}}"}, sessionParser="data.body.id"
        )
        for _ in range(2):
            answer = await one.ask(provider, test={"metadata": {"conversationId": "c"}})
    assert answer.metadata["sessionId"] == "s9"
    assert [asked.json["s"] for asked in one.server.asked] == ["", "s9"]


async def test_oauth_asks_for_a_token_once() -> None:
    async with bench(ok({"access_token": "t0", "expires_in": 3600, "said": "x"})) as one:
        auth = {
            "type": "oauth",
            "clientId": "c",
            "clientSecret": "hush-hush",
            "tokenUrl": f"{one.server.url}/token",
            "scopes": ["a", "b"],
        }
        provider = one.make(f"{one.server.url}/ask", method="POST", body={}, auth=auth)
        for _ in range(2):
            await one.ask(provider)
        one.server.behaviour = bad("401 No", {"error": "invalid_client"})
        with pytest.raises(Refused) as caught:
            await one.ask(one.make(f"{one.server.url}/ask", auth={**auth, "clientId": "d"}))
    assert "hush-hush" not in str(caught.value)
    paths = [asked.path for asked in one.server.asked]
    assert paths == ["/token", "/ask", "/ask", "/token"]
    assert (
        one.server.asked[0].body
        == b"grant_type=client_credentials&client_id=c&client_secret=hush-hush&scope=a+b"
    )
    assert one.server.asked[1].headers["authorization"] == "Bearer t0"
    assert "hush-hush" not in " ".join(one.asking.keys)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({}, "expected `url`"),
        ({"url": "nonsense"}, "an http or https address"),
        ({"url": "http://h", "signatureAuth": {"type": "pem"}}, "signatures over requests"),
        ({"url": "http://h", "tls": {"cert": "x"}}, "client certificates"),
        (
            {"url": "http://h", "headers": {"content-type": "text/plain"}, "body": {"a": 1}},
            "not application/json",
        ),
        ({"url": "http://h", "auth": {"type": "magic"}}, "bearer, basic, api_key or oauth"),
        ({"url": "http://h", "body": "{{ a | }}", "method": "POST"}, "no request"),
    ],
)
async def test_configurations_that_give_no_request(config: dict[str, Any], why: str) -> None:
    async with bench(ok(VALUE)) as one:
        with pytest.raises(ConfigError, match=why):
            await one.ask(one.make("http", **config))


async def test_cookies_are_not_kept_in_rows() -> None:
    async with bench(ok(VALUE, "set-cookie: session=s3cret", "x-trace: 7")) as one:
        answer = await one.ask(one.make(f"{one.server.url}/x"))
    assert answer.metadata["http"]["headers"]["x-trace"] == "7"
    assert "s3cret" not in str(answer)


async def test_the_cache_tells_users_and_readers_of_answers_apart(tmp_path: Path) -> None:
    """A key of one user must not be answered with what another one saw, nor a changed script with what the old one made."""
    script = tmp_path / "read.js"
    async with bench(ok(VALUE), tmp_path) as one:
        one.scripts.run = _always(lambda _: "made")

        async def key_of(
            token: str = "a", password: str = "b", code: str = "() => 1", query: str = "c"
        ) -> str:
            script.write_text(code)
            provider = one.make(
                f"{one.server.url}/x?token={query}",
                headers={"Authorization": token},
                auth={"type": "api_key", "keyName": "X-K", "value": password},
                transformResponse="file://read.js",
            )
            await one.ask(provider)
            return one.asking.keys[-1]

        keys = [await key_of(), await key_of()]
        keys += [
            await key_of(token="z"),
            await key_of(password="z"),
            await key_of(code="() => 2"),
            await key_of(query="z"),
        ]
    assert len(set(keys)) == 5
