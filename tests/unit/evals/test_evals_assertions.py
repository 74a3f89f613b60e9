from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from promptship.errors import ConfigError
from promptship.evals.assertions import TYPES, AssertionSpec, build
from promptship.evals.checks_pool import ChecksPool
from promptship.evals.score import Judged, Score, Scored, Subject, Unscored


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[ChecksPool]:
    async with ChecksPool(1) as checks:
        yield checks


class GivenJudge:
    """A judge that always says the same."""

    def __init__(self, score: Score) -> None:
        self.score = score

    async def grade(self, rubric: str, subject: Subject) -> tuple[Score, int]:
        return self.score, 7


def no_files(name: str) -> str:
    raise AssertionError(name)


async def asked(pool: ChecksPool, output: str, **spec: Any) -> Judged:
    prepared = build(AssertionSpec.model_validate(spec), no_files)
    judge = GivenJudge(Scored(True, 0.6, "fine"))
    subject = Subject(
        output=output, checker=pool, judge=judge, latency_ms=120.0, finish_reason="stop", vars={"n": 2}
    )
    return await prepared.assertion.judge(subject)


PASSES: list[tuple[dict[str, Any], str]] = [
    ({"type": "equals", "value": "yes"}, "yes"),
    ({"type": "equals", "value": 42}, "42"),
    ({"type": "equals", "value": {"a": [1]}}, '{ "a": [1] }'),
    ({"type": "contains", "value": "B"}, "aBc"),
    ({"type": "icontains", "value": "STRASSE"}, "eine straße"),
    ({"type": "contains-any", "value": ["x", "b"]}, "abc"),
    ({"type": "contains-any", "value": 'x, "b, c"'}, "a b, c"),
    ({"type": "contains-all", "value": ["a", "c"]}, "abc"),
    ({"type": "icontains-any", "value": ["X", "B"]}, "abc"),
    ({"type": "icontains-all", "value": ["A", "C"]}, "abc"),
    ({"type": "starts-with", "value": "Dear"}, "Dear Mira"),
    ({"type": "regex", "value": r"\d{3}"}, "room 404"),
    ({"type": "is-json"}, ' {"a": 1} '),
    ({"type": "is-json", "value": {"type": "object", "required": ["a"]}}, '{"a": 1}'),
    ({"type": "is-json", "value": "type: object"}, "{}"),
    ({"type": "contains-json"}, 'Sure: {"a": [1]} ok?'),
    ({"type": "contains-json", "value": {"required": ["b"]}}, 'first {"a": 1} then {"b": 1}'),
    ({"type": "latency", "threshold": 120}, ""),
    ({"type": "finish-reason", "value": "STOP"}, ""),
    ({"type": "word-count", "value": 2}, "two words"),
    ({"type": "word-count", "value": {"min": 2}}, "two words more"),
    ({"type": "python", "value": "len(output) == context['vars']['n']"}, "ab"),
    ({"type": "python", "value": "if output:\n    return {'pass_': True, 'score': 0.5}\nreturn False"}, "ab"),
    ({"type": "python", "value": "0.7", "threshold": 0.7}, ""),
    ({"type": "llm-rubric", "value": "is polite"}, "hello"),
    ({"type": "llm-rubric", "value": "is polite", "threshold": 0.6}, "hello"),
]

FAILS: list[tuple[dict[str, Any], str]] = [
    ({"type": "equals", "value": "yes"}, "yes\n"),
    ({"type": "equals", "value": {"a": 1}}, "not json"),
    ({"type": "contains", "value": "b"}, "aBc"),
    ({"type": "contains-any", "value": ["x", "y"]}, "abc"),
    ({"type": "contains-all", "value": ["a", "x"]}, "abc"),
    ({"type": "starts-with", "value": "dear"}, "Dear Mira"),
    ({"type": "regex", "value": "^b"}, "ab"),
    ({"type": "is-json"}, '{"a": NaN}'),
    ({"type": "is-json"}, '```json\n{"a": 1}\n```'),
    ({"type": "is-json", "value": {"required": ["b"]}}, '{"a": 1}'),
    ({"type": "is-json"}, "[" * 100_000),
    ({"type": "contains-json"}, "{ no json ]"),
    ({"type": "latency", "threshold": 119.9}, ""),
    ({"type": "word-count", "value": {"max": 1}}, "two words"),
    ({"type": "python", "value": "0.69", "threshold": 0.7}, ""),
    ({"type": "python", "value": "assert 'x' in output, 'no x'\nreturn True"}, "ab"),
    ({"type": "python", "value": "{'pass': False, 'score': 1.0, 'reason': 'no'}", "threshold": 0.5}, ""),
    ({"type": "llm-rubric", "value": "is polite", "threshold": 0.61}, "hello"),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("spec", "output"), PASSES, ids=lambda part: str(part)[:60])
