"""Assertions one by one: wrong specifications, what is not measured, members of a set, files, services."""

from __future__ import annotations

from typing import Any

import pytest

from promptship.errors import ConfigError, Unavailable
from promptship.evals.assertions import AssertionSpec, BuildContext, Dialect, build
from promptship.evals.assertions.catalogue import INVENTED, KINDS, table
from promptship.evals.assertions.registry import (
    NEEDS_JUDGE,
    NOT_IGNORED_BY_PROMPTFOO,
    REGISTRY,
    SET,
    TYPES,
)
from promptship.evals.score import Scored, Subject, Unscored
from promptship.evals.services import ScriptFailed
from tests.support.assertion_table import built, judged, scored
from tests.support.services import FakeGraders, FakeScripts, FakeWeb, subject

NATIVE, PROMPTFOO = Dialect.NATIVE, Dialect.PROMPTFOO


def members(*specs: dict[str, Any]) -> dict[str, Any]:
    return {"assert": list(specs)}


# The registry ---------------------------------------------------------------------------------------------------------


def test_the_catalogue_tells_of_every_type_and_of_no_other() -> None:
    assert set(KINDS) == {*REGISTRY, SET}
    assert all(f"| `{name}` | " in table() for name in KINDS)
    assert not set(INVENTED) & set(TYPES)
    assert {"llm-rubric", "g-eval", "factuality"} <= NEEDS_JUDGE
    assert set(KINDS) >= NOT_IGNORED_BY_PROMPTFOO


def test_every_type_exists_with_not_but_those_that_compare_arms_or_ask_a_person() -> None:
    alone = {name for name in KINDS if f"not-{name}" not in TYPES and not name.startswith("redteam:")}
    assert alone == {"select-best", "max-score", "pairwise", "human"}


@pytest.mark.parametrize(
    ("type_", "advice"),
    [
        ("contians", "did you mean contains?"),
        ("not-regexp", "did you mean not-regex?"),
        ("min-length", "word-count counts words"),
        ("not-empty", 'use regex with "\\S"'),
        ("is_valid_json", "use is-json"),
        ("Exact Match", "use equals"),
        ("llm-as-a-judge", "use llm-rubric"),
        ("json-schema-valid", "use is-json"),
        ("contains-json-property", "use contains-json"),
        ("promptfoo:redteam:pii", "red-team pack"),
        ("not-human", "there are: equals, contains"),
        ("qqqqqqqq", "there are: equals, contains"),
    ],
)
@pytest.mark.parametrize("dialect", Dialect)
def test_an_unknown_type_is_an_error_that_says_what_to_write(
    type_: str, advice: str, dialect: Dialect
) -> None:
    with pytest.raises(ConfigError) as caught:
        built(dialect, type=type_, value="x")
    (problem,) = caught.value.problems
    assert problem.key == "type"
    assert advice in problem.advice or type_ == "not-human"


@pytest.mark.parametrize("name", sorted(NOT_IGNORED_BY_PROMPTFOO & {*REGISTRY} - {"pi", "factuality"}))
async def test_not_is_ignored_where_promptfoo_ignores_it_and_only_in_its_dialect(name: str) -> None:
    value: Any = {"pattern": "x", "min": 0} if name == "trace-span-count" else None
    value = {"max": 1} if name == "trace-span-duration" else value
    value = "criterion" if name.startswith("model") else value
    about = subject(
        "no call",
        metadata={"trace": {"spans": []}},
        provider_config={"functions": [{"name": "f"}]},
        graders=FakeGraders(says="N"),
    )
    plain = (await judged(about, PROMPTFOO, type=name, value=value)).score
    opposite = (await judged(about, PROMPTFOO, type=f"not-{name}", value=value)).score
    assert plain == opposite
    native = [(await judged(about, NATIVE, type=kind, value=value)).score for kind in (name, f"not-{name}")]
    if all(isinstance(score, Scored) for score in native):
        assert native[0] != native[1]


