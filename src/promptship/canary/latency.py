"""Latency as a rate: how many answers took at least tau, a quantile of stable that was fixed before they were counted.

Comparing a quantile is comparing an exceedance rate: the candidate's p95 is worse than stable's exactly when more than 5 % of its
answers exceed stable's p95. So the e-process for rates judges latency too, from log-bucketed histograms and without raw samples
(statistics 2(c)). Bucket b holds 2^(b/16) ms <= latency < 2^((b+1)/16) ms; an edge b means "bucket b or higher".
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from promptship.canary.evidence import Counts, Histogram

QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)
"""Harm is the mean of the e-values at these: a shift of all answers and a heavier tail are both found. Safety is about p95 alone."""
P95: Final = QUANTILES.index(0.95)
REQUESTS_MIN: Final = 100
"""Answers of stable that fix the thresholds; a p99 of fewer would be their maximum."""
SAFETY_ODDS: Final = np.array([0.75, 0.5, 0.3, 0.15])
"""Alternatives of safety: odds that the candidate exceeds the widened threshold against those of stable exceeding its own."""
SAFETY_WEIGHTS: Final = np.array([0.25, 0.3, 0.25, 0.2])
_BUCKETS_PER_OCTAVE: Final = 16


def bucket(latency_ms: float) -> int:
    """Bucket of a latency: floor(16 log2(ms)), 0 below 1 ms."""
    return math.floor(_BUCKETS_PER_OCTAVE * math.log2(max(latency_ms, 1.0)))


def edge_ms(edge: int) -> float:
    """Milliseconds at an edge."""
    return float(2.0 ** (edge / _BUCKETS_PER_OCTAVE))


def quantile_edge(histogram: Histogram, quantile: float) -> int:
    """Upper edge of the bucket that holds the quantile: at most 1 - quantile of the answers are at or beyond it.

    Raises:
        ValueError: the histogram is empty; check `total` first.
    """
    wanted = quantile * total(histogram)
    seen = 0
    for number in sorted(histogram.buckets):
        seen += histogram.buckets[number]
        if seen >= wanted and seen > 0:
            return number + 1
    message = "an empty histogram has no quantile"
    raise ValueError(message)


def widened(edge: int, factor: float) -> int:
    """Edge at `1 + factor` times the latency, rounded up to the next edge (at most 4.4 % wider than asked for)."""
    # The small step back keeps exact powers, such as factor 1 = one octave, on their own edge.
    return edge + math.ceil(_BUCKETS_PER_OCTAVE * math.log2(1 + factor) - 1e-9)


def total(histogram: Histogram) -> int:
    """All answers of the histogram."""
    return sum(histogram.buckets.values())


def exceeding(histogram: Histogram, edge: int) -> Counts:
    """All answers as requests, those at or beyond the edge as events."""
    slow = sum(count for number, count in histogram.buckets.items() if number >= edge)
    return Counts(requests=total(histogram), events=slow)
