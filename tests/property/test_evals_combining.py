"""Combining scores: exactly when it passes, fails, or openly has no result."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship.evals.combining import combined
from promptship.evals.score import Part, Score, Scored, Unscored

Votes = list[tuple[Score, float]]
numbers = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])
scored = st.builds(Scored, st.booleans(), numbers, st.just("because"))
weights = st.sampled_from([0.0, 0.5, 1.0, 3.0])
thresholds = st.none() | st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.8, 1.0])
votes = st.lists(st.tuples(scored, weights), max_size=5)
votes_some_missing = st.lists(st.tuples(scored | st.just(Unscored("lost", "detail")), weights), max_size=4)


def of(pairs: Votes, threshold: float | None) -> Score:
    parts = [Part(label=f"vote {n}", score=score) for n, (score, _) in enumerate(pairs)]
    return combined(parts, [weight for _, weight in pairs], threshold)


@given(votes, thresholds)
def test_measured_votes_pass_exactly_when_none_failed_or_the_mean_reaches_the_threshold(
    pairs: list[tuple[Scored, float]], threshold: float | None
) -> None:
    total = sum(weight for _, weight in pairs)
    mean = sum(score.score * weight for score, weight in pairs) / total if total else 0.0
    wanted = (
        all(score.passed for score, weight in pairs if weight)
        if threshold is None
        else mean >= threshold - 1e-9
    )
    result = of([*pairs], threshold)
    assert isinstance(result, Scored)
    assert result.passed == wanted
    assert result.score == pytest.approx(mean)
    assert bool(result.reason) != result.passed


@given(votes_some_missing, thresholds)
def test_a_missing_vote_leaves_it_open_exactly_when_it_could_change_the_result(
    pairs: Votes, threshold: float | None
) -> None:
    """Fill every gap with the worst and the best there is: the outcomes differ exactly when it is Unscored."""
    gaps = [n for n, (score, _) in enumerate(pairs) if isinstance(score, Unscored)]
    outcomes = set()
    for filling in product((Scored(False, 0.0, "worst"), Scored(True, 1.0)), repeat=len(gaps)):
        filled = list(pairs)
        for n, score in zip(gaps, filling, strict=True):
            filled[n] = (score, pairs[n][1])
        result = of(filled, threshold)
        assert isinstance(result, Scored)
        outcomes.add(result.passed)
    result = of(pairs, threshold)
    assert isinstance(result, Unscored) == (len(outcomes) == 2)
    if isinstance(result, Scored):
        assert {result.passed} == outcomes
    else:
        assert result.reason.startswith("vote ")
        assert result.reason.endswith("lost")


@given(votes_some_missing, thresholds, st.randoms())
def test_the_order_of_votes_does_not_matter(pairs: Votes, threshold: float | None, random: Random) -> None:
    other = list(pairs)
    random.shuffle(other)
    first, second = of(pairs, threshold), of(other, threshold)
    assert type(first) is type(second)
    if isinstance(first, Scored) and isinstance(second, Scored):
        assert first.passed == second.passed
        assert first.score == pytest.approx(second.score)


@given(votes, thresholds, scored | st.just(Unscored("lost")))
def test_what_weighs_nothing_has_no_vote(pairs: Votes, threshold: float | None, score: Score) -> None:
    assert of([*pairs, (score, 0.0)], threshold) == of(pairs, threshold)


@pytest.mark.parametrize(
    ("weights", "score", "threshold"), [((1.0, 1.0), 0.15, 0.15), ((0.1, 0.2), 0.7, 0.7)]
)
def test_a_mean_that_falls_short_by_rounding_reaches_its_threshold(
    weights: tuple[float, float], score: float, threshold: float
) -> None:
    result = of([(Scored(True, score), weight) for weight in weights], threshold)
    assert isinstance(result, Scored)
    assert result.passed