def test_reports_show_short_values_only() -> None:
    assert built(type="contains", value="x").value == "x"
    assert built(type="contains-any", value=["x", "y"]).value == '["x", "y"]'
    assert built(type="contains", value="x" * 201).value is None
    assert built(type="contains", value="x", metric="m", weight=2).label == "m"


# Wrong specifications -------------------------------------------------------------------------------------------------

WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"type": "regex", "value": "("}, "value", "expected a regular expression"),
    ({"type": "contains"}, "value", "missing"),
    ({"type": "contains", "value": ""}, "value", "the empty text is in every answer"),
    ({"type": "contains-any", "value": []}, "value", "expected a list"),
    ({"type": "contains-any", "value": "a,,b"}, "value", "none of them empty"),
    ({"type": "contains-any", "value": 'a, "b'}, "value", "a quote is not closed"),
    ({"type": "contains", "value": "x", "threshold": 1}, "threshold", "takes no threshold"),
    ({"type": "is-html", "value": "x"}, "value", "takes no value"),
    ({"type": "contains", "value": "x", "provider": "gpt"}, "provider", "takes no provider"),
    ({"type": "contains", "value": "x", "assert": [{"type": "is-json"}]}, "assert", "has no members"),
    ({"type": "latency"}, "threshold", "expected a number of milliseconds"),
    ({"type": "cost", "threshold": -1}, "threshold", "expected a number of US dollars"),
    ({"type": "perplexity"}, "threshold", "expected a number of perplexity"),
    ({"type": "is-json", "value": {"type": "objekt"}}, "value", "expected a JSON Schema"),
    ({"type": "is-json", "value": "a: ["}, "value", "expected a JSON Schema"),
    ({"type": "is-json", "value": 7}, "value", "expected a JSON Schema"),
    ({"type": "word-count", "value": {"mn": 1}}, "value", "expected a number of words"),
    ({"type": "word-count", "value": {"min": 3, "max": 1}}, "value", "min not above max"),
    ({"type": "word-count", "value": True}, "value", "expected numbers"),
    ({"type": "equals", "value": "x", "config": {"a": 1}}, "config", "takes no config"),
    ({"type": "is-sql", "value": {"databaseType": "Access"}}, "value.databaseType", "expected one of"),
    ({"type": "is-sql", "value": {"tables": []}}, "value.tables", "unknown key"),
    ({"type": "is-sql", "value": {"allowedTables": "users"}}, "value.allowedTables", "list of names"),
    ({"type": "is-xml", "value": {"required": ["a"]}}, "value.required", "unknown key"),
    ({"type": "bleu", "value": []}, "value", "expected a text"),
    ({"type": "bleu", "value": "x", "threshold": 50}, "threshold", "from 0 to 1"),
    ({"type": "meteor", "value": "x", "config": {"delta": 1}}, "config.delta", "unknown key"),
    ({"type": "meteor", "value": "x", "config": {"alpha": 2}}, "config.alpha", "from 0 to 1"),
    ({"type": "webhook", "value": "ftp://x"}, "value", "http://"),
    ({"type": "webhook", "value": "http://x", "config": {"timeout_s": 0}}, "config.timeout_s", "seconds"),
    ({"type": "tool-call-f1", "value": " , "}, "value", "none of them empty"),
    ({"type": "skill-used", "value": {"min": 1}}, "value", "expected name or pattern"),
    ({"type": "skill-used", "value": {"name": "a", "min": -1}}, "value.min", "at least 0"),
    ({"type": "trajectory:tool-used", "value": {"min": 1}}, "value", "expected a tool's name"),
    ({"type": "trajectory:step-count", "value": {"type": "tool"}}, "value", "expected min or max"),
    ({"type": "trajectory:step-count", "value": {"type": "tol", "min": 1}}, "value.type", "expected one of"),
    ({"type": "trajectory:tool-sequence", "value": []}, "value", "expected a list of tools"),
    ({"type": "trajectory:tool-args-match", "value": {"name": "a"}}, "value.args", "missing"),
    ({"type": "trace-span-count", "value": {"pattern": "a"}}, "value", "it would always pass"),
    ({"type": "trace-span-duration", "value": {"max": 1, "percentile": 101}}, "value.percentile", "0 to 100"),
    ({"type": "trace-error-spans", "value": "x"}, "value", "expected a number"),
    ({"type": "assert-set"}, "assert", "missing or empty"),
    ({"type": "assert-set", "assert": [{"type": "is-json", "weight": 0}]}, "assert", "that can fail"),
    ({"type": "assert-set", "assert": [{"type": "cost"}]}, "assert[0].threshold", "US dollars"),
    ({"type": "assert-set", "assert": [{"type": "human"}]}, "assert[0].type", "beside the set"),
]


