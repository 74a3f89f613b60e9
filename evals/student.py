"""Student's t, in plain floats: scipy.special says the same, and takes 150 ms to load, which is a tenth of a short run.

P(T <= t) is half of a regularised incomplete beta function, I_x(v/2, 1/2) at x = v / (v + t^2) (DLMF 8.17.5 and its use in
Abramowitz & Stegun 26.7.1), which is found from its continued fraction (DLMF 8.17.22) by Lentz's method. Agrees with scipy to
10 digits (tests/property/test_evals_student.py).
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, inf, isnan, lgamma, log1p, nan, pi, sqrt
from statistics import NormalDist
from typing import Final

_TINY: Final = 1e-300
_EPSILON: Final = 4e-16
_STEPS_MAX: Final = 20_000
_LARGE: Final = 60.0
_RATIO: Final = (1.0, -1 / 8, 1 / 128, 5 / 1024, -21 / 32768, -399 / 262144, 869 / 4194304)
"""Of gamma(a + 1/2) / (gamma(a) sqrt(a)) in powers of 1/a (DLMF 5.11.13)."""


def lower(freedom: float, t: float) -> float:
    """P(T <= t), for `freedom` > 0 degrees of freedom; not a number when t is none."""
    if isnan(t):
        return nan
    tail = _tail(freedom, abs(t))
    return tail if t <= 0 else 1.0 - tail


@lru_cache(maxsize=4096)
def quantile(p: float, freedom: float) -> float:
    """The t with P(T <= t) = p, for 0 < p < 1 and `freedom` > 0."""
    if p == 0.5:  # noqa: PLR2004 - the middle
        return 0.0
    if p < 0.5:  # noqa: PLR2004
        return -_upper(p, freedom)
    return _upper(1.0 - p, freedom)


def _upper(tail: float, freedom: float) -> float:
    """The t > 0 with P(T > t) = `tail` < 1/2.

    The tail is convex there and the normal quantile lies before the root, so Newton's steps climb to it and never pass it.
    """
    t = -NormalDist().inv_cdf(tail)
    for _ in range(_STEPS_MAX):
        step = (_tail(freedom, t) - tail) / _density(freedom, t)
        t += step
        if step <= 1e-14 * t:  # also backwards, which is rounding
            break
    return t


def _tail(freedom: float, t: float) -> float:
    """P(T > t), t >= 0."""
    if t == inf:
        return 0.0
    a, square = freedom / 2, t * t
    front = _front(freedom, t)
    if square > freedom * 1.5 / (a + 1.0):  # where the fraction ends soon (DLMF 8.17.22)
        return front * _fraction(a, 0.5, freedom / (freedom + square)) / freedom
    return 0.5 - front * _fraction(0.5, a, square / (freedom + square))


def _front(freedom: float, t: float) -> float:
    """x^a (1 - x)^b / B(a, b)."""
    a = freedom / 2
    return exp(-a * log1p(t * t / freedom)) * t / sqrt(freedom + t * t) * _ratio(a) / sqrt(pi)


def _density(freedom: float, t: float) -> float:
    a = freedom / 2
    return _ratio(a) / sqrt(pi * freedom) * exp(-(a + 0.5) * log1p(t * t / freedom))


def _ratio(a: float) -> float:
    """gamma(a + 1/2) / gamma(a); the difference of two large logarithms would cost digits."""
    if a < _LARGE:
        return exp(lgamma(a + 0.5) - lgamma(a))
    total = 0.0
    for coefficient in reversed(_RATIO):
        total = total / a + coefficient
    return sqrt(a) * total


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of I_x(a, b): 1 / (1 + d1 / (1 + d2 / ...))."""
    c, d = 1.0, 1.0 / _not_0(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _STEPS_MAX):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _not_0(1.0 + term * d)
            c = _not_0(1.0 + term / c)
            value *= c * d
        if abs(c * d - 1.0) <= _EPSILON:
            break
    return value


def _not_0(number: float) -> float:
    return number if abs(number) > _TINY else _TINY
