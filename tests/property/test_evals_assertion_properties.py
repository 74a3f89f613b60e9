"""Promises of the assertions, in both directions."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.errors import ConfigError
from promptship.evals.assertions import Dialect
from promptship.evals.assertions.overlap import (
    Meteor,
    bleu,
    gleu,
    matched_words,
    rouge_n,
    runs,
    treebank_words,
)
from promptship.evals.assertions.text import levenshtein_distance
from promptship.evals.assertions.tools import called_names
from promptship.evals.assertions.trace import matches
from promptship.evals.assertions.values import embedded, fields, json_of, same_json
from promptship.evals.score import Score, Scored, Unscored, inverted
from tests.support.assertion_table import built, cases, result, subject_of
from tests.support.services import subject

pytestmark = pytest.mark.slow

SHORT = st.text("abc AB,", max_size=8)
WORDS = st.lists(st.text("abcAB", min_size=1, max_size=3), min_size=1, max_size=3)
SENTENCES = st.lists(st.sampled_from("a b c runs running cat. The don't".split()), max_size=8).map(" ".join)  # noqa: SIM905 - reads better
SCORES: st.SearchStrategy[Score] = st.one_of(
    st.builds(Scored, st.booleans(), st.floats(0, 1)), st.builds(Unscored, st.just("not measured"))
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def ask(output: str, **spec: Any) -> Score:
    return asyncio.run(built(**spec).assertion.judge(subject(output))).score


def passes(output: str, **spec: Any) -> bool:
    score = ask(output, **spec)
    assert isinstance(score, Scored)
    return score.passed


# not- -----------------------------------------------------------------------------------------------------------------


@given(SCORES)
def test_not_passes_exactly_when_the_other_fails_and_no_score_stays_no_score(score: Score) -> None:
    opposite = inverted(score)
    assert isinstance(opposite, Unscored) == isinstance(score, Unscored)
    if isinstance(score, Scored) and isinstance(opposite, Scored):
        assert opposite.passed != score.passed
        assert opposite.score == pytest.approx(1 - score.score)
    else:
        assert opposite == score


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["type"])
async def test_not_inverts_every_type_of_the_table_exactly(case: dict[str, Any]) -> None:
    """Natively; promptfoo has exceptions, which the golden table shows."""
    plain, opposite = [await result(case, Dialect.NATIVE, negated=negated) for negated in (False, True)]
    if plain.startswith("unscored"):
        assert opposite == plain
    else:
        (passed, score), (failed, rest) = plain.split(), opposite.split()
        assert {passed, failed} == {"pass", "fail"}
        assert float(score) + float(rest) == pytest.approx(1.0, abs=2e-4)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(cases()), st.text(max_size=30) | JSON.map(json.dumps))
def test_any_answer_has_one_result_and_its_opposite(case: dict[str, Any], output: str) -> None:
    about = {**case, "output": output}
    plain, opposite = [
        asyncio.run(result(about, Dialect.NATIVE, negated=negated)).split()[0] for negated in (False, True)
    ]
    assert (plain, opposite) in {("pass", "fail"), ("fail", "pass"), ("unscored:", "unscored:")}


# Text -----------------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(SHORT, WORDS, st.sampled_from(["contains", "icontains"]))
def test_any_and_all_are_any_and_all_of_contains(output: str, words: list[str], base: str) -> None:
    each = [passes(output, type=base, value=word) for word in words]
    assert passes(output, type=f"{base}-any", value=words) == any(each)
    assert passes(output, type=f"{base}-all", value=words) == all(each)


@given(st.lists(st.text('ab," \\', max_size=6), min_size=1, max_size=4))
def test_a_line_with_commas_gives_back_the_texts_that_were_quoted_into_it(texts: list[str]) -> None:
    quoted = [text.replace("\\", "\\\\").replace('"', '""') for text in texts]
    line = " , ".join(f'"{text}"' for text in quoted)
    assert [field for field, _ in fields(line)] == texts


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_levenshtein_is_a_distance(one: str, other: str, third: str) -> None:
    for utf16 in (False, True):

        def distance(a: str, b: str, *, utf16: bool = utf16) -> int:
            return levenshtein_distance(a, b, utf16=utf16)

        assert distance(one, other) == distance(other, one)
        assert (distance(one, other) == 0) == (one == other)
        assert distance(one, third) <= distance(one, other) + distance(other, third)
    assert levenshtein_distance(one, other) <= max(len(one), len(other))


@given(st.text(max_size=40), st.integers(0, 8), st.integers(0, 8))
def test_word_count_passes_exactly_within_its_bounds(output: str, low: int, more: int) -> None:
    count = len(output.split())
    bounds = {"min": low, "max": low + more}
    assert passes(output, type="word-count", value=bounds) == (low <= count <= low + more)
    assert passes(output, type="word-count", value=low) == (count == low)


# JSON -----------------------------------------------------------------------------------------------------------------


@given(JSON, st.sampled_from(["", " \n", "\t"]))
def test_json_is_json_and_equals_itself(value: Any, white: str) -> None:
    text = white + json.dumps(value, ensure_ascii=False) + white
    assert same_json(json_of(text), value)
    assert passes(text, type="is-json")
    if isinstance(value, dict | list):
        assert passes(text, type="equals", value=value)


@given(st.text(max_size=20))
def test_a_text_is_json_exactly_when_python_reads_it_without_its_own_constants(text: str) -> None:
    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        json.loads(text.strip(" \t\n\r"), parse_constant=refuse)
        wanted = True
    except ValueError:
        wanted = False
    assert passes(text, type="is-json") == wanted


@given(JSON, JSON)
def test_json_is_equal_exactly_when_its_canonical_texts_are(one: Any, other: Any) -> None:
    assert same_json(one, other) == (canonical(one) == canonical(other))


def canonical(value: Any) -> Any:
    """A text; 1 and 1.0 are one number."""
    if isinstance(value, dict):
        return "object", {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return "list", [canonical(item) for item in value]
    return ("bool", value) if isinstance(value, bool) else value


@given(
    st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=2), max_size=3),
    st.text("xyz .,:\n", max_size=9),
)
def test_embedded_json_is_found_whatever_stands_between(values: list[Any], between: str) -> None:
    text = between + between.join(json.dumps(value) + between for value in values)
    assert list(embedded(text)) == values
    assert passes(text, type="contains-json") == bool(values)


# Overlap --------------------------------------------------------------------------------------------------------------

MEASURES: dict[str, Callable[[str, list[str]], float]] = {
    "bleu": bleu,
    "gleu": gleu,
    "meteor": Meteor(),
    "rouge-n": lambda a, b: rouge_n(a, b[0]),
}


@given(SENTENCES, SENTENCES, SENTENCES, st.sampled_from(sorted(MEASURES)))
def test_a_measure_is_from_0_to_1_and_further_references_never_harm(
    text: str, one: str, other: str, name: str
) -> None:
    measure = MEASURES[name]
    alone, both = measure(text, [one]), measure(text, [one, other])
    assert 0.0 <= alone <= 1.0 + 1e-12
    # A nearer reference may have another length than the one BLEU punishes by: there more may be worse.
    assert both >= alone - 1e-12 or name == "bleu"


@given(SENTENCES)
def test_a_text_is_as_close_to_itself_as_can_be(text: str) -> None:
    words = text.split()
    assert bleu(text, [text]) == pytest.approx(1.0 if words else 0.0)
    assert gleu(text, [text]) == pytest.approx(1.0 if words else 0.0)
    assert rouge_n(text, text) == (1.0 if words else 0.0)
    assert Meteor()(text, [text]) == pytest.approx(1 - 0.5 / len(words) ** 3 if words else 0.0)
    assert Meteor(gamma=0.0)(text, [text.upper()]) == (1.0 if words else 0.0)


@given(SENTENCES, SENTENCES)
def test_measures_that_ignore_direction_or_order(one: str, other: str) -> None:
    assert gleu(one, [other]) == pytest.approx(gleu(other, [one]))
    assert rouge_n(one, other) == pytest.approx(rouge_n(other, one))
    backwards = " ".join(reversed(one.replace(".", "").replace("'", "").split()))
    assert rouge_n(backwards, one.replace(".", "").replace("'", "")) == (1.0 if one else 0.0)
    assert (rouge_n(one, other) == 0.0) == (
        not set(treebank_words(one.lower())) & set(treebank_words(other.lower()))
    )


@given(SENTENCES, SENTENCES)
def test_words_are_matched_once_and_as_many_as_possible_exactly(one: str, other: str) -> None:
    words, others = one.split(), other.split()
    pairs = matched_words(words, others)
    assert len({left for left, _ in pairs}) == len({right for _, right in pairs}) == len(pairs)
    exact = sum(words[left] == others[right] for left, right in pairs)
    assert exact == (runs(words, 1) & runs(others, 1)).total()


# Numbers a provider reports -------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.floats(-20, 0), min_size=1, max_size=6), st.floats(0.01, 50))
def test_perplexity_passes_exactly_at_its_limit_and_its_score_falls_with_it(
    logprobs: list[float], limit: float
) -> None:
    about = {"type": "perplexity", "answer": {"logprobs": logprobs}}
    wanted = math.exp(-math.fsum(logprobs) / len(logprobs))
    about_score = {**about, "type": "perplexity-score"}
    for case, threshold, reached in (
        (about, limit, wanted <= limit),
        (about_score, limit / 51, 1 / (1 + wanted) >= limit / 51),
    ):
        built_case = built(type=case["type"], threshold=threshold)
        score = asyncio.run(built_case.assertion.judge(subject_of(case))).score
        assert isinstance(score, Scored)
        assert score.passed == reached


@given(st.sets(st.sampled_from("fghk"), min_size=1), st.sets(st.sampled_from("fghk")))
def test_f1_of_calls_is_1_exactly_for_the_same_set_and_0_exactly_without_a_shared_one(
    wanted: set[str], called: set[str]
) -> None:
    calls = json.dumps([{"type": "function", "function": {"name": name}} for name in sorted(called)])
    assert called_names(calls) == called
    score = ask(calls, type="tool-call-f1", value=sorted(wanted))
    assert isinstance(score, Scored)
    assert (score.score == 1.0) == score.passed == (wanted == called)
    assert (score.score == 0.0) == (not wanted & called)


@given(st.text("ab.*?[", max_size=6))
def test_a_name_without_signs_matches_itself_only_and_signs_match_more(name: str) -> None:
    assert matches(name, name) or "[" in name or "?" in name
    assert matches(name, "*")
    assert matches(name, "?" * len(name))
    assert not matches(name + "x", name.replace("*", "-").replace("?", "-"))


# Bad values -----------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted({case["type"] for case in cases()})),
    JSON,
    st.none() | st.floats(),
    st.sampled_from(Dialect),
)
def test_any_value_is_taken_or_refused_with_the_key_that_is_wrong(
    name: str, value: Any, threshold: float | None, dialect: Dialect
) -> None:
    try:
        built(dialect, type=name, value=value, threshold=threshold)
    except ConfigError as error:
        refused = [problem.key for problem in error.problems]
        assert all(key.split(".")[0].split("[")[0] in {"value", "threshold", "assert"} for key in refused)
