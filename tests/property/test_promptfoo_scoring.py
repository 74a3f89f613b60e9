"""promptfoo's scoring: a row, an assert-set and a metric are exactly what their votes make them."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from promptship.evals.promptfoo.scoring import Vote, total, with_missing_as_zero
from promptship.evals.rows import Asserted
from promptship.evals.score import Score, Scored, Unscored

scores = st.builds(Scored, st.booleans(), st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]), st.just("because"))
weights = st.sampled_from([0.0, 0.5, 1.0, 2.0])
metrics = st.sampled_from([None, "a", "b"])
thresholds = st.none() | st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


def vote(score: Score, weight: float = 1.0, metric: str | None = None, **more: object) -> Vote:
    asserted = Asserted(label="x", turn=0, score=score, type="contains", weight=weight, metric=metric)
    return Vote(asserted=asserted, **more)  # type: ignore[arg-type]


def points(one: Vote) -> float:
    assert isinstance(one.asserted.score, Scored)
    return one.asserted.score.score


votes = st.lists(st.builds(vote, scores, weights, metrics), max_size=6)


@given(votes)
def test_without_a_threshold_a_row_passes_exactly_when_no_weighing_vote_failed(
    given_votes: list[Vote],
) -> None:
    score = total(given_votes, None).score
    failed = any(
        isinstance(one.asserted.score, Scored) and not one.asserted.score.passed and one.asserted.weight > 0
        for one in given_votes
    )
    assert isinstance(score, Scored)
    assert score.passed == (not failed)


@given(votes, st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
def test_with_a_threshold_a_row_passes_exactly_when_the_mean_reaches_it(
    given_votes: list[Vote], threshold: float
) -> None:
    score = total(given_votes, threshold).score
    weight = math.fsum(one.asserted.weight for one in given_votes)
    products = [one.asserted.weight * points(one) for one in given_votes]
    mean = math.fsum(products) / weight if weight else 0.0
    assert isinstance(score, Scored)
    assert math.isclose(score.score, mean, abs_tol=1e-9)
    assert score.passed == (mean >= threshold - 1e-9)


@given(votes)
def test_a_metric_is_the_weighted_mean_of_its_votes_and_there_exactly_when_somebody_bears_it(
    given_votes: list[Vote],
) -> None:
    whole = total(given_votes, None)
    for name in ("a", "b"):
        mine = [one for one in given_votes if one.asserted.metric == name]
        assert (name in whole.named) == bool(mine)
        if mine:
            weight = sum(one.asserted.weight for one in mine)
            mean = sum(points(one) * one.asserted.weight for one in mine) / weight if weight else 0.0
            assert math.isclose(whole.named[name], mean, abs_tol=1e-9)
            assert math.isclose(whole.named_weights[name], weight)


@given(votes, thresholds, weights.filter(bool), metrics)
def test_a_set_votes_with_what_its_members_come_to(
    members: list[Vote], threshold: float | None, weight: float, metric: str | None
) -> None:
    inner = total(members, threshold)
    as_vote = vote(inner.score, weight, metric, named=inner.named, named_weights=inner.named_weights)
    outer = total([as_vote], None)
    assert isinstance(inner.score, Scored)
    assert isinstance(outer.score, Scored)
    assert outer.score.passed == inner.score.passed
    assert math.isclose(outer.score.score, inner.score.score)
    for name, mean in inner.named.items():
        if name != metric:
            assert math.isclose(outer.named[name], mean, abs_tol=1e-9)


@given(votes, weights.filter(bool))
def test_a_missing_score_decides_exactly_when_it_could_turn_the_row(
    given_votes: list[Vote], weight: float
) -> None:
    missing = vote(Unscored("the judge timed out"), weight)
    without = total(given_votes, None).score
    score = total([*given_votes, missing], None).score
    assert isinstance(without, Scored)
    assert isinstance(score, Unscored) == without.passed


def test_a_missing_score_is_no_zero_in_a_metric() -> None:
    whole = total([vote(Scored(True, 1.0), 1.0, "m"), vote(Unscored("lost"), 1.0, "m")], 0.1)
    assert whole.named == {"m": 1.0}
    assert total([vote(Unscored("lost"), 1.0, "m")], None).named == {}


def test_what_a_script_names_counts_with_its_weight_but_not_under_the_metric_of_the_assertion() -> None:
    asserted = vote(Scored(True, 0.25), 2.0, "whole", named={"whole": 0.9, "deep": 0.5})
    whole = total([asserted, vote(Scored(True, 0.8), 1.0, "deep")], None)
    assert whole.named == {"whole": 0.25, "deep": (0.5 * 2 + 0.8) / 3}
    assert whole.named_weights == {"whole": 2.0, "deep": 3.0}


def test_a_guardrail_that_stopped_an_attack_passes_the_row() -> None:
    stopped = vote(Scored(False, 0.0), excuses=True)
    assert total([stopped, vote(Scored(False, 0.0))], 0.9).score == Scored(
        True, 0.0, "a guardrail of the provider stopped the attack"
    )


missing = st.just(Unscored("the judge failed"))


@given(
    st.lists(st.builds(vote, scores | missing, st.sampled_from([0.5, 1.0, 2.0])), min_size=1, max_size=6),
    thresholds,
)
def test_in_results_a_part_without_a_score_counts_as_nothing_and_only_there(
    given_votes: list[Vote], threshold: float | None
) -> None:
    score = total(given_votes, threshold).score
    parts = [one.asserted for one in given_votes]
    mine = score.score if isinstance(score, Scored) else 0.0
    shown = with_missing_as_zero(mine, parts)
    if all(isinstance(one.score, Scored) for one in parts):
        assert shown == mine
        return
    weight = math.fsum(one.weight for one in parts)
    reached = math.fsum(
        one.weight * points(vote)
        for one, vote in zip(parts, given_votes, strict=True)
        if isinstance(one.score, Scored)
    )
    assert math.isclose(shown, reached / weight, abs_tol=1e-9)
    whole = Asserted(label="set", turn=0, score=Scored(True, mine), type="assert-set", parts=tuple(parts))
    assert math.isclose(with_missing_as_zero(mine, [whole]), shown, abs_tol=1e-9)
