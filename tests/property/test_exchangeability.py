"""The promise of drift detection: no false alarm beyond alpha in a whole life, whoever looks when; and real drift is found."""

import random
from collections import Counter
from math import exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.evals.drift import Drift, after_look
from promptship.evals.exchangeability import Evidence, begun, bet, rank_of_failure, rank_of_rarity, tie_of
from promptship.evals.probes import Probing, after_round
from promptship.evals.rows import Row
from promptship.evals.score import Scored, Unscored

ALPHA = 0.05


def partitions(intervals: list[tuple[float, float]]) -> bool:
    """Whether a rank drawn evenly from an interval that is drawn evenly is even on 0..1."""
    distinct = Counter((round(low, 9), round(high, 9)) for low, high in intervals)
    edge = 0.0
    for (low, high), times in sorted(distinct.items()):
        if abs(low - edge) > 1e-8 or abs((high - low) - times / len(intervals)) > 1e-8:
            return False
        edge = high
    return abs(edge - 1.0) < 1e-8


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_whichever_trial_comes_last_its_rank_is_even(fails: list[bool]) -> None:
    intervals = []
    for last in fails:
        failed = sum(fails) - last
        passed = len(fails) - 1 - failed
        low, high = (rank_of_failure(passed, failed, fails=last, tie=tie) for tie in (0.0, 1.0))
        intervals.append((low, high))
    assert partitions(intervals)


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=30))
def test_whichever_answer_comes_last_its_rank_is_even(kinds: list[str]) -> None:
    intervals = []
    for last in kinds:
        before = Counter(kinds) - Counter([last])
        low, high = (rank_of_rarity(before, last, tie=tie) for tie in (0.0, 1.0))
        intervals.append((low, high))
    assert partitions(intervals)


@given(st.lists(st.floats(0, 1), max_size=20))
@settings(max_examples=15)
def test_an_even_rank_changes_no_capital_on_average(before: list[float]) -> None:
    evidence = begun()
    for rank in before:
        evidence = bet(evidence, rank)
    # Ranks are spaced so that the steep end of the bets is met often: dp = 5 u^4 du.
    steps = (np.arange(200) + 0.5) / 200
    gains = [exp(bet(evidence, u**5).log_e - evidence.log_e) * 5 * u**4 for u in steps]
    assert np.mean(gains) == pytest.approx(1.0, abs=3e-3)


@given(st.lists(st.floats(0, 1), max_size=40))
def test_what_was_shown_once_stays_shown(ranks: list[float]) -> None:
    evidence, most = begun(), 0.0
    for rank in ranks:
        evidence = bet(evidence, rank)
        most = max(most, evidence.log_e)
        assert evidence.peak == most
    assert evidence.shows(ALPHA) == (most >= -np.log(ALPHA))


def test_evidence_begins_with_a_capital_of_one() -> None:
    assert begun().log_e == pytest.approx(0.0)
    assert not Evidence(begun().logs).shows(0.2)


def rows(rates: list[float], trials: int, rng: random.Random) -> list[tuple[str, Row]]:
    return [
        (f"c{case}", Row(case=f"c{case}", arm="candidate", trial=trial, digest="", score=_score(rng.random() < rate)))
        for case, rate in enumerate(rates)
        for trial in range(trials)
    ]  # fmt: skip


def _score(passed: bool) -> Scored:
    return Scored(passed, float(passed))


def life(rates: list[list[float]], seed: int, trials: int = 2) -> int | None:
    """The look that raised the alarm; somebody looks after every one, and stops at the first."""
    rng = random.Random(seed)
    state = Drift(version="v", model="m")
    for number, now in enumerate(rates):
        state = after_look(state, rows(now, trials, rng), salt=str(seed))
        if state.evidence.shows(ALPHA):
            return number
    return None


@pytest.mark.parametrize("lives", [20, pytest.param(400, marks=pytest.mark.slow)])
def test_nothing_changed_and_somebody_looks_every_day(lives: int) -> None:
    mixed = random.Random(7)
    alarms = 0
    for seed in range(lives):
        rates = [mixed.choice((1.0, 0.95, 0.7, 0.5, 0.0)) for _ in range(8)]
        alarms += life([rates] * 16, seed) is not None
    assert alarms / lives <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / lives) ** 0.5


def test_becoming_better_is_no_alarm() -> None:
    assert all(life([[0.5] * 8] * 6 + [[1.0] * 8] * 8, seed) is None for seed in range(10))


def test_drift_is_found_soon_however_late_it_comes() -> None:
    found = [life([[0.97] * 20] * 6 + [[0.6] * 20] * 4, seed) for seed in range(10)]
    assert sum(look is not None and look >= 6 for look in found) >= 9


@given(st.integers(0, 2**32), st.integers(1, 4))
@settings(max_examples=20)
def test_what_has_no_score_says_nothing(seed: int, trials: int) -> None:
    rng = random.Random(seed)
    first, second = rows([0.5] * 3, trials, rng), rows([0.5] * 3, trials, rng)
    lost = [("c9", Row(case="c9", arm="candidate", trial=0, digest="", score=Unscored("down")))]
    state = after_look(Drift(version="v", model="m"), first)
    assert after_look(state, second + lost) == after_look(state, second)
    assert after_look(state, lost) == state
    assert Drift.of(state.data()) == state


def test_a_case_that_is_edited_begins_anew() -> None:
    rng = random.Random(1)
    state = after_look(Drift(version="v", model="m"), rows([1.0] * 5, 5, rng))
    edited = [(f"{name}@2", row) for name, row in rows([0.0] * 5, 5, rng)]
    assert after_look(state, edited).evidence == begun()
    assert after_look(state, rows([0.0] * 5, 5, rng)).evidence.shows(ALPHA)


def probe_life(habits: list[list[float]], seed: int) -> int | None:
    rng = random.Random(seed)
    state = Probing()
    for number, weights in enumerate(habits):
        kinds = [(f"p{one % 12}", str(rng.choices(range(len(weights)), weights)[0])) for one in range(36)]
        state = after_round(state, kinds, salt=str(seed))
        if state.evidence.shows(ALPHA):
            return number
    return None


@pytest.mark.parametrize("lives", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_probes_of_an_unchanged_model_raise_no_alarm_and_of_another_one_do(lives: int) -> None:
    habits, others = [0.6, 0.2, 0.1, 0.1, 0.0, 0.0], [0.1, 0.1, 0.0, 0.0, 0.4, 0.4]
    alarms = [probe_life([habits] * 10, seed) for seed in range(lives)]
    assert (
        sum(look is not None for look in alarms) / lives <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / lives) ** 0.5
    )
    found = [probe_life([habits] * 4 + [others] * 3, seed) for seed in range(lives)]
    assert sum(look is not None and look >= 4 for look in found) >= 0.8 * lives


def test_probing_is_kept_whole() -> None:
    state = after_round(after_round(Probing(), [("a", "1")], salt="s"), [("a", "2")], salt="s")
    assert Probing.of(state.data()) == state
    assert (state.rounds, state.bags) == (2, {"a": {"1": 1, "2": 1}})
    assert 0 < tie_of("a", 1) < 1
