"""How often the regression verdict is wrong: small simulations of the table in the statistics reference, section 5 (offline)."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from promptship.evals.statistics import paired

RUNS: Final = 600
SLACK: Final = 0.025
"""Beyond 2.5 standard errors of a rate of 5 % in 600 runs."""
Rates = NDArray[np.float64]


def easy(random: np.random.Generator, cases: int) -> Rates:
    """Most cases pass nearly always, a few are flaky or hopeless."""
    return random.beta(4.0, 0.6, cases)


def shares(
    random: np.random.Generator, before: Rates, after: Rates, trials: int
) -> tuple[float, float, float]:
    """Shares of runs in which a drop is shown, in which non-inferiority at 5 points is shown, and the mean difference."""
    dropped = inside = 0
    total = 0.0
    for _ in range(RUNS):
        cases = random.integers(0, len(before), 100)
        now, then = random.binomial(trials, after[cases]), random.binomial(trials, before[cases])
        result = paired((now - then) / trials, np.ones(len(cases)), trials * len(cases), 0.05)
        dropped += result.p_drop is not None and result.p_drop <= 0.05
        inside += result.low > -0.05
        total += result.mean
    return dropped / RUNS, inside / RUNS, total / RUNS


@pytest.mark.parametrize("trials", [1, 5])
def test_an_unchanged_prompt_is_called_worse_in_about_one_run_of_twenty(trials: int) -> None:
    random = np.random.default_rng(7)
    rates = easy(random, 20_000)
    false_alarms, _, _ = shares(random, rates, rates, trials)
    assert 0.02 <= false_alarms <= 0.05 + SLACK


def test_other_cases_with_the_same_mean_are_no_regression() -> None:
    """Where pooled trials are wrong in 17 %: the new prompt wins some cases and loses as many."""
    random = np.random.default_rng(8)
    rates = easy(random, 20_000)
    false_alarms, _, _ = shares(random, rates, random.permutation(rates), 5)
    assert false_alarms <= 0.05 + SLACK


def test_three_points_lost_are_found_as_often_as_the_reference_says() -> None:
    random = np.random.default_rng(9)
    rates = easy(random, 20_000)
    found, _, mean = shares(random, rates, np.clip(rates - 0.032, 0.0, 1.0), 5)
    assert mean == pytest.approx(-0.03, abs=0.003)
    assert 0.40 <= found <= 0.70


@pytest.mark.parametrize("kind", ["spread", "rare"])
def test_a_loss_as_large_as_the_margin_rarely_passes_as_non_inferior(kind: str) -> None:
    random = np.random.default_rng(10)
    before = np.ones(20_000) if kind == "rare" else np.full(20_000, 0.85)
    after = np.where(random.random(20_000) < 0.05, 0.0, before) if kind == "rare" else before - 0.05
    _, inside, mean = shares(random, before, after, 3)
    assert mean == pytest.approx(-0.05, abs=0.004)
    assert inside <= 0.05 + SLACK
