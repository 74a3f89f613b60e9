"""A line is taken in exactly when the record's model accepts it (strictly) and its values are within the bounds of the rollup."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from promptship.adapters.telemetry.grouping import of_observations
from promptship.adapters.telemetry.lines import read_columns
from promptship.adapters.telemetry.segments import Slice
from promptship.adapters.telemetry.validity import (
    AT_MS_MAX,
    COST_USD_MAX,
    COUNT_MAX,
    LATENCY_MS_MAX,
    STAGE_MAX,
)
from promptship.routing.observation import Feedback, Observation, Score
from tests.support.telemetry import judged, said, served

VALID: dict[type[BaseModel], dict[str, Any]] = {
    Observation: {**served(1).model_dump(), "ttft_ms": 20.5, "tokens_in": 3, "refusal": False, "unit": "u"},
    Feedback: said(served(1), 2).model_dump(),
    Score: judged(served(1), 2).model_dump(),
}
WORDS = ("id", "prompt", "version", "release", "request")
BOUNDS = {
    "at_ms": AT_MS_MAX, "request_at_ms": AT_MS_MAX, "stage": STAGE_MAX, "status": 999,
    "latency_ms": LATENCY_MS_MAX, "tokens_in": COUNT_MAX, "tokens_out": COUNT_MAX,
    "cost_usd": COST_USD_MAX, "value": 1,
}  # fmt: skip
odd_values = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from([2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 2**70]),
    st.floats(allow_nan=False, allow_infinity=False), st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.sampled_from(["", "a" * 128, "a" * 129, "stable", "null", "1", "é", "a b", 'a"b', "a\\b", "a\nb", "a\x00b", "A", "a_1"]),
    st.lists(st.integers(), max_size=2), st.just({"a": 1}),
)  # fmt: skip


@st.composite
def lines(draw: st.DrawFn) -> tuple[type[BaseModel], bytes]:
    model = draw(st.sampled_from(list(VALID)))
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
        if name in {"kind", "name"} and not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", value):
            return False
    return (record["release"] is None) == (record["stage"] is None)


def taken(*given: bytes) -> list[Slice]:
    data = b"".join(line + b"\n" for line in given)
    return [Slice("observations/w-0.jsonl", 0, len(data), data, done=False, known=False)]


@settings(max_examples=60, deadline=None)
@given(
    some=st.lists(lines(), min_size=1, max_size=12),
    junk=st.lists(
        st.sampled_from([b"{", b"\xff", b"[]", b"", b"{}", b" ", b"}{", b"[" * 100_000]), max_size=2
    ),
)
def test_a_line_is_taken_in_exactly_when_its_model_accepts_it(
    some: list[tuple[type[BaseModel], bytes]], junk: list[bytes]
) -> None:
    for model in VALID:
        given_lines = [*junk, *(line for kind, line in some if kind is model)]
        columns, bad = read_columns(model, taken(*given_lines))
        wanted = [n for n, line in enumerate(given_lines, 1) if line and not acceptable(model, line)]
        assert sorted(bad) == wanted, {n: (bad.get(n), given_lines[n - 1][:200]) for n in {*bad} ^ {*wanted}}
        good = [json.loads(line) for n, line in enumerate(given_lines, 1) if line and n not in bad]
        assert columns.count == len(good)
        assert columns["id"] == [record["id"] for record in good]


def broken_lines(line: bytes) -> st.SearchStrategy[bytes]:
    """The line with a few bytes put in, taken out or said twice."""
    cut = st.tuples(
        st.integers(0, len(line)), st.integers(0, 3), st.sampled_from([b"", b"\n", b"{", b"}", b'"', b":", b'"id":"x",', b" ", b"\t"])
    )  # fmt: skip
    return cut.map(lambda place: line[: place[0]] + place[2] + line[place[0] + place[1] :])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_batch_is_judged_as_its_lines_are(data: st.DataObject) -> None:
    """The fast way, for all lines at once, finds what each line alone is found to be."""
    line = json.dumps(VALID[Observation], separators=(",", ":")).encode()
    text = b"\n".join(data.draw(st.lists(broken_lines(line) | st.just(line), min_size=1, max_size=4)))
    together, bad = read_columns(Observation, taken(text))
    alone = [read_columns(Observation, taken(one)) for one in text.split(b"\n")]
    assert together.count == sum(columns.count for columns, _ in alone)
    assert sorted(bad) == [number for number, (_, wrong) in enumerate(alone, 1) if wrong]
    for number, one in enumerate(text.split(b"\n"), 1):
        twice = one.count(b'"id":') > 1
        assert (number in bad) == (bool(one) and (twice or not acceptable(Observation, one)))


def test_what_the_writer_writes_is_taken_in() -> None:
    for model, record in VALID.items():
        columns, bad = read_columns(model, taken(json.dumps(record).encode()))
        assert bad == {}
        assert columns.count == 1


@pytest.mark.parametrize(
    "name", ["tokens_in", "tokens_out", "stage", "at_ms", "status", "latency_ms", "cost_usd"]
)
@pytest.mark.parametrize("value", [2**63, 2**64, 2**70, 10**400, -1])
def test_numbers_that_do_not_fit_are_not_taken_for_unknown_ones(name: str, value: int) -> None:
    line = json.dumps({**VALID[Observation], name: value}).encode()
    assert read_columns(Observation, taken(line))[1].keys() == {1}


@pytest.mark.parametrize("spaced", [b'"id" :', b'"id"\t:', b'"id":'])
@pytest.mark.parametrize("text", ["plain", "with: colons", 'with \\": escaped'])
def test_a_key_that_stands_twice_is_found_whatever_stands_around_it(spaced: bytes, text: str) -> None:
    record = {**VALID[Observation], "model": text}
    line = json.dumps(record, separators=(",", ":")).encode()
    twice = line[:-1] + b"," + spaced + b'"x"}'
    shorter = {name: value for name, value in record.items() if name != "streamed"}
    missing_one = json.dumps(shorter, separators=(",", ":")).encode()
    assert read_columns(Observation, taken(line, missing_one))[1] == {}
    for one in (twice, missing_one[:-1] + b"," + spaced + b'"x"}'):
        assert read_columns(Observation, taken(line, one))[1] == {2: "a key stands twice"}


def test_a_line_of_the_version_before_is_taken_in() -> None:
    before = {name: value for name, value in VALID[Observation].items() if name != "cost_usd"}
    columns, bad = read_columns(Observation, taken(json.dumps(before).encode()))
    assert bad == {}
    assert columns["cost_usd"] == [None]
    words = {name: value for name, value in VALID[Feedback].items() if name != "unit"}
    assert read_columns(Feedback, taken(json.dumps(words).encode()))[1] == {}


def test_optional_fields_may_be_left_out() -> None:
    required = {name for name, field in Observation.model_fields.items() if field.is_required()}
    record = {name: value for name, value in VALID[Observation].items() if name in required}

    columns, bad = read_columns(Observation, taken(json.dumps(record).encode()))
    assert bad == {}
    (group,) = of_observations(columns, 10_000).values()
    assert group.key[:5] == ("", -1, "stable", "v-stable", "support-reply")
