from __future__ import annotations

import json
from typing import Any

import pytest

from promptship.evals.compare import CHANGES_MAX, compare
from promptship.evals.rows import Asserted, Row, SuiteRun
from promptship.evals.score import Scored
from promptship.evals.verdict import Change, SuiteOutcome, SuiteVerdict
from tests.support.suite_runs import run_of


def judged(run: SuiteRun, **rules: Any) -> SuiteVerdict:
    return compare(
        run, **{"margin": 0.05, "alpha": 0.05, "unscored_max": 0.02, "pass_rate_min": 0.0, **rules}
    )


def test_many_cases_without_a_change_show_non_inferiority() -> None:
    verdict = judged(run_of(["+++"] * 80, ["+++"] * 80))
    assert (verdict.outcome, verdict.passes) == (SuiteOutcome.PASSED, True)
    assert verdict.difference is not None
    assert verdict.difference.mean == 0.0
    assert -0.05 < verdict.difference.low < -0.03


def test_few_cases_without_a_change_go_on_with_a_warning_that_names_the_drop() -> None:
    verdict = judged(run_of(["+++"] * 20, ["+++"] * 20))
    assert (verdict.outcome, verdict.passes) == (SuiteOutcome.TOO_SMALL, True)
    assert verdict.difference is not None
    # The exact bound for "no case of 20 differs" is 1 - 0.05 ** (1 / 20) = 0.139.
    assert verdict.difference.low == pytest.approx(-0.13, abs=0.01)
    assert "this suite of 20 cases only sees drops of about 12.31 points or more" in verdict.warnings[0]


def test_a_shown_drop_stops_the_release() -> None:
    verdict = judged(run_of(["+++"] * 20 + ["---"] * 10, ["+++"] * 30))
    assert (verdict.outcome, verdict.passes) == (SuiteOutcome.REGRESSED, False)
    assert verdict.because == "regression: -33.33 points over 30 cases; at best -18.46 points, p = 0.00034"
    assert verdict.counts == {Change.REGRESSED: 10, Change.UNCHANGED: 20}


def test_a_shown_drop_inside_the_margin_passes_and_is_told() -> None:
    run = run_of(["+"] * 990 + ["-"] * 10, ["+"] * 1000)
    assert judged(run, margin=0.05).outcome is SuiteOutcome.PASSED
    assert judged(run, margin=0.05).warnings == ("a small drop is shown (-1 points), inside the margin",)
    assert judged(run, margin=0.005).outcome is SuiteOutcome.REGRESSED


@pytest.mark.parametrize(
    ("cases", "trials", "outcome"),
    [
        (1, 1, "too_small"),
        (1, 2, "too_small"),
        (1, 3, "regressed"),
        (2, 1, "too_small"),
        (2, 2, "regressed"),
        (5, 1, "regressed"),
    ],
)
def test_everything_lost_is_a_regression_as_soon_as_chance_is_excluded(
    cases: int, trials: int, outcome: str
) -> None:
    verdict = judged(run_of(["-" * trials] * cases, ["+" * trials] * cases))
    assert verdict.outcome == outcome


@pytest.mark.parametrize(("cases", "outcome"), [(4, "too_small"), (5, "regressed")])
def test_equal_drops_in_every_case_are_judged_by_the_sign_test(cases: int, outcome: str) -> None:
    assert judged(run_of(["+-"] * cases, ["++"] * cases)).outcome == outcome


def test_one_case_cannot_show_anything_and_says_so() -> None:
    verdict = judged(run_of(["++-"], ["+++"]))
    assert (verdict.outcome, verdict.passes) == (SuiteOutcome.TOO_SMALL, True)
    assert verdict.warnings == ("one case cannot show whether a version is worse; add cases",)
    assert verdict.difference is not None
    assert verdict.difference.error is None


def test_missing_scores_are_never_a_verdict() -> None:
    lost = judged(run_of(["+++"] * 29 + ["+??"], ["+++"] * 30))
    assert (lost.outcome, lost.passes) == (SuiteOutcome.UNSCORED, False)
    assert lost.because == "2 of 90 trials of candidate have no score; at most 2% may be missing"
    assert lost.unscored_because == (("the judge did not answer", 2),)
    assert judged(run_of(["+++"] * 29 + ["++?"], ["+++"] * 30)).outcome is not SuiteOutcome.UNSCORED
    assert judged(run_of(["+++"] * 30, ["+++"] * 29 + ["+??"])).outcome is SuiteOutcome.UNSCORED
    assert judged(run_of(["---"] * 29 + ["???"], ["+++"] * 30)).outcome is SuiteOutcome.UNSCORED
    assert judged(run_of(["???"] * 3, ["+++"] * 3), unscored_max=1.0).outcome is SuiteOutcome.UNSCORED
    assert judged(run_of(["?"])).outcome is SuiteOutcome.UNSCORED


def test_a_blocking_case_without_a_score_is_no_verdict_whatever_may_be_missing() -> None:
    run = run_of({"a": "+++", "b": "???"}, {"a": "+++", "b": "+++"}, blocking=["b"])
    assert judged(run, unscored_max=1.0).outcome is SuiteOutcome.UNSCORED


