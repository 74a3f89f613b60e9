"""A line is taken in exactly when the record's model accepts it (strictly) and its values are within the bounds of the rollup."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from promptship.adapters.telemetry.parse import Parser
from promptship.adapters.telemetry.segments import Slice
from promptship.adapters.telemetry.validity import AT_MS_MAX, COUNT_MAX, LATENCY_MS_MAX, STAGE_MAX
from promptship.routing.observation import Feedback, Observation
from tests.support.telemetry import said, served

VALID: dict[type[BaseModel], dict[str, Any]] = {
    Observation: {**served(1).model_dump(), "ttft_ms": 20.5, "tokens_in": 3, "refusal": False, "unit": "u"},
    Feedback: said(served(1), 2).model_dump(),
}
WORDS = ("id", "prompt", "version", "release", "request")
BOUNDS = {
    "at_ms": AT_MS_MAX, "request_at_ms": AT_MS_MAX, "stage": STAGE_MAX, "status": 999,
    "latency_ms": LATENCY_MS_MAX, "tokens_in": COUNT_MAX, "tokens_out": COUNT_MAX,
}  # fmt: skip
odd_values = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from([2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 2**70]),
    st.floats(allow_nan=False, allow_infinity=False), st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.sampled_from(["", "a" * 128, "a" * 129, "stable", "null", "1", "é", "a b", 'a"b', "a\\b", "a\nb", "a\x00b", "A", "a_1"]),
    st.lists(st.integers(), max_size=2), st.just({"a": 1}),
)  # fmt: skip


@st.composite
def lines(draw: st.DrawFn) -> tuple[type[BaseModel], bytes]:
    models: list[type[BaseModel]] = [Observation, Feedback]
    model = draw(st.sampled_from(models))
    record = dict(VALID[model])
    names = [*record, "unknown"]
    for name in draw(st.lists(st.sampled_from(names), max_size=2, unique=True)):
        if draw(st.integers(0, 3)):
            record[name] = draw(odd_values)
        else:
            record.pop(name, None)
    ordered = dict(draw(st.permutations(list(record.items())))) if draw(st.booleans()) else record
    text = json.dumps(
        ordered,
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": ")])),
    )
    return model, text.encode()


def acceptable(model: type[BaseModel], line: bytes) -> bool:
    """The definition, one line at a time."""
    try:
        record = model.model_validate_json(line, strict=True).model_dump()
    except ValidationError:
        return False
    for name, value in record.items():
        if value is None:
            continue
        if name in WORDS and not re.fullmatch(r"[!-~]{1,128}", value):
            return False
        if name in BOUNDS and not 0 <= value <= BOUNDS[name]:
            return False
        if name == "kind" and not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", value):
            return False
    return (record["release"] is None) == (record["stage"] is None)


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    parser = Parser(bucket_s=10.0)
    yield parser
    parser.close()


def taken(*given: bytes) -> list[Slice]:
    data = b"".join(line + b"\n" for line in given)
    return [Slice("observations/w-0.jsonl", 0, len(data), data, done=False, known=False)]


@settings(max_examples=25, deadline=None)
@given(
    some=st.lists(lines(), min_size=1, max_size=30),
    junk=st.lists(st.sampled_from([b"{", b"\xff", b"[]"]), max_size=2),
)
def test_a_line_is_taken_in_exactly_when_its_model_accepts_it(
    parser: Parser, some: list[tuple[type[BaseModel], bytes]], junk: list[bytes]
) -> None:
    for model in (Observation, Feedback):
        given_lines = [*junk, *(line for kind, line in some if kind is model)]
        bad = parser.load(model, taken(*given_lines))
        wanted = [number for number, line in enumerate(given_lines, 1) if not acceptable(model, line)]
        assert sorted(bad) == wanted, {
            number: (bad.get(number), given_lines[number - 1]) for number in {*bad} ^ {*wanted}
        }
        assert parser.count() == len(given_lines) - len(bad)


def test_what_the_writer_writes_is_taken_in(parser: Parser) -> None:
    for model, record in VALID.items():
        assert parser.load(model, taken(json.dumps(record).encode())) == {}
        assert parser.count() == 1


@pytest.mark.parametrize("name", ["tokens_in", "tokens_out", "stage", "at_ms", "status", "latency_ms"])
@pytest.mark.parametrize("value", [2**63, 2**64, 2**70, 10**400, -1])
def test_numbers_that_do_not_fit_are_not_taken_for_unknown_ones(
    parser: Parser, name: str, value: int
) -> None:
    assert parser.load(
        Observation, taken(json.dumps({**VALID[Observation], name: value}).encode())
    ).keys() == {1}


def test_optional_fields_may_be_left_out(parser: Parser) -> None:
    required = {name for name, field in Observation.model_fields.items() if field.is_required()}
    record = {name: value for name, value in VALID[Observation].items() if name in required}

    assert parser.load(Observation, taken(json.dumps(record).encode())) == {}
    (group,) = parser.groups()
    assert group.key[:5] == ("", -1, "stable", "v-stable", "support-reply")