@pytest.mark.parametrize(("spec", "key", "expected"), WRONG, ids=lambda part: str(part)[:50])
def test_a_wrong_specification_is_refused_when_it_is_built(
    spec: dict[str, Any], key: str, expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        built(**spec)
    (problem,) = caught.value.problems
    assert problem.key == key
    assert expected in str(problem)


def test_all_wrong_members_of_a_set_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        built(type="assert-set", **members({"type": "cost"}, {"type": "is-json"}, {"type": "contain"}))
    assert [problem.key for problem in caught.value.problems] == ["assert[0].threshold", "assert[2].type"]


@pytest.mark.parametrize("name", sorted(set(KINDS) - {SET}))
@pytest.mark.parametrize("dialect", Dialect)
def test_a_bad_value_is_never_more_than_an_error_of_the_file(name: str, dialect: Dialect) -> None:
    values: tuple[Any, ...] = (None, "", 0, {}, [], "x", 3, True)
    for value in values:
        try:
            prepared = built(dialect, type=name, value=value)
        except ConfigError as error:
            keys = [problem.key for problem in error.problems]
        else:
            keys = [prepared.type]
        assert all(keys), value


# What is not measured -------------------------------------------------------------------------------------------------

NOT_MEASURED: list[tuple[dict[str, Any], Subject, str]] = [
    ({"type": "latency", "threshold": 5}, subject("x"), "latency was not measured"),
    ({"type": "cost", "threshold": 5}, subject("x"), "the cost is not known"),
    ({"type": "finish-reason", "value": "stop"}, subject("x"), "no finish reason"),
    ({"type": "perplexity", "threshold": 5}, subject("x"), "no log-probabilities"),
    ({"type": "perplexity-score", "threshold": 0.1}, subject("x"), "no log-probabilities"),
    ({"type": "guardrails"}, subject("x"), "no guardrails"),
    ({"type": "skill-used", "value": "a"}, subject("x"), "no skills"),
    ({"type": "trajectory:tool-used", "value": "a"}, subject("x"), "no trace"),
    ({"type": "trajectory:tool-sequence", "value": ["a"]}, subject("x"), "no trace"),
    ({"type": "trajectory:step-count", "value": {"min": 1}}, subject("x", metadata={"trace": 3}), "no trace"),
    ({"type": "trajectory:tool-args-match", "value": {"name": "a", "args": 1}}, subject("x"), "no trace"),
    ({"type": "trace-span-count", "value": {"pattern": "a", "min": 1}}, subject("x"), "no trace"),
    ({"type": "trace-span-duration", "value": {"max": 1}}, subject("x"), "no trace"),
    ({"type": "trace-error-spans"}, subject("x"), "no trace"),
    ({"type": "webhook", "value": "http://x"}, subject("x"), "may not ask web services"),
    ({"type": "webhook", "value": "http://x"}, subject("x", web=FakeWeb((404, None))), "with status 404"),
    ({"type": "webhook", "value": "http://x"}, subject("x", web=FakeWeb((200, {"pass": 1}))), 'boolean "pass"'),
    ({"type": "webhook", "value": "http://x"}, subject("x", web=FakeWeb((200, {"pass": True, "score": "a"}))), "no number"),
    ({"type": "webhook", "value": "http://x"}, subject("x", web=FakeWeb(Unavailable("gone"))), "did not answer"),
    ({"type": "is-valid-openai-tools-call"},
     subject("", tool_calls=({"function": {"name": "f", "arguments": "{}"}},)), "given no functions"),
]  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "not-"])
@pytest.mark.parametrize(("spec", "about", "reason"), NOT_MEASURED, ids=lambda part: str(part)[:40])
async def test_what_was_not_measured_is_unscored_also_with_not(
    spec: dict[str, Any], about: Subject, reason: str, prefix: str
) -> None:
    score = (await judged(about, **{**spec, "type": prefix + spec["type"]})).score
    assert isinstance(score, Unscored)
    assert reason in score.reason