async def test_passes_and_its_opposite_fails(pool: ChecksPool, spec: dict[str, Any], output: str) -> None:
    score = (await asked(pool, output, **spec)).score
    opposite = (await asked(pool, output, **{**spec, "type": "not-" + spec["type"]})).score
    assert isinstance(score, Scored)
    assert isinstance(opposite, Scored)
    assert (score.passed, opposite.passed) == (True, False)
    assert score.score + opposite.score == pytest.approx(1.0)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("spec", "output"), FAILS, ids=lambda part: str(part)[:60])
async def test_fails_with_a_reason_and_its_opposite_passes(
    pool: ChecksPool, spec: dict[str, Any], output: str
) -> None:
    score = (await asked(pool, output, **spec)).score
    opposite = (await asked(pool, output, **{**spec, "type": "not-" + spec["type"]})).score
    assert isinstance(score, Scored)
    assert isinstance(opposite, Scored)
    assert (score.passed, opposite.passed) == (False, True)
    assert score.reason


def test_every_type_is_tried_in_both_directions() -> None:
    tried = {spec["type"] for spec, _ in PASSES}
    assert tried | {f"not-{name}" for name in tried} == set(TYPES)


UNSCORED: list[tuple[dict[str, Any], str]] = [
    ({"type": "python", "value": "1 / 0"}, "raised ZeroDivisionError at line 1"),
    ({"type": "python", "value": "x = 1\nreturn context['vars']['none']"}, "raised KeyError at line 2"),
    ({"type": "python", "value": "exit()"}, "raised SystemExit"),
    ({"type": "python", "value": "None"}, "returned NoneType"),
    ({"type": "python", "value": "float('nan')"}, "returned nan"),
    ({"type": "python", "value": "{'reason': 'no pass, no score'}"}, "neither pass nor score"),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize(("spec", "reason"), UNSCORED, ids=lambda part: str(part)[:60])
async def test_a_check_that_breaks_is_unscored_also_when_negated(
    pool: ChecksPool, spec: dict[str, Any], reason: str, negated: bool
) -> None:
    score = (
        await asked(pool, "secret answer", **{**spec, "type": ("not-" if negated else "") + spec["type"]})
    ).score
    assert isinstance(score, Unscored)
    assert reason in score.reason
    assert "secret answer" not in score.reason


@pytest.mark.parametrize("negated", [False, True])
async def test_what_was_not_measured_is_unscored(negated: bool) -> None:
    prefix = "not-" if negated else ""
    async with ChecksPool(1) as pool:
        subject = Subject(output="x", checker=pool)
        for spec in (
            {"type": "latency", "threshold": 5},
            {"type": "finish-reason", "value": "stop"},
            {"type": "llm-rubric", "value": "r"},
        ):
            prepared = build(
                AssertionSpec.model_validate({**spec, "type": prefix + str(spec["type"])}), no_files
            )
            assert isinstance((await prepared.assertion.judge(subject)).score, Unscored)


@pytest.mark.parametrize(
    ("spec", "key", "expected"),
    [
        ({"type": "contians", "value": "x"}, "type", "did you mean contains?"),
        ({"type": "not-regexp", "value": "x"}, "type", "did you mean not-regex?"),
        ({"type": "regex", "value": "("}, "value", "expected a regular expression"),
        ({"type": "contains"}, "value", "missing"),
        ({"type": "contains", "value": ""}, "value", "the empty text is in every answer"),
        ({"type": "contains-any", "value": []}, "value", "expected a list"),
        ({"type": "contains", "value": "x", "threshold": 1}, "threshold", "takes no threshold"),
        ({"type": "latency"}, "threshold", "expected a number of milliseconds"),
        ({"type": "is-json", "value": {"type": "objekt"}}, "value", "expected a JSON Schema"),
        ({"type": "is-json", "value": "a: ["}, "value", "expected a JSON Schema"),
        ({"type": "word-count", "value": {"mn": 1}}, "value", "expected a number of words"),
        ({"type": "python", "value": "return ("}, "value", "expected Python"),
        ({"type": "python", "value": "x = 1"}, "value", "add a return"),
        ({"type": "python", "value": "True", "config": {"timeout_s": 0}}, "config.timeout_s", "more than 0"),
        ({"type": "equals", "value": "x", "config": {"a": 1}}, "config", "takes no config"),
    ],
)
def test_a_wrong_specification_is_refused_when_it_is_read(
    spec: dict[str, Any], key: str, expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build(AssertionSpec.model_validate(spec), no_files)
    (problem,) = caught.value.problems
    assert problem.key == key
    assert expected in str(problem)
