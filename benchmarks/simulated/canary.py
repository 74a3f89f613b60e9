"""Simulated canaries: the product's e-processes and two usual tests on the same counts, vectorised over replications.

A *path* gives a rate or share by the number of candidate requests so far. Looks come every `look` candidate requests; how many stable
requests a look has is what the split makes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from promptship.canary import eprocess, mean
from promptship.canary.eprocess import Floats, Null, Side

LOOK = 100
HORIZON = 20_000
LOOKS = HORIZON // LOOK
ALPHA = 0.05
HISTORY = 200.0
TUNED_FOR = 5000.0
"""gbstats' default sequential tuning parameter: the sample size, of both arms, at which it is tightest."""
Path = Callable[[int], float]
NullAt = Callable[[Floats], Null]
Ints = NDArray[np.int_]


@dataclass(frozen=True)
class Scenario:
    """Rates of both arms and the candidate's share by candidate requests, and what statistics section 6 wants."""

    name: str
    p1: Path
    p0: Path
    share: Path
    start: int = 0
    """Candidate requests before the degradation: delays count from there."""
    target: str = ""


@dataclass(frozen=True)
class Outcome:
    """Per replication: the look that crossed, counted from 1; 0 for none."""

    ours: Ints
    peeked: Ints
    gbstats: Ints

    def __or__(self, other: Outcome) -> Outcome:
        """Crossed in either, at the earlier look."""
        return Outcome(*(_first(a, b) for a, b in zip(self.cells(), other.cells(), strict=True)))

    def cells(self) -> tuple[Ints, Ints, Ints]:
        """In the order of the fields."""
        return self.ours, self.peeked, self.gbstats


def _first(a: Ints, b: Ints) -> Ints:
    return np.where((a > 0) & (b > 0), np.minimum(a, b), np.maximum(a, b))


def constant(value: float) -> Path:
    """The same all the time."""
    return lambda _: value


