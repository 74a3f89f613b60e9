"""Anytime-valid evidence about two rates: one e-process per question, valid however often it is looked at.

A look brings n1 requests of the candidate with x1 bad ones and n0 of stable with x0, of rates p1 and p0. For a convex null (see
`Null`) let (q1, q0) be the Kullback-Leibler projection of an alternative (p1*, p0*) on it, weighted with rho = n1/(n1+n0). One
request's likelihood ratio then has mean a1 in the candidate's arm, a0 in stable's, and rho a1 + (1-rho) a0 <= 1 under the whole
null (reverse information projection: Gruenwald, de Heide and Koolen, "Safe testing"). So the look's ratio, of mean
a1^n1 a0^n0 <= (rho a1 + (1-rho) a0)^(n1+n0) <= 1, is an e-variable given n1 and n0 (Turner, Ly and Gruenwald, "Generic e-variables
for exact sequential k-sample tests"): rates may change from look to look, and nothing is assumed about how many requests each arm
gets. With the configured share as rho, a metric missing in one arm, or a few heavy users, would look like evidence.

Alternatives are chosen from earlier looks only, so the product over looks is a nonnegative supermartingale from 1: by Ville's
inequality it ever reaches 1/alpha with probability at most alpha. Mixing over alternatives keeps that (Lindon and Malek,
"Anytime-valid inference for multinomial count data"; Vovk and Wang, "E-values").

All functions broadcast over numpy arrays: the product calls them with one release, the benchmarks with a thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

RATE_MIN: Final = 1e-5
"""Predicted rates stay this far from 0 and 1, so that one surprising event is strong evidence but never an infinite one."""
_EDGE: Final = 1e-12
_SHIFT_MAX: Final = 0.99
_STEPS_MAX: Final = 60
_CLOSE: Final = 1e-12
"""Relative length of the step after which Newton stops: the next one would be about its square."""

HARM_ODDS: Final = 1 + 0.1 * np.array([0.9, 1.3, 2.5, 6.0, 14.0, 30.0])
"""Alternatives of harm: odds of a bad request against those on the boundary of the null, from 9 % worse to four times."""
HARM_WEIGHTS: Final = np.array([0.3, 0.2, 0.15, 0.15, 0.1, 0.1])
SAFETY_STEPS: Final = np.array([0.7, 1.0, 1.6, 3.0])
"""Alternatives of safety: distance from the margin in log odds, in units of the margin; 1 is "as good as stable"."""
SAFETY_WEIGHTS: Final = np.array([0.2, 0.5, 0.2, 0.1])
CASH: Final = 0.2
"""Fixed share: the part of the capital that is not bet at first, so that a degradation that starts late is met by fresh bets."""
CASH_MOVED: Final = 0.03
"""The part of the remaining cash that is bet per `CASH_REQUESTS` candidate requests."""
CASH_REQUESTS: Final = 100


class Side(StrEnum):
    """What the evidence is of."""

    HARM = "harm"
    SAFETY = "safety"


@dataclass(frozen=True, slots=True)
class Null:
    """What evidence speaks against. HARM: {p1 <= ratio*p0 + shift}; SAFETY: {p1 >= ratio*p0 + shift}. Both are convex.

    `ratio` from 1 to 11, `shift` from 0 to 0.99, only one of them moved; each a number or an array.
    """

    side: Side
    ratio: float | Floats = 1.0
    shift: float | Floats = 0.0

    def boundary(self, p0: Floats) -> Floats:
        """Largest candidate rate that still counts as harmless (HARM), smallest that is unsafe (SAFETY); inside (0, 1)."""
        return np.clip(self.ratio * p0 + self.shift, RATE_MIN, 1 - RATE_MIN)

    def holds(self, p1: Floats, p0: Floats) -> NDArray[np.bool_]:
        """Whether the pair of rates belongs to the null."""
        line = self.ratio * p0 + self.shift
        return np.asarray(p1 <= line if self.side is Side.HARM else p1 >= line)


def not_worse(tolerance: float = 0.0) -> Null:
    """Null of harm: the candidate's rate is at most `1 + tolerance` times stable's. Rejecting it rolls back."""
    return Null(Side.HARM, ratio=1 + tolerance)


def unsafe(margin: float, floor: float, p0: ArrayLike) -> Null:
    """Null of safety: the candidate is worse by at least max(margin * p0, floor). Rejecting it shows non-inferiority.

    That null is the intersection of {p1 >= (1+margin) p0} and {p1 >= p0 + floor}, and evidence against either is evidence against
    the intersection. So the wider one at the predicted p0 is taken, and the choice may change from look to look.
    """
    relative = np.asarray(margin * np.asarray(p0, dtype=np.float64) >= floor)
    # A margin of 100 points would leave an empty null; a smaller shift is a larger null, so this errs to the safe side.
    shift = min(floor, _SHIFT_MAX)
    return Null(Side.SAFETY, ratio=np.where(relative, 1 + margin, 1.0), shift=np.where(relative, 0.0, shift))


def margin_points(margin: float, floor: float, p0: float) -> float:
    """Absolute margin in force, in rate points 0..1."""
    return max(margin * p0, floor)


def predicted_rate(events: ArrayLike, requests: ArrayLike) -> Floats:
    """Rate of stable as seen before this look: (events + 1/2) / (requests + 1), the Jeffreys mean, kept off 0 and 1."""
    rate = (np.asarray(events, dtype=np.float64) + 0.5) / (np.asarray(requests, dtype=np.float64) + 1.0)
    return np.clip(rate, RATE_MIN, 1 - RATE_MIN)


def shift_odds(rate: Floats, factor: Floats) -> Floats:
    """The rate whose odds are `factor` times those of `rate`, kept off 0 and 1."""
    shifted = rate * factor / (1 - rate + rate * factor)
    return np.clip(shifted, RATE_MIN / 10, 1 - RATE_MIN / 10)


def alternatives(null: Null, p0: ArrayLike, *, steps: Floats | None = None) -> Floats:
    """Candidate rates to bet on, one per last axis, for predicted stable rates `p0`.

    Harm: `HARM_ODDS` beyond the boundary. Safety: `SAFETY_STEPS` from the boundary towards stable and past it. `steps`: instead of
    both, odds relative to the boundary (latency has no stable rate to measure steps with: its margin is in milliseconds).
    """
    stable = np.asarray(p0, dtype=np.float64)
    edge = null.boundary(stable)[..., None]
    if steps is not None:
        return shift_odds(edge, steps)
    if null.side is Side.HARM:
        return shift_odds(edge, HARM_ODDS)
    stable = stable[..., None]
    odds_ratio = stable * (1 - edge) / (edge * (1 - stable))
    return shift_odds(edge, np.minimum(odds_ratio, 1.0) ** SAFETY_STEPS)


def project(null: Null, p1: ArrayLike, p0: ArrayLike, share: ArrayLike) -> tuple[Floats, Floats]:
    """KL projection (q1, q0) of an alternative (p1, p0) on the null; the alternative itself where it is no alternative.

    Minimises share*KL(p1||q1) + (1-share)*KL(p0||q0) over the null. The minimum lies on the boundary line, where the problem is
    convex in q0: Newton steps on its derivative, halvings where they would leave the bracket. On the line p1 = p0 it is share*p1 + (1-share)*p0, in closed form.

    Raises:
        ValueError: `share`, the candidate's part of the requests, is not strictly between 0 and 1: nothing to compare.
    """
    share = np.asarray(share, dtype=np.float64)
    if not np.all((share > 0) & (share < 1)):
        message = f"a comparison needs two concurrent arms: share is {share}, expected 0 < share < 1"
        raise ValueError(message)
    one, zero, _ = np.broadcast_arrays(
        np.asarray(p1, dtype=np.float64), np.asarray(p0, dtype=np.float64), share
    )
    if np.all(null.ratio == 1.0) and np.all(null.shift == 0.0):
        q1 = q0 = share * one + (1 - share) * zero
    else:
        q1, q0 = _on_the_line(null, one, zero, share)
    inside = null.holds(one, zero)
    return np.where(inside, one, q1), np.where(inside, zero, q0)


def _on_the_line(null: Null, p1: Floats, p0: Floats, share: Floats) -> tuple[Floats, Floats]:
    ratio, shift = np.asarray(null.ratio, dtype=np.float64), np.asarray(null.shift, dtype=np.float64)
    # The best q0 lies between p0 (perfect for stable) and the point where q1 = p1 (perfect for the candidate).
    touching = (p1 - shift) / ratio
    most = (1 - _EDGE - shift) / ratio
    low = np.clip(np.minimum(touching, p0), _EDGE, most)
    high = np.clip(np.maximum(touching, p0), _EDGE, most)
    q0 = (low + high) / 2
    for _ in range(_STEPS_MAX):
        q1 = ratio * q0 + shift
        odd1, odd0 = q1 * (1 - q1), q0 * (1 - q0)
        slope = share * ratio * (q1 - p1) / odd1 + (1 - share) * (q0 - p0) / odd0
        bend = share * ratio**2 * ((q1 - p1) ** 2 + p1 * (1 - p1)) / odd1**2
        bend = bend + (1 - share) * ((q0 - p0) ** 2 + p0 * (1 - p0)) / odd0**2
        low, high = np.where(slope < 0, q0, low), np.where(slope < 0, high, q0)
        newton = q0 - slope / bend
        before, q0 = q0, np.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
        if np.all(np.abs(q0 - before) <= _CLOSE * q0):
            break
    return ratio * q0 + shift, q0


def log_growth(
    null: Null,
    p1: Floats,
    p0: Floats,
    candidate: tuple[ArrayLike, ArrayLike],
    stable: tuple[ArrayLike, ArrayLike],
) -> Floats:
    """Log of each alternative's e-variable for new counts: (requests, events) of both arms, since the look before.

    x1 ln(p1/q1) + (n1-x1) ln((1-p1)/(1-q1)) + x0 ln(p0/q0) + (n0-x0) ln((1-p0)/(1-q0)), the projection weighted with n1/(n1+n0);
    0 while one arm has no request. Counts broadcast against `p1`.
    """
    n1, x1 = (np.asarray(count, dtype=np.float64) for count in candidate)
    n0, x0 = (np.asarray(count, dtype=np.float64) for count in stable)
    both = (n1 > 0) & (n0 > 0)
    q1, q0 = project(null, p1, p0, np.divide(n1, n1 + n0, out=np.full(both.shape, 0.5), where=both))
    growth = (
        x1 * np.log(p1 / q1)
        + (n1 - x1) * (np.log1p(-p1) - np.log1p(-q1))
        + x0 * np.log(p0 / q0)
        + (n0 - x0) * (np.log1p(-p0) - np.log1p(-q0))
    )
    return np.where(both, growth, 0.0)


def information(null: Null, p1: float, p0: float, share: float) -> float:
    """Expected growth per candidate request, in nats, if (p1, p0) are the true rates and are bet on; 0 inside the null.

    KL(p1||q1) + (1-share)/share KL(p0||q0): log(1/alpha) divided by it is about how many candidate requests an answer takes.
    """
    q1, q0 = (float(q) for q in project(null, p1, p0, share))
    return _kl(p1, q1) + (1 - share) / share * _kl(p0, q0)


def _kl(p: float, q: float) -> float:
    return float(p * np.log(p / q) + (1 - p) * (np.log1p(-p) - np.log1p(-q)))


def open_bets(weights: Floats, cash: float = 0.0) -> Floats:
    """Log wealth per alternative of a capital of 1 of which `cash` is kept back."""
    return np.asarray(np.log(weights * (1 - cash)))


def move_cash(
    log_wealth: Floats, cash: Floats, requests: ArrayLike, weights: Floats
) -> tuple[Floats, Floats]:
    """Bet a part of the cash afresh: `CASH_MOVED` of it per `CASH_REQUESTS` of the candidate `requests` seen since the last move.

    Fixed share (Herbster and Warmuth). Only moves capital, before the look's counts are seen, so the whole stays a nonnegative
    supermartingale. By requests and not by look: a look every five seconds must not spend the cash in minutes.
    """
    kept = cash * (1 - CASH_MOVED) ** (np.asarray(requests, dtype=np.float64) / CASH_REQUESTS)
    with np.errstate(divide="ignore"):  # nothing to move: log 0, which adds nothing
        fresh = np.log(np.asarray(cash - kept)[..., None] * weights)
    return np.logaddexp(log_wealth, fresh), np.asarray(kept)


def log_e_value(log_wealth: Floats, cash: ArrayLike = 0.0) -> Floats:
    """Log of the e-process: everything that was bet plus the cash."""
    with np.errstate(divide="ignore"):
        return np.asarray(
            np.logaddexp(np.logaddexp.reduce(log_wealth, axis=-1), np.log(np.asarray(cash, dtype=np.float64)))
        )