@pytest.mark.parametrize(
    ("candidate", "stable", "outcome"),
    [
        ("---", "+--", "regressed"),
        ("---", "---", "too_small"),
        ("+--", "+++", "too_small"),
        ("---", "?--", "too_small"),
    ],
)
def test_a_blocking_case_is_lost_when_every_trial_fails_and_stable_passed_one(
    candidate: str, stable: str, outcome: str
) -> None:
    others = {f"c{n}": "+++" for n in range(9)}
    run = run_of({**others, "b": candidate}, {**others, "b": stable}, blocking=["b"])
    verdict = judged(run, unscored_max=0.1)
    assert verdict.outcome == outcome
    if outcome == "regressed":
        assert verdict.because == "blocking case b passes in 0 of 3 trials, with stable in 1 of 3"


@pytest.mark.parametrize(("trials", "outcome"), [("+--", "below_floor"), ("+-", "passed"), ("++-", "passed")])
def test_without_stable_a_blocking_case_must_not_fail_most_of_its_trials(trials: str, outcome: str) -> None:
    verdict = judged(run_of({"a": "+++", "b": trials}, blocking=["b"]))
    assert verdict.outcome == outcome
    assert judged(run_of({"a": "+++", "b": trials}, {"a": "+++"}, blocking=["b"])).outcome in {
        outcome,
        "too_small",
    }


def test_the_floor_is_absolute_with_and_without_stable() -> None:
    for stable in (None, ["++--"] * 60):
        assert judged(run_of(["++--"] * 60, stable), pass_rate_min=0.5).passes
        below = judged(run_of(["++--"] * 60, stable), pass_rate_min=0.51)
        assert (below.outcome, below.passes) == (SuiteOutcome.BELOW_FLOOR, False)
        assert below.because == "pass rate 50%; the plan wants at least 51%"


def test_without_stable_there_is_only_the_floor() -> None:
    verdict = judged(run_of(["---"] * 5))
    assert (verdict.outcome, verdict.stable, verdict.difference) == (SuiteOutcome.PASSED, None, None)
    assert "no stable version" in verdict.because
    assert any("pass_rate_min" in warning for warning in verdict.warnings)
    for clean in (judged(run_of(["+++"] * 5)), judged(run_of(["++-"] * 5), pass_rate_min=0.5)):
        assert (clean.outcome, clean.warnings) == (SuiteOutcome.PASSED, ())


def test_cases_are_sorted_into_four_kinds_and_the_worst_come_first() -> None:
    run = run_of({"same": "+++", "bad": "---", "lost": "+--", "won": "+++", "odd": "++-", "block": "---"},
                 {"same": "+++", "bad": "---", "lost": "++-", "won": "---", "odd": "+++", "block": "+++"}, blocking=["block"])  # fmt: skip
    verdict = judged(run)
    assert [(change.case, change.change) for change in verdict.changes] == [
        ("block", Change.REGRESSED), ("lost", Change.REGRESSED), ("odd", Change.FLAKY), ("won", Change.IMPROVED),
    ]  # fmt: skip
    assert verdict.counts == {Change.FLAKY: 1, Change.IMPROVED: 1, Change.REGRESSED: 2, Change.UNCHANGED: 2}


def test_without_stable_cases_pass_fail_or_are_flaky() -> None:
    verdict = judged(run_of({"a": "+++", "b": "---", "c": "+--", "d": "???"}), unscored_max=0.5)
    assert [(change.case, change.change) for change in verdict.changes] == [
        ("b", Change.FAILS), ("d", Change.UNSCORED), ("c", Change.FLAKY),
    ]  # fmt: skip
    assert verdict.counts == {Change.FAILS: 1, Change.FLAKY: 1, Change.PASSES: 1, Change.UNSCORED: 1}


def test_weights_count_in_rate_and_difference() -> None:
    run = run_of({"a": "++", "b": "--"}, {"a": "++", "b": "++"}, weights={"a": 3.0, "b": 1.0})
    verdict = judged(run)
    assert verdict.candidate.pass_rate == pytest.approx(0.75)
    assert verdict.difference is not None
    assert verdict.difference.mean == pytest.approx(-0.25)


def test_the_verdict_is_small_and_holds_no_text_of_prompt_or_answer() -> None:
    base = run_of(["---"] * 500, ["+++"] * 500)
    secret = "my card is 4111 1111 1111 1111"
    rows = tuple(
        Row(case=row.case, arm=row.arm, trial=row.trial, digest="", answers=(secret,),
            score=Scored(row.arm == "stable", 0.0, secret),
            asserted=(Asserted(label="contains", turn=0, score=Scored(row.arm == "stable", 0.0, secret)),))
        for row in base.rows
    )  # fmt: skip
    verdict = judged(SuiteRun(suite="s", arms=base.arms, cases=base.cases, rows=rows))
    text = verdict.model_dump_json()
    assert secret not in text
    assert (len(verdict.changes), verdict.left_out) == (CHANGES_MAX, 300)
    assert verdict.changes[0].failing == (("contains", 3),)
    assert len(text) < 60_000
    assert SuiteVerdict.model_validate(json.loads(text)) == verdict


def test_reliability_and_spending_are_summed_per_version() -> None:
    verdict = judged(run_of(["+-", "++"], ["++", "++"]))
    arm = verdict.candidate
    assert (arm.k, arm.pass_at_k, arm.pass_hat_k, arm.pass_rate) == (2, 1.0, 0.5, 0.75)
    assert (arm.tokens_in, arm.tokens_out, arm.latency_ms_median, arm.trials) == (40, 20, 100.0, 4)
