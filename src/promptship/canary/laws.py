"""What answers are assumed to be like when a canary is simulated: one law per guardrail, of stable and of a candidate that is worse."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from promptship.canary import latency, scale
from promptship.canary.eprocess import Floats
from promptship.canary.evidence import Histogram
from promptship.canary.mean_watch import badness, cap_of
from promptship.release.plan import is_latency, is_mean

BINS_MAX: Final = 24
"""Values that a mean is simulated with: what a histogram has more is merged, which keeps the mean and widens nothing."""
_PER_OCTAVE: Final = 16
_ANSWERS: Final = 1_000_000
"""Answers of a made-up histogram: enough that rounding them to whole numbers changes no quantile."""
_LATENCY_SIGMA: Final = 0.6
"""Spread of a lognormal latency whose p95 alone is known: its p50 is 0.37 of it."""
_AMOUNT_SIGMA: Final = 1.0
_SCORE_SD: Final = 0.2


@dataclass(frozen=True, slots=True)
class RateLaw:
    """Bad with the same chance, each request for itself."""

    rate: float

    def worse(self, effect: float) -> float:
        """The candidate's rate, `effect` relative: 0.15 is 15 % more bad requests."""
        return min(self.rate * (1 + effect), 1.0)


@dataclass(frozen=True, slots=True)
class LatencyLaw:
    """Latency as stable's histogram has it. Thresholds are its quantiles, as a release sets them from its history."""

    histogram: Histogram

    @property
    def edges(self) -> tuple[int, ...]:
        """Stable's threshold per quantile of `latency.QUANTILES`."""
        return tuple(latency.quantile_edge(self.histogram, quantile) for quantile in latency.QUANTILES)

    def cells(self, cuts: tuple[int, ...], effect: float = 0.0) -> Floats:
        """Chances of lying below the first cut, between it and the second ... and beyond the last, all answers `1 + effect` as long.

        Inside a bucket answers are even, so that an effect smaller than a bucket is one.
        """
        shift = _PER_OCTAVE * math.log2(1 + effect)
        numbers, parts = _parts(self.histogram)
        below = [
            float(parts @ np.clip(cut - shift - numbers, 0.0, 1.0))
            if effect
            else float(parts[numbers < cut].sum())
            for cut in cuts
        ]
        return np.asarray(np.maximum(np.diff([0.0, *below, 1.0]), 0.0))


@dataclass(frozen=True, slots=True)
class MeanLaw:
    """A score or an amount as stable's histogram has it, in few bins."""

    metric: str
    histogram: Histogram

    @property
    def bins(self) -> tuple[int, ...]:
        """The bins that occur, in order."""
        return tuple(sorted(self.histogram.buckets))

    @property
    def cap(self) -> float:
        """What an amount counts at most; 1 for scores."""
        return cap_of(self.metric, self.histogram) or 1.0

    @property
    def values(self) -> Floats:
        """What the bins count as: 0..1, lower is better."""
        return badness(self.metric, self.bins, self.cap)

    def chances(self, effect: float = 0.0) -> Floats:
        """Chance of each bin, the mean of what is bad `1 + effect` times stable's: the law is tilted towards the worse values."""
        _, parts = _parts(self.histogram)
        values = self.values
        wanted = min(float(parts @ values) * (1 + effect), float(values.max()))
        low, high = 0.0, 60.0
        if not effect:
            return parts
        for _ in range(60):
            tilt = (low + high) / 2
            low, high = (tilt, high) if _tilted(parts, values, tilt) @ values < wanted else (low, tilt)
        return _tilted(parts, values, low)


Law = RateLaw | LatencyLaw | MeanLaw


def assumed(metric: str, number: float) -> Law:
    """A law from one number: a rate (0..1), the p95 of latency in ms, or a mean in the metric's unit.

    Made up are the shapes: latencies lognormal with a sigma of 0.6, amounts with one of 1, scores beta with a deviation of 0.2 (less near
    0 and 1).
    """
    if is_latency(metric):
        return LatencyLaw(
            _lognormal(math.log(number) - 1.6449 * _LATENCY_SIGMA, _LATENCY_SIGMA, latency.bucket)
        )
    if not is_mean(metric):
        return RateLaw(number)
    if scale.is_score(metric):
        return measured_mean(metric, _beta(number))
    centre = math.log(number) - _AMOUNT_SIGMA**2 / 2
    return measured_mean(metric, _lognormal(centre, _AMOUNT_SIGMA, scale.amount_bin))


def measured_mean(metric: str, histogram: Histogram) -> MeanLaw:
    """The law of a histogram, with at most `BINS_MAX` bins: neighbours are merged until few are left."""
    buckets = histogram.buckets
    numbers = sorted(number for number, count in buckets.items() if count)
    width = max(1, math.ceil((numbers[-1] - numbers[0] + 1) / BINS_MAX))
    merged: dict[int, list[int]] = {}
    for number in numbers:
        merged.setdefault((number - numbers[0]) // width, []).append(number)
    middles = {}
    for group in merged.values():
        weight = sum(buckets[number] for number in group)
        middles[round(sum(number * buckets[number] for number in group) / weight)] = weight
    return MeanLaw(metric, Histogram(buckets=middles))


def _parts(histogram: Histogram) -> tuple[Floats, Floats]:
    numbers = np.array(sorted(histogram.buckets), dtype=np.float64)
    counts = np.array([histogram.buckets[int(number)] for number in numbers], dtype=np.float64)
    return numbers, counts / counts.sum()


def _tilted(parts: Floats, values: Floats, tilt: float) -> Floats:
    weighed = parts * np.exp(tilt * (values - values.max()))
    return np.asarray(weighed / weighed.sum())


def _lognormal(centre: float, sigma: float, bin_of: object) -> Histogram:
    """Answers at the middles of 2,000 equally likely slices."""
    from scipy.special import ndtri  # only planning without a history needs it

    slices = np.exp(centre + sigma * ndtri((np.arange(2000) + 0.5) / 2000))
    assert callable(bin_of)  # noqa: S101
    numbers, counts = np.unique([bin_of(value) for value in slices.tolist()], return_counts=True)
    return _histogram(numbers.tolist(), counts / counts.sum())


def _beta(mean: float) -> Histogram:
    from scipy.special import betainc  # as above

    spread = min(_SCORE_SD, 0.6 * math.sqrt(mean * (1 - mean)))
    size = mean * (1 - mean) / spread**2 - 1
    ends = np.linspace(0, 1, BINS_MAX + 1)
    parts = np.diff(betainc(mean * size, (1 - mean) * size, ends))
    return _histogram([scale.score_bin(value) for value in ((ends[1:] + ends[:-1]) / 2).tolist()], parts)


def _histogram(numbers: list[int], parts: Floats) -> Histogram:
    counts = np.round(parts * _ANSWERS).astype(int).tolist()
    return Histogram(buckets={number: count for number, count in zip(numbers, counts, strict=True) if count})