class Broken(FakeScripts):
    """Scripts whose limits are always exceeded; or, `raised`, which are wrong themselves."""

    raised = False

    async def matches(self, pattern: str, text: str, *, javascript: bool = False) -> bool:
        raise ScriptFailed("too slow", f"on {text}", raised=self.raised)

    async def schema_errors(self, schema: Any, value: Any) -> list[str]:
        raise ScriptFailed("too slow", f"on {value}", raised=self.raised)


@pytest.mark.parametrize("prefix", ["", "not-"])
async def test_a_pattern_or_schema_that_does_not_end_is_unscored_and_its_reason_does_not_quote(
    prefix: str,
) -> None:
    about = subject('{"a": "secret"}', scripts=Broken())
    for kind, value in (("regex", "(a+)+$"), ("is-json", {"pattern": "(a+)+$"})):
        score = (await judged(about, type=prefix + kind, value=value)).score
        assert isinstance(score, Unscored)
        assert "secret" not in score.reason


@pytest.mark.parametrize("prefix", ["", "not-"])
async def test_a_wrong_pattern_fails_in_promptfoo_with_not_too(prefix: str) -> None:
    scripts = Broken()
    scripts.raised = True
    score = await scored(subject("x", scripts=scripts), PROMPTFOO, type=f"{prefix}regex", value="(")
    assert (score.passed, score.score) == (False, 0.0)


async def test_a_wrong_schema_stops_promptfoo_only_when_there_is_json() -> None:
    spec: dict[str, Any] = {"type": "is-json", "value": {"type": "objekt"}}
    assert not (await scored(subject("no json"), PROMPTFOO, **spec)).passed
    assert isinstance((await judged(subject("{}"), PROMPTFOO, **spec)).score, Unscored)


# Sets -----------------------------------------------------------------------------------------------------------------


async def test_a_set_has_its_members_as_parts() -> None:
    listed: list[dict[str, Any]] = [
        {"type": "contains", "value": "a", "metric": "has-a"},
        {"type": "not-is-json", "weight": 2},
    ]
    result = await judged(subject("abc"), type="assert-set", **members(*listed))
    assert result.score == Scored(True, 1.0)
    assert [(part.label, part.type, part.metric, part.weight) for part in result.parts] == [
        ("has-a", "contains", "has-a", 1.0),
        ("not-is-json", "not-is-json", None, 2.0),
    ]


async def test_a_set_in_a_set_and_its_opposite() -> None:
    inner: dict[str, Any] = {
        "type": "assert-set",
        "assert": [{"type": "contains", "value": "a"}, {"type": "contains", "value": "x"}],
    }
    assert not (await scored(subject("a"), type="assert-set", **members(inner))).passed
    assert (await scored(subject("a"), **{**inner, "type": "not-assert-set"})).passed
    with pytest.raises(ConfigError):
        built(PROMPTFOO, type="assert-set", **members(inner))


