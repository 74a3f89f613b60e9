"""What a bin of a mean metric's histogram stands for. Binning makes the counts of a stage mergeable, whatever the metric.

Scores lie in 0..1 and are binned linearly, 200 bins of half a point: the mean moves by at most a quarter point, equally in both arms.
Amounts (cost in USD, tokens) are binned by the logarithm, 16 bins per octave from 2^-24 on, like latencies: a bin is 4.4 % wide.
"""

from __future__ import annotations

import math
from typing import Final

SCORE_BINS: Final = 200
_PER_OCTAVE: Final = 16
_OCTAVE_MIN: Final = -24
"""Amounts below 2^-24 (6e-8) share the lowest positive bin; exactly nothing is bin 0."""


def score_bin(value: float) -> int:
    """Bin 0..200 of a score in 0..1: the nearest multiple of 1/200. Raises ValueError outside 0..1 and for NaN."""
    if not 0 <= value <= 1:
        message = f"a score is between 0 and 1, got {value!r}"
        raise ValueError(message)
    return round(value * SCORE_BINS)


def score_of(number: int) -> float:
    """The score that a bin stands for."""
    return number / SCORE_BINS


def amount_bin(value: float) -> int:
    """Bin >= 0 of an amount >= 0: 0 for nothing, else 1 + floor(16 * (log2(value) + 24)), at least 1. Raises ValueError below 0, NaN, inf."""
    if not 0 <= value < math.inf:
        message = f"an amount is a number from 0 on, got {value!r}"
        raise ValueError(message)
    if value == 0:
        return 0
    return 1 + max(0, math.floor(_PER_OCTAVE * (math.log2(value) - _OCTAVE_MIN)))


def amount_of(number: int) -> float:
    """The amount that a bin stands for: its geometric middle; 0 for bin 0."""
    return 0.0 if number == 0 else float(2 ** ((number - 0.5) / _PER_OCTAVE + _OCTAVE_MIN))


def is_score(metric: str) -> bool:
    """Whether a mean metric is a score in 0..1, higher is better; every other mean is an amount, lower is better."""
    return metric.startswith("score:")


def value_of(metric: str, number: int) -> float:
    """The value a bin of this metric stands for: `score:<name>` is a score, every other mean an amount."""
    return score_of(number) if is_score(metric) else amount_of(number)
