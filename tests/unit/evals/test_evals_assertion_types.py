"""Assertions by type: services they ask, calls and SQL they read, answers that are hostile."""

from __future__ import annotations

from typing import Any

import pytest

from promptship.evals.assertions.base import Dialect
from promptship.evals.score import Scored
from tests.support.assertion_table import built, scored
from tests.support.services import FakeScripts, FakeWeb, subject


async def test_a_webhook_is_sent_the_answer_and_the_variables() -> None:
    web = FakeWeb((200, {"pass": True, "score": 0.25, "reason": "so so"}))
    about = subject("abc", web=web, vars={"n": 1}, prompt="say abc")
    assert await scored(about, type="webhook", value="http://x/y") == Scored(True, 0.25, "so so")
    assert web.asked == [
        ("http://x/y", {"output": "abc", "context": {"prompt": "say abc", "vars": {"n": 1}}})
    ]


def test_promptfoo_has_the_timeout_of_a_webhook_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for told, seconds in (("2500", 2.5), ("", 5.0), ("-1", 5.0), ("x", 5.0)):
        monkeypatch.setenv("WEBHOOK_TIMEOUT", told)
        assert built(Dialect.PROMPTFOO, type="webhook", value="http://x").assertion.timeout_s == seconds  # type: ignore[attr-defined]
    assert built(type="webhook", value="http://x", config={"timeout_s": 9}).assertion.timeout_s == 9  # type: ignore[attr-defined]


GIVEN = {
    "openai": {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"required": ["a"]}}}]},
    "old": {"functions": [{"name": "f", "parameters": {"required": ["a"]}}]},
    "anthropic": {"tools": [{"name": "f", "input_schema": {"required": ["a"]}}]},
    "gemini": {
        "tools": [
            {"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "required": ["a"]}}]}
        ]
    },
}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
@pytest.mark.parametrize(
    "value",
    [
        [{"function": {"name": "f", "arguments": '{"a": 1}'}}],
        {"function_call": {"name": "f", "arguments": '{"a": 1}'}},
        [{"text": "so"}, {"functionCall": {"name": "f", "args": {"a": 1}}}],
        {"toolCall": {"functionCalls": [{"name": "f", "args": {"a": 1}}]}},
    ],
    ids=["tool_calls", "function_call", "functionCall", "toolCall"],
)
async def test_calls_are_valid_in_every_form_and_against_every_declaration(given: Any, value: Any) -> None:
    assert (
        await scored(subject("", value=value, provider_config=given), type="is-valid-function-call")
    ).passed


@pytest.mark.parametrize(
    ("arguments", "because"),
    [("{", "the arguments are no JSON"), ('{"b": 1}', "'a' is a required property"), ('["a"', "no JSON")],
)
async def test_a_call_with_wrong_arguments_fails(arguments: str, because: str) -> None:
    calls = ({"function": {"name": "f", "arguments": arguments}},)
    about = subject("", tool_calls=calls, provider_config=GIVEN["openai"])
    score = await scored(about, type="is-valid-openai-tools-call")
    assert not score.passed
    assert because in score.reason


async def test_tools_called_beside_the_text_count() -> None:
    about = subject("one moment", tool_calls=({"function": {"name": "f", "arguments": "{}"}},))
    assert (await scored(about, type="tool-call-f1", value="f")).passed
    assert (await scored(about, type="tool-call-f1", value="f, g", threshold=0)).score == pytest.approx(2 / 3)


ALLOWED: list[tuple[str, Any, str, bool]] = [
    ("allowedTables", ["users"], "select * from users", True),
    ("allowedTables", ["users"], "select * from shop.Users", True),
    ("allowedTables", ["shop.users"], "select * from shop.users", True),
    ("allowedTables", ["shop.users"], "select * from users", False),
    ("allowedTables", ["users"], "drop table secrets", False),
    ("allowedTables", ["users"], "select * from users join secrets using (id)", False),
    ("allowedColumns", ["id"], "select id from users", True),
    ("allowedColumns", ["users.id"], "select u.id from users u", True),
    ("allowedColumns", ["users.id"], "select s.id from secrets s", False),
    ("allowedColumns", ["users.id"], "select id from users", True),
    ("allowedColumns", ["id"], "select * from users", False),
    ("allowedColumns", ["*"], "select * from users", True),
    ("allowedColumns", ["id"], "select id from users where password like 'a%'", False),
]


@pytest.mark.parametrize(("key", "names", "text", "passed"), ALLOWED)
async def test_sql_touches_only_what_is_allowed(key: str, names: Any, text: str, passed: bool) -> None:
    assert (await scored(subject(text), type="is-sql", value={key: names})).passed is passed


BOMBS: list[tuple[str, str]] = [
    ("is-xml", '<!DOCTYPE a [<!ENTITY b "' + "x" * 999 + '"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'),
    ("is-xml", '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a>&b;</a>' + "<"),
    ("is-xml", "<a>" * 100_000),
    ("contains-xml", "<a " * 100_000),
    ("contains-xml", "<!--" * 100_000),
    ("contains-xml", '<a x="' * 50_000),
    ("contains-html", "<a\n" * 100_000),
    ("contains-html", "<" * 100_000),
    ("is-html", "&" * 100_000),
    ("is-json", "[" * 100_000),
    ("contains-json", "{" * 100_000),
    ("contains-json", '["' * 100_000),
    ("contains-json", '{"' * 100_000),
    ("contains-json", "[[" * 100_000),
    ("contains-json", "{[" * 100_000),
    ("contains-json", "{a: " * 100_000),
    ("contains-json", "{[}" * 100_000),
    ("is-sql", "select " + "(" * 10_000),
    ("is-sql", "select " + "case when " * 5_000),
    ("contains-sql", "```sql\n" * 20_000),
    ("tool-call-f1", "```\n{" * 20_000),
    ("is-refusal", "i am sorry " * 20_000),
]


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(("name", "text"), BOMBS, ids=lambda part: part[:14])
async def test_a_hostile_answer_is_an_answer_like_any_other(name: str, text: str, dialect: Dialect) -> None:
    """The time limit of the tests is what a bomb would run into."""
    value = "f" if name == "tool-call-f1" else None
    score = await scored(subject(text), dialect, type=name, value=value)
    assert not score.passed or name in {"contains-html", "is-refusal"}


async def test_json_without_a_schema_asks_no_service() -> None:
    scripts = FakeScripts()
    scripts.schema_errors = None  # type: ignore[assignment, method-assign]
    about = subject('{"a": 1}', scripts=scripts)
    assert (await scored(about, type="is-json")).passed
    assert (await scored(about, type="contains-json")).passed