async def test_the_config_of_a_set_lies_under_that_of_members_that_take_one() -> None:
    listed: list[dict[str, Any]] = [
        {"type": "meteor", "value": "a b", "config": {"gamma": 0}, "threshold": 0},
        {"type": "contains", "value": "b"},
    ]
    spec: dict[str, Any] = {"type": "assert-set", "config": {"gamma": 0.5, "beta": 9}, "assert": listed}
    result = await judged(subject("a b"), **spec)
    assert [part.score for part in result.parts] == [Scored(True, 1.0), Scored(True, 1.0)]


async def test_a_missing_member_leaves_a_set_open_unless_another_failed() -> None:
    lost = {"type": "cost", "threshold": 1}
    for text, kind in (("a", Unscored), ("b", Scored)):
        listed: list[dict[str, Any]] = [lost, {"type": "contains", "value": "a"}]
        assert isinstance((await judged(subject(text), type="assert-set", **members(*listed))).score, kind)


# Files ----------------------------------------------------------------------------------------------------------------


async def test_a_file_gives_the_value() -> None:
    files = {"s.json": '{"required": ["a"]}', "w.txt": "hello\n", "s.yaml": "type: array"}
    for kind, value, text in (
        ("is-json", "file://s.json", '{"a": 1}'),
        ("is-json", "file://s.yaml", "[]"),
        ("contains", "file://w.txt", "oh hello"),
        ("contains-all", ["file://w.txt", "oh"], "oh hello"),
    ):
        assert (await scored(subject(text), type=kind, value=value, files=files)).passed


@pytest.mark.parametrize(("name", "text"), [("a.json", "{"), ("a.yaml", "a: ["), ("a.png", "x")])
def test_a_file_that_cannot_be_read_is_an_error(name: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        built(type="is-json", value=f"file://{name}", files={name: text})
    assert caught.value.problems[0].key == "value"


@pytest.mark.parametrize("prefix", ["", "not-"])
async def test_a_script_makes_the_value_of_the_answer(prefix: str) -> None:
    files = {"v.py": "source"}
    scripts = FakeScripts({"source": lambda script: script.arguments[0].upper()})
    about = subject("abc", scripts=scripts, vars={"n": 1})
    score = await scored(about, type=f"{prefix}icontains", value="file://v.py:wanted", files=files)
    assert score.passed == (not prefix)
    (asked,) = scripts.asked
    assert (asked.function, asked.arguments[1]["vars"]) == ("wanted", {"n": 1})
    for made in (True, {"pass": True}, "", ScriptFailed("it raised")):
        about = subject("abc", scripts=FakeScripts({"source": made}))
        assert isinstance(
            (await judged(about, type="contains", value="file://v.py", files=files)).score, Unscored
        )


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("prefix", ["", "not-"])
async def test_a_transform_comes_before_the_assertion_and_its_opposite(prefix: str, dialect: Dialect) -> None:
    about = subject("abc", scripts=FakeScripts({"up": "ABC", "broken": ScriptFailed("it raised")}))
    spec: dict[str, Any] = {"type": f"{prefix}contains", "value": "B"}
    assert (await scored(about, dialect, **spec, transform="up")).passed == (not prefix)
    score = (await judged(about, dialect, **spec, transform="broken")).score
    assert isinstance(score, Unscored)
    assert "it raised" in score.reason


@pytest.mark.parametrize(("dialect", "measured"), [(Dialect.NATIVE, True), (Dialect.PROMPTFOO, False)])
async def test_a_kept_answer_has_the_latency_it_took_but_not_in_promptfoo(
    dialect: Dialect, measured: bool
) -> None:
    spec = AssertionSpec(type="latency", threshold=5)
    prepared = build(spec, BuildContext(read=str, dialect=dialect))
    score = (await prepared.assertion.judge(subject("x", latency_ms=1, cached=True))).score
    assert isinstance(score, Scored) == measured
