"""Seeded simulations of corrected pass rates: their intervals hold the truth, the judge's own rate does not."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from promptship.evals.judges.agreement import kappa
from promptship.evals.judges.calibration import Answered, Calibration, measured
from promptship.evals.judges.correction import Assuming, Corrected, corrected_pass_rate
from promptship.evals.judges.labels import Label

pytestmark = pytest.mark.slow

RUNS = 250


def drawn(
    random: np.random.Generator, count: int, truth: float, sensitivity: float, specificity: float
) -> tuple[list[bool], list[bool]]:
    human = random.random(count) < truth
    judge = np.where(human, random.random(count) < sensitivity, random.random(count) >= specificity)
    return list(map(bool, human)), list(map(bool, judge))


def calibrated(human: list[bool], judge: list[bool]) -> Calibration:
    answered = [
        Answered(label=Label(line=2, output="", score=float(one)), passed=other, score=None)
        for one, other in zip(human, judge, strict=True)
    ]
    return measured(answered, name="x")


def holds(found: object, truth: float) -> bool:
    assert isinstance(found, Corrected)
    return found.low <= truth <= found.high


@pytest.mark.parametrize(
    ("labels", "cases", "sensitivity", "specificity"), [(100, 500, 0.95, 0.6), (150, 800, 0.85, 0.85)]
)
def test_the_corrected_interval_covers_and_the_naive_one_does_not(
    labels: int, cases: int, sensitivity: float, specificity: float
) -> None:
    random = np.random.default_rng(7)
    truth = 0.75
    covered = {"same answers": 0, "same errors": 0, "naive": 0, "kappa": 0}
    shorter = 0.0
    share = truth * sensitivity + (1 - truth) * (1 - specificity)
    chance = truth * share + (1 - truth) * (1 - share)
    agreed = truth * sensitivity + (1 - truth) * specificity
    for _ in range(RUNS):
        calibration = calibrated(*drawn(random, labels, truth, sensitivity, specificity))
        rate = float(np.mean(drawn(random, cases, truth, sensitivity, specificity)[1]))
        for assuming in Assuming:
            covered[assuming] += holds(
                corrected_pass_rate(rate, cases, calibration, assuming=assuming), truth
            )
        covered["naive"] += abs(rate - truth) <= 1.96 * sqrt(rate * (1 - rate) / cases)
        assert calibration.kappa is not None
        covered["kappa"] += (
            calibration.kappa.low <= (agreed - chance) / (1 - chance) <= calibration.kappa.high
        )
        powered = corrected_pass_rate(rate, cases, calibration, assuming=Assuming.SAME_ANSWERS)
        assert isinstance(powered, Corrected)
        mean = calibration.moments.mean_human
        shorter += (powered.high - powered.low) < 2 * 1.96 * sqrt(mean * (1 - mean) / labels)
    assert covered["same answers"] >= 0.92 * RUNS
    assert covered["same errors"] >= 0.92 * RUNS
    assert covered["kappa"] >= 0.9 * RUNS
    assert covered["naive"] <= 0.75 * RUNS
    assert shorter >= 0.9 * RUNS  # than what the labels alone would say


def test_only_the_one_for_other_answers_holds_when_the_suite_got_better() -> None:
    random = np.random.default_rng(8)
    covered = dict.fromkeys(Assuming, 0)
    drifts = 0
    for _ in range(RUNS):
        calibration = calibrated(*drawn(random, 120, 0.7, 0.92, 0.75))
        rate = float(np.mean(drawn(random, 600, 0.9, 0.92, 0.75)[1]))
        for assuming in Assuming:
            found = corrected_pass_rate(rate, 600, calibration, assuming=assuming)
            covered[assuming] += holds(found, 0.9)
        assert isinstance(found, Corrected)
        drifts += found.drift > 2
    assert covered[Assuming.SAME_ERRORS] >= 0.92 * RUNS
    assert covered[Assuming.SAME_ANSWERS] <= 0.3 * RUNS
    assert drifts >= 0.8 * RUNS  # and it is said


def test_kappa_of_the_simulation_is_that_of_its_counts() -> None:
    human, judge = drawn(np.random.default_rng(9), 20_000, 0.75, 0.95, 0.6)
    found = kappa(calibrated(human, judge).counts)
    assert found == pytest.approx(0.6, abs=0.02)
