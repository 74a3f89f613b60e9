"""The word of a report and the exit status of the command: one decision, and "not measured" is neither yes nor no."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from promptship.errors import ConfigError, PromptshipError, Refused, Unavailable
from promptship.evals.outcome import (
    NOTHING_TO_JUDGE_BY,
    WORDS,
    Word,
    because_of,
    concluded,
    of_trials,
    word_of,
)
from promptship.evals.verdict import ArmSummary, Rules, SuiteOutcome, SuiteVerdict

counts = st.integers(0, 40)


def verdict(outcome: SuiteOutcome) -> SuiteVerdict:
    return SuiteVerdict(
        suite="s", outcome=outcome, passes=WORDS[outcome].exit_code == 0, because="", cases=1,
        rules=Rules(margin=0.1, alpha=0.05, unscored_max=0.0, pass_rate_min=0.0), candidate=ArmSummary(trials=0, unscored=0),
        stable=ArmSummary(trials=0, unscored=0),
    )  # fmt: skip


@given(
    st.sampled_from(SuiteOutcome),
    st.booleans(),
    st.sampled_from([0.0, 0.5]),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_passed_is_no_verdict_exactly_when_trials_failed_and_there_was_nothing_to_judge_by(
    outcome: SuiteOutcome, compared: bool, floor: float, rate: float
) -> None:
    one = verdict(outcome)
    one = one.model_copy(
        update={
            "stable": one.stable if compared else None,
            "rules": one.rules.model_copy(update={"pass_rate_min": floor}),
            "candidate": ArmSummary(pass_rate=rate, trials=10, unscored=0),
            "because": "half of trials pass",
        }
    )
    nothing = outcome is SuiteOutcome.PASSED and not compared and not floor and rate < 1
    assert word_of(one) is (Word.NO_VERDICT if nothing else WORDS[outcome])
    assert concluded([one]).exit_code == (3 if nothing else WORDS[outcome].exit_code)
    assert because_of(one).startswith(NOTHING_TO_JUDGE_BY) == nothing
    assert "half of trials pass" in because_of(one)


@given(counts, counts, counts, st.sampled_from([0, 40, 50, 95, 100]))
def test_a_run_passes_exactly_when_it_would_whatever_the_missing_scores_were(
    passed: int, failed: int, unscored: int, needed: int
) -> None:
    word = of_trials(passed, failed, unscored, needed / 100)
    rows = passed + failed + unscored
    least, most = (Fraction(100 * count, rows) if rows else None for count in (passed, passed + unscored))
    if not passed + failed or least is None or most is None:
        assert word is Word.NO_VERDICT
        return
    assert (word is Word.PASSED) == (least >= needed)
    assert (word is Word.FAILED) == (most < needed)
    assert (word is Word.NO_VERDICT) == (least < needed <= most)
    assert concluded(passed=passed, failed=failed, unscored=unscored, pass_rate_min=needed / 100).word is word


@given(st.lists(st.sampled_from(SuiteOutcome), min_size=1), counts)
def test_the_worst_verdict_decides_and_trials_do_not(outcomes: list[SuiteOutcome], failed: int) -> None:
    said = concluded([verdict(outcome) for outcome in outcomes], failed=failed)
    assert said.exit_code == max(WORDS[outcome].exit_code for outcome in outcomes)
    assert said.exit_code == said.word.exit_code
    assert (said.exit_code == 0) == all(verdict(outcome).passes for outcome in outcomes)
    assert (said.word is Word.PASSED) == (set(outcomes) == {SuiteOutcome.PASSED})


@given(
    st.lists(st.sampled_from([Unavailable("x"), Refused("x"), ConfigError([])]), min_size=1),
    st.lists(st.sampled_from(SuiteOutcome)),
    counts,
)
def test_with_an_endpoint_down_there_is_no_verdict(
    errors: list[PromptshipError], outcomes: list[SuiteOutcome], passed: int
) -> None:
    down = {str(number): error for number, error in enumerate(errors)}
    said = concluded([verdict(outcome) for outcome in outcomes], passed=passed, down=down)
    assert said.word is Word.NO_VERDICT
    assert said.exit_code == (2 if any(isinstance(error, ConfigError) for error in errors) else 3)


def test_every_word_has_a_status_and_a_tone_that_agree() -> None:
    assert {word: (word.exit_code, word.tone) for word in Word} == {
        Word.PASSED: (0, "go"), Word.GOES_ON: (0, "wait"), Word.REJECTED: (1, "stop"), Word.FAILED: (1, "stop"),
        Word.NO_VERDICT: (3, "wait"),
    }  # fmt: skip
    assert set(WORDS) == set(SuiteOutcome)
