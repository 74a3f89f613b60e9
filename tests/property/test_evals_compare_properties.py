"""Promises of the regression verdict, in both directions."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from promptship.evals.compare import compare
from promptship.evals.statistics import by_topic, mean_of, pass_at_k, pass_hat_k
from promptship.evals.verdict import SuiteOutcome, SuiteVerdict
from tests.support.suite_runs import run_of

TRIALS = st.text("+-", min_size=3, max_size=3)
PAIRS = st.lists(st.tuples(TRIALS, TRIALS), min_size=1, max_size=25)
ALPHA = 0.05


def judged(pairs: list[tuple[str, str]], margin: float = 0.05, **options: object) -> SuiteVerdict:
    run = run_of([now for now, _ in pairs], [before for _, before in pairs])
    return compare(run, margin=margin, alpha=ALPHA, unscored_max=0.02, **options)  # type: ignore[arg-type]


def differences(pairs: list[tuple[str, str]]) -> list[float]:
    return [(now.count("+") - before.count("+")) / 3 for now, before in pairs]


@settings(max_examples=50, deadline=None)
@given(PAIRS)
def test_swapping_the_versions_negates_the_difference_and_keeps_its_error(
    pairs: list[tuple[str, str]],
) -> None:
    there, back = judged(pairs).difference, judged([(before, now) for now, before in pairs]).difference
    assert there is not None
    assert back is not None
    assert there.mean == pytest.approx(-back.mean)
    assert there.error == pytest.approx(back.error) or (there.error is None and back.error is None)


@settings(max_examples=50, deadline=None)
@given(PAIRS, st.sampled_from([0.01, 0.05, 0.2, 0.6]))
def test_the_outcome_follows_exactly_from_the_two_limits(pairs: list[tuple[str, str]], margin: float) -> None:
    verdict = judged(pairs, margin)
    difference = verdict.difference
    assert difference is not None
    values = differences(pairs)
    if len(set(values)) > 1:  # an independent computation of the upper limit and of p
        test = stats.ttest_1samp(values, 0.0, alternative="less")
        assert difference.high == pytest.approx(test.confidence_interval(1 - ALPHA).high)
        assert difference.p_drop == pytest.approx(test.pvalue)
        assert (difference.high is not None and difference.high < 0) == (test.pvalue < ALPHA)
    inside, dropped = difference.low > -margin, difference.p_drop is not None and difference.p_drop <= ALPHA
    expected = (
        SuiteOutcome.PASSED if inside else SuiteOutcome.REGRESSED if dropped else SuiteOutcome.TOO_SMALL
    )
    assert verdict.outcome is expected
    assert verdict.passes == (expected is not SuiteOutcome.REGRESSED)
    assert bool(verdict.warnings) == (expected is SuiteOutcome.TOO_SMALL or (inside and dropped))


@settings(max_examples=50, deadline=None)
@given(st.lists(TRIALS, min_size=1, max_size=90))
def test_no_difference_always_goes_on(trials: list[str]) -> None:
    verdict = judged([(marks, marks) for marks in trials])
    assert verdict.passes
    assert verdict.difference is not None
    assert (verdict.difference.mean, verdict.difference.detectable_drop > 0) == (0.0, True)


@settings(max_examples=30, deadline=None)
@given(PAIRS, st.integers(0, 24))
def test_a_better_answer_never_stops_what_went_on(pairs: list[tuple[str, str]], which: int) -> None:
    which %= len(pairs)
    better = [("+++", before) if n == which else (now, before) for n, (now, before) in enumerate(pairs)]
    before, after = judged(pairs).difference, judged(better).difference
    assert before is not None
    assert after is not None
    assert after.mean >= before.mean


@settings(max_examples=30, deadline=None)
@given(PAIRS, st.floats(0, 1))
def test_below_the_floor_exactly_when_the_pass_rate_is(pairs: list[tuple[str, str]], floor: float) -> None:
    verdict = judged(pairs, pass_rate_min=floor)
    rate = sum(now.count("+") for now, _ in pairs) / (3 * len(pairs))
    assert (verdict.outcome is SuiteOutcome.BELOW_FLOOR) == (rate < floor - 1e-12)
    assert verdict.candidate.pass_rate == pytest.approx(rate)
    assert verdict.candidate.pass_rate_low is not None
    assert verdict.candidate.pass_rate_high is not None
    assert verdict.candidate.pass_rate_low <= rate + 1e-9
    assert verdict.candidate.pass_rate_high >= rate - 1e-9


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from("+-?"), min_size=4, max_size=40), st.sampled_from([0.0, 0.1, 0.5]))
def test_unscored_exactly_when_too_much_is_missing(marks: list[str], limit: float) -> None:
    verdict = compare(run_of(marks, ["+"] * len(marks)), margin=0.05, alpha=ALPHA, unscored_max=limit)
    missing = marks.count("?")
    expected = missing > limit * len(marks) or missing == len(marks)
    assert (verdict.outcome is SuiteOutcome.UNSCORED) == expected
    assert not (expected and verdict.passes)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=7), st.data())
def test_pass_at_k_and_pass_hat_k_are_shares_of_all_choices_of_k_trials(
    trials: list[bool], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(trials)))
    choices = list(combinations(trials, k))
    assert pass_at_k(len(trials), sum(trials), k) == pytest.approx(sum(map(any, choices)) / len(choices))
    assert pass_hat_k(len(trials), sum(trials), k) == pytest.approx(sum(map(all, choices)) / len(choices))


@pytest.mark.parametrize(("trials", "passed", "k"), [(3, 1, 0), (3, 1, 4), (3, 4, 1), (0, 0, 1)])
def test_impossible_counts_are_refused(trials: int, passed: int, k: int) -> None:
    for formula in (pass_at_k, pass_hat_k):
        with pytest.raises(ValueError, match="want 1 <= k <= trials"):
            formula(trials, passed, k)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(1, 4)), min_size=2, max_size=12))
def test_a_whole_weight_counts_a_case_so_many_times_in_the_mean(weighted: list[tuple[int, int]]) -> None:
    values, weights = (np.array([pair[i] for pair in weighted], dtype=float) for i in (0, 1))
    assert mean_of(values, weights).value == pytest.approx(np.repeat(values, weights.astype(int)).mean())
    plain = mean_of(values, np.ones(len(values)))
    assert plain.error == pytest.approx(stats.sem(values))
    assert plain.freedom == len(values) - 1


@settings(max_examples=60, deadline=None)
@given(PAIRS, st.integers(1, 3))
def test_under_a_k_of_n_rule_a_case_passes_exactly_when_k_trials_do(
    pairs: list[tuple[str, str]], needed: int
) -> None:
    run = run_of([now for now, _ in pairs], [before for _, before in pairs], passes_min=needed)
    verdict = compare(run, margin=0.05, alpha=ALPHA, unscored_max=0.02)
    expected = [(now.count("+") >= needed) - (before.count("+") >= needed) for now, before in pairs]
    assert verdict.difference is not None
    assert verdict.difference.mean == pytest.approx(sum(expected) / len(expected))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1, 1), st.integers(1, 3), st.sampled_from("ab")), min_size=1, max_size=12)
)
def test_topics_keep_the_mean_and_count_as_one_fact_each(rows: list[tuple[float, int, str]]) -> None:
    values, weights = (np.array([row[i] for row in rows], dtype=float) for i in (0, 1))
    together, sizes = by_topic(values, weights, [topic for _, _, topic in rows])
    assert len(together) == len({topic for _, _, topic in rows})
    assert mean_of(together, sizes).value == pytest.approx(mean_of(values, weights).value, abs=1e-9)
    alone, unchanged = by_topic(values, weights, [""] * len(rows))
    assert sorted(alone) == pytest.approx(sorted(values))
    assert sorted(unchanged) == pytest.approx(sorted(weights))


def test_ten_copies_of_one_lost_topic_are_no_proof() -> None:
    lost, kept = ["---"] * 10, ["+++"] * 20
    pairs = [*((now, "+++") for now in lost), *((now, "+++") for now in kept)]
    candidate, stable = [now for now, _ in pairs], [before for _, before in pairs]
    alone = compare(run_of(candidate, stable), margin=0.05, alpha=ALPHA, unscored_max=0.0)
    together = compare(
        run_of(candidate, stable, topics={f"c{n}": "refunds" for n in range(10)}),
        margin=0.05, alpha=ALPHA, unscored_max=0.0,
    )  # fmt: skip
    assert alone.outcome is SuiteOutcome.REGRESSED
    assert together.outcome is SuiteOutcome.TOO_SMALL
    assert together.difference is not None
    assert (together.difference.cases, together.difference.topics) == (30, 21)
