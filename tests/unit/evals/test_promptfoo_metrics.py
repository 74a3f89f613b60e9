"""Sums per column, and arithmetic on them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship.evals.promptfoo.arithmetic import Unreadable, compiled
from promptship.evals.promptfoo.metrics import ColumnMetrics, derived_metrics, flattened
from promptship.evals.rows import Asserted, Row
from promptship.evals.score import Score, Scored, Unscored

NAMES = {"a": 2.0, "b": 3.0, "c": 0.5}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-2^2", -4), ("2^3^2", 512), ("7 % -3", -2), ("mod(-7,3)", 2), ("-7 % 3", 2), ("7 mod 4", 3), ("round(2.5)", 3),
        ("round(-2.5)", -3), ("round(1.005,2)", 1.01), ("1/0", math.inf), ("-1/0", -math.inf), ("0/0", math.nan),
        ("min(1,2,3)", 1), ("mean([1,2,4])", 7 / 3), ("a > 0 ? a/b : 0", 2 / 3), ("max(a,b)*2", 6), ("a and 0", False),
        ("not a", False), ("a/b*c", 1 / 3), ("1e3+.5", 1000.5), ("log(8,2)", 3), ("log10(1000)", 3), ("median(3,1,2)", 2),
        ("std(1,2,3,4)", 1.2909944487358056), ("sum(a,b,c)", 5.5), ("(a+b)/2", 2.5), ("a - -b", 5), ("a >= 1 or x", True),
        ("3 > 2 > 1", True), ("1 < 3 < 2", False), ("a == 2 ? 1 : 2", 1), ("pow(2,10)", 1024), ("floor(-1.5)", -2),
        ("fix(-1.5)", -1), ("cbrt(27)", 3), ("a ^ -1", 0.5), ("log(0)", -math.inf), ("sqrt(-1)", math.nan), ("pi", math.pi),
        ("exp(0)", 1), ("sign(-2)", -1), ("2 * 3 % 4", 2),
    ],
)  # fmt: skip
def test_expressions_mean_what_they_mean_in_mathjs(text: str, value: Any) -> None:
    names = {**NAMES, "x": 0.0}
    got = compiled(text)(names)
    assert (math.isnan(got) and math.isnan(value)) or got == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    ["", "1 +", "(1", "a b", "2a", "f(1)", "1 = 2", "a ? 1", "'x'", "a; b", "x.y", "(" * 200, "import('fs')"],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        compiled(text)


@given(st.text("ab12+-*/%^().,?: <>=[]", max_size=20))
def test_any_text_is_arithmetic_or_openly_not(text: str) -> None:
    try:
        value = compiled(text)
    except Unreadable:
        return
    try:
        value(NAMES)
    except (ArithmeticError, KeyError, TypeError, ValueError):
        return


def asserted(score: Score, **more: Any) -> Asserted:
    return Asserted(label="x", turn=0, score=score, **more)


def row(score: Score, *votes: Asserted, **more: Any) -> Row:
    return Row(case="c", arm="a", trial=0, digest="", score=score, asserted=votes, answers=("said",), **more)


GOOD, BAD = Scored(True, 1.0), Scored(False, 0.25)


def test_a_column_adds_up_rows_assertions_and_metrics() -> None:
    column = ColumnMetrics()
    column.add(row(GOOD, asserted(GOOD, metric="m"), asserted(GOOD, metric="m", weight=2.0), named={"m": 1.0},
                   named_weights={"m": 3.0}, tokens_in=2, tokens_out=3, cost_usd=0.5, latency_ms=10.4))  # fmt: skip
    column.add(
        row(BAD, asserted(BAD, metric="m"), named={"m": 0.25}, named_weights={"m": 1.0}, judge_tokens=4)
    )
    column.add(row(Unscored("lost"), asserted(GOOD, metric="m"), named={"m": 1.0}))
    shape = column.shape()
    assert (shape["testPassCount"], shape["testFailCount"], shape["testErrorCount"]) == (1, 1, 1)
    assert (shape["assertPassCount"], shape["assertFailCount"], shape["score"]) == (2, 1, 1.25)
    assert (shape["namedScores"], shape["namedScoresCount"]) == ({"m": 3.25}, {"m": 3})
    assert shape["namedScoreWeights"] == {"m": 4.0}
    tokens = shape["tokenUsage"]
    assert (tokens["total"], tokens["numRequests"], tokens["assertions"]["total"]) == (5, 3, 4)
    assert (shape["cost"], shape["totalLatencyMs"]) == (0.5, 10)


def test_members_of_a_set_count_and_what_weighs_nothing_passes() -> None:
    members = (asserted(GOOD, type="contains"), asserted(BAD, type="contains"), asserted(BAD, weight=0.0))
    whole = asserted(BAD, type="assert-set", parts=members, metric="set")
    script = asserted(GOOD, type="javascript", metric="s", parts=(asserted(BAD),))
    column = ColumnMetrics()
    column.add(row(BAD, whole, script, named={"set": 0.25, "s": 1.0}, named_weights={"set": 1.0, "s": 1.0}))
    assert (column.asserts_passed, column.asserts_failed) == (3, 3)
    assert column.counts == {"set": 1, "s": 2}
    assert [one.metric for one in flattened([whole, script])] == ["set", None, None, None, "s", "s"]


def test_derived_metrics_follow_the_sums_row_by_row() -> None:
    raw = [
        {"name": "mean", "value": "m / __count"}, {"name": "twice", "value": "mean * 2"}, {"name": "unknown", "value": "nobody + 1"},
        {"name": "code", "value": "m.map(x)"}, {"name": "function"},
    ]  # fmt: skip
    derived, left = derived_metrics(raw)
    assert [name for name, _ in left] == ["code", "function"]
    column = ColumnMetrics(derived=derived)
    for value in (1.0, 0.5):
        column.add(row(GOOD, asserted(GOOD, metric="m"), named={"m": value}, named_weights={"m": 1.0}))
    assert column.shape()["namedScores"] == {"m": 1.5, "mean": 0.75, "twice": 1.5, "unknown": 0.0}


def test_what_json_cannot_hold_is_null() -> None:
    derived, _ = derived_metrics([{"name": "d", "value": "1 / 0"}])
    column = ColumnMetrics(derived=derived)
    column.add(row(GOOD))
    assert column.shape()["namedScores"] == {"d": None}
