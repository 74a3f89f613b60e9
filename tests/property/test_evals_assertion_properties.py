"""Promises of assertions and trials, in both directions."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.errors import NotFound
from promptship.evals.assertions import AssertionSpec, build
from promptship.evals.rows import Asserted
from promptship.evals.score import Check, Score, Scored, Subject, Unscored, inverted
from promptship.evals.trial import combined

TEXT = st.text("abc AB,", max_size=8)
WORDS = st.lists(st.text("abcAB", min_size=1, max_size=3), min_size=1, max_size=3)
SCORES: st.SearchStrategy[Score] = st.one_of(
    st.builds(Scored, st.booleans(), st.floats(0, 1)), st.builds(Unscored, st.just("not measured"))
)


class NoChecks:
    async def check(self, check: Check) -> Score:
        return Unscored("not here")


def no_files(name: str) -> str:
    raise NotFound(name)


def ask(output: str, **spec: Any) -> Score:
    prepared = build(AssertionSpec.model_validate(spec), no_files)
    return asyncio.run(prepared.assertion.judge(Subject(output=output, checker=NoChecks()))).score


@settings(max_examples=40, deadline=None)
@given(TEXT, WORDS, st.sampled_from(["contains", "icontains"]))
def test_any_and_all_are_any_and_all_of_contains(output: str, words: list[str], base: str) -> None:
    each = [ask(output, type=base, value=word) for word in words]
    passed = [isinstance(score, Scored) and score.passed for score in each]
    for kind, wanted in (("any", any(passed)), ("all", all(passed))):
        score = ask(output, type=f"{base}-{kind}", value=words)
        assert isinstance(score, Scored)
        assert score.passed == wanted
        opposite = ask(output, type=f"not-{base}-{kind}", value=words)
        assert isinstance(opposite, Scored)
        assert opposite.passed != wanted


@given(SCORES)
def test_not_passes_exactly_when_the_other_fails_and_no_score_stays_no_score(score: Score) -> None:
    opposite = inverted(score)
    assert isinstance(opposite, Unscored) == isinstance(score, Unscored)
    if isinstance(score, Scored) and isinstance(opposite, Scored):
        assert opposite.passed != score.passed
    else:
        assert opposite == score


ASSERTED = st.lists(st.tuples(SCORES, st.sampled_from([0.0, 0.5, 1.0, 2.0])), min_size=1, max_size=5)


@settings(max_examples=100)
@given(ASSERTED)
def test_a_trial_passes_exactly_when_every_assertion_with_a_weight_passed(
    given_: list[tuple[Score, float]],
) -> None:
    result = trial(given_, None)
    voting = [score for score, weight in given_ if weight > 0]
    failed = any(isinstance(score, Scored) and not score.passed for score in voting)
    missing = any(isinstance(score, Unscored) for score in voting)
    assert isinstance(result, Unscored) == (missing and not failed)
    if isinstance(result, Scored):
        assert result.passed == (not failed)
        assert 0.0 <= result.score <= 1.0


@settings(max_examples=100)
@given(ASSERTED, st.floats(0, 1))
def test_with_a_threshold_a_missing_score_matters_exactly_when_it_could_tip_the_scale(
    given_: list[tuple[Score, float]], threshold: float
) -> None:
    result = trial(given_, threshold)
    ends = [
        trial([(s if isinstance(s, Scored) else Scored(True, value), w) for s, w in given_], threshold)
        for value in (0.0, 1.0)
    ]
    passed = {end.passed for end in ends if isinstance(end, Scored)}
    assert isinstance(result, Unscored) == (len(passed) == 2)
    if isinstance(result, Scored):
        assert {result.passed} == passed


def trial(given_: list[tuple[Score, float]], threshold: float | None) -> Score:
    asserted = [Asserted(label=f"a{n}", turn=0, score=score) for n, (score, _) in enumerate(given_)]
    return combined(asserted, [weight for _, weight in given_], threshold)