def ramp(requests: int) -> float:
    """Shares 1, 5, 25, 50 %, a quarter of the requests each."""
    return (0.01, 0.05, 0.25, 0.5)[min(requests * 4 // HORIZON, 3)]


def rising(requests: int) -> float:
    """A base rate that rises from 8 to 14.4 %."""
    return 0.08 + 0.064 * min(requests / HORIZON, 1.0)


def daily(requests: int) -> float:
    """A base rate of 10 % with a daily cycle of +-40 %, 4,000 candidate requests a day."""
    return 0.1 * (1 + 0.4 * float(np.sin(requests / 4000 * 2 * np.pi)))


class Race:
    """Our e-process and both usual tests on cumulative sums, look by look."""

    def __init__(self, replications: int, alpha: float) -> None:
        self._alpha = alpha
        self._crossed = [np.zeros(replications, dtype=int) for _ in range(3)]
        self._sums = np.zeros((6, replications))
        self._look = 0

    def look(self, log_e: Floats, *sums: Floats) -> None:
        """One more look: the e-process, and new (requests, total, squares) of the candidate and of stable."""
        self._look += 1
        self._sums += np.array(sums)
        lower = (z_score(self._sums) > 1.6449, gbstats_lower(self._sums) > 0)
        for index, now in enumerate((log_e >= -np.log(self._alpha), *lower)):
            crossed = self._crossed[index]
            self._crossed[index] = np.where((crossed == 0) & now, self._look, crossed)

    def outcome(self) -> Outcome:
        """After the last look."""
        return Outcome(*self._crossed)


def simulate(
    scenario: Scenario,
    replications: int,
    rng: np.random.Generator,
    *,
    null_at: NullAt,
    looks: int = LOOKS,
    look: int = LOOK,
    alpha: float = ALPHA,
) -> Outcome:
    """One scenario of rates: the e-process against the null, and beside it the two tests for harm."""
    bets = Bets(null_at, replications)
    requests = np.full(replications, HISTORY)
    events = rng.binomial(int(HISTORY), scenario.p0(0), replications).astype(float)
    race = Race(replications, alpha)
    n1 = np.full(replications, float(look))
    for number in range(looks):
        at = number * look
        n0 = rng.negative_binomial(look, scenario.share(at), replications).astype(float)
        x0 = rng.binomial(n0.astype(int), scenario.p0(at)).astype(float)
        x1 = rng.binomial(look, scenario.p1(at), replications).astype(float)
        log_e = bets.on_rates(eprocess.predicted_rate(events, requests), (n1, x1), (n0, x0))
        events, requests = events + x0, requests + n0
        race.look(log_e, n1, x1, x1, n0, x0, x0)
    return race.outcome()


def simulate_means(
    values: Floats,
    laws: tuple[Floats, Floats],
    replications: int,
    rng: np.random.Generator,
    *,
    null_at: NullAt,
    share: float = 0.02,
    looks: int = LOOKS,
    look: int = LOOK,
) -> Outcome:
    """The same for means of `values` (0..1, lower is better); `laws`: the candidate's and stable's probabilities."""
    bets = Bets(null_at, replications)
    past = rng.multinomial(int(HISTORY), laws[1], replications).astype(float)
    learned = np.array([past.sum(1), past @ values, past @ values**2])
    race = Race(replications, ALPHA)
    for _ in range(looks):
        one = rng.multinomial(look, laws[0], replications).astype(float)
        zero = rng.multinomial(rng.negative_binomial(look, share, replications), laws[1]).astype(float)
        m0 = mean.predicted_mean(learned[1], learned[0])
        log_e = bets.on_means(
            m0, mean.predicted_variance(learned[1], learned[2], learned[0]), values, one, zero
        )
        sums = [(h.sum(1), h @ values, h @ values**2) for h in (one, zero)]
        learned = learned + np.array(sums[1])
        race.look(log_e, *sums[0], *sums[1])
    return race.outcome()


class Bets:
    """Capital of all replications, moved as `promptship.canary.process.Capital` moves one's."""

    def __init__(self, null_at: NullAt, replications: int) -> None:
        self._null_at = null_at
        harm = null_at(np.array(0.1)).side is Side.HARM
        self._weights = eprocess.HARM_WEIGHTS if harm else eprocess.SAFETY_WEIGHTS
        self._cash = np.full(replications, eprocess.CASH if harm else 0.0)
        self._idle = np.zeros(replications)
        opened = eprocess.open_bets(self._weights, float(self._cash[0]))
        self._wealth = np.broadcast_to(opened, (replications, len(self._weights)))

    def on_rates(self, p0: Floats, candidate: tuple[Floats, Floats], stable: tuple[Floats, Floats]) -> Floats:
        """Log e-values after one more look: (requests, events) of both arms."""
        null = self._null_at(p0)
        arms = [tuple(count[:, None] for count in arm) for arm in (candidate, stable)]
        p1 = eprocess.alternatives(null, p0)
        growth = eprocess.log_growth(per_alternative(null), p1, p0[:, None], *arms)  # type: ignore[arg-type]
        return self._grown(growth, candidate[0])

    def on_means(
        self, m0: Floats, variance: Floats, values: Floats, candidate: Floats, stable: Floats
    ) -> Floats:
        """Log e-values after one more look: histograms of both arms."""
        growth = mean.log_growth(self._null_at(m0), m0, variance, values, candidate, stable)
        return self._grown(growth, candidate.sum(1))

    def _grown(self, growth: Floats, requests: Floats) -> Floats:
        wealth, self._cash = eprocess.move_cash(self._wealth, self._cash, self._idle, self._weights)
        self._wealth, self._idle = wealth + growth, requests
        return eprocess.log_e_value(self._wealth, self._cash)


def per_alternative(null: Null) -> Null:
    """The same null, its arrays ready to meet one more axis of alternatives."""
    ratio, shift = (np.asarray(value, dtype=float)[..., None] for value in (null.ratio, null.shift))
    return Null(null.side, ratio, shift) if null.side is Side.SAFETY else null


def z_score(sums: Floats) -> Floats:
    """Two-sample z of the difference of means; `sums`: (requests, total, squares) of candidate and stable; 0 while nothing differs."""
    n1, t1, s1, n0, t0, s0 = sums
    error = np.sqrt(
        np.maximum(s1 / n1 - (t1 / n1) ** 2, 0) / n1 + np.maximum(s0 / n0 - (t0 / n0) ** 2, 0) / n0
    )
    return np.asarray(np.divide(t1 / n1 - t0 / n0, error, out=np.zeros_like(error), where=error > 0))


def gbstats_lower(sums: Floats, tuned_for: float = TUNED_FOR, alpha: float = ALPHA) -> Floats:
    """Lower limit of the relative difference, as gbstats' SequentialTwoSidedTTest has it: an asymptotic confidence sequence.

    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", eq. 9.
    Written down again because one call of the library takes as long as a whole look here; `checked_against` compares.
    """
    n1, t1, s1, n0, t0, s0 = sums
    m1, m0 = t1 / n1, t0 / n0
    v1, v0 = np.maximum(s1 / n1 - m1**2, 0), np.maximum(s0 / n0 - m0**2, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = v1 / (m0**2 * n1) + v0 * m1**2 / (m0**4 * n0)
        n = n1 + n0
        rho2 = (-2 * np.log(alpha) + np.log(-2 * np.log(alpha) + 1)) / tuned_for
        tight = n * rho2 + 1
        width = np.sqrt(variance * n * 2 * tight * np.log(np.sqrt(tight) / alpha) / (n**2 * rho2))
        return np.asarray(np.where((m0 > 0) & (v1 > 0) & (v0 > 0), (m1 - m0) / m0 - width, -np.inf))


def beta_law(average: float, deviation: float, values: Floats) -> Floats:
    """Probabilities of a score of that mean and standard deviation on a grid of scores, from the beta density."""
    size = average * (1 - average) / deviation**2 - 1
    grid = np.clip(values, 0.005, 0.995)
    density = grid ** (average * size - 1) * (1 - grid) ** ((1 - average) * size - 1)
    law = density / density.sum()
    # The grid moves the mean a little: tilt until it is right.
    low, high = -50.0, 50.0
    for _ in range(80):
        tilt = (low + high) / 2
        tilted = law * np.exp(tilt * values)
        tilted /= tilted.sum()
        low, high = (tilt, high) if tilted @ values < average else (low, tilt)
    return np.asarray(tilted)
