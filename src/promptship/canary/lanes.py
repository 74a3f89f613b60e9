"""The e-processes of a guardrail for many simulated canaries at once: `watch.Watch` and `mean_watch.MeanWatch`, a lane each.

Every lane is what `take_look` would have for the same counts (a property test holds the two together), with two exceptions that a
simulation has no use for: feedback is never corrected, and every unit asks once. Counts are what is new since the look before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from promptship.canary import eprocess, latency, mean, mean_watch
from promptship.canary.eprocess import Floats, Null, Side
from promptship.canary.laws import LatencyLaw, Law, MeanLaw, RateLaw
from promptship.canary.process import BASELINE_REQUESTS_MIN, BLOCK_REQUESTS_MIN, PSEUDO_REQUESTS_MAX
from promptship.release.plan import Guardrail, Metric, Stage

Ints = NDArray[np.int_]
Bools = NDArray[np.bool_]
_N1, _HARM1, _SAFE1, _N0, _X0 = range(5)
_LANE: Final = np.newaxis


@dataclass
class Capital:
    """`process.Capital` of many lanes."""

    weights: Floats
    wealth: Floats
    cash: Floats
    idle: Floats

    @classmethod
    def opened(cls, lanes: int, weights: Floats, cash: float = 0.0) -> Capital:
        """A capital of 1 in every lane."""
        wealth = np.tile(eprocess.open_bets(weights, cash), (lanes, 1))
        return cls(weights, wealth, np.full(lanes, cash), np.zeros(lanes))

    def grow(self, at: Ints, growth: Floats, requests: Floats) -> None:
        """After a look's growth per alternative in the lanes `at`."""
        wealth, cash = self.wealth[at], self.cash[at]
        if np.any(cash > 0):
            wealth, cash = eprocess.move_cash(wealth, cash, self.idle[at], self.weights)
        self.wealth[at], self.cash[at], self.idle[at] = wealth + growth, cash, requests

    def keep(self, lanes: Ints) -> None:
        """Only these lanes, in this order."""
        self.wealth, self.cash, self.idle = self.wealth[lanes], self.cash[lanes], self.idle[lanes]

    @property
    def log_e(self) -> Floats:
        """Log e-value per lane."""
        return eprocess.log_e_value(self.wealth, self.cash)


Unsafe = Callable[[Floats], Null]


class RateProcess:
    """Harm and safety of one rate: two of `process.Process` that learn stable's rate from the same requests."""

    def __init__(
        self, lanes: int, seed: tuple[float, float], *, safe: Floats | None, steps: Floats | None = None
    ) -> None:
        self.harm = Capital.opened(lanes, eprocess.HARM_WEIGHTS, eprocess.CASH)
        self._safe_weights, self._steps = safe, steps
        self.safe = None if safe is None else Capital.opened(lanes, safe)
        self.learned = np.tile(np.array(seed, dtype=np.float64)[:, _LANE], (1, lanes))
        self.pending = np.zeros((5, lanes))

    def take(self, at: Ints, new: Floats, harm: Null, unsafe: Unsafe) -> None:
        """New counts of the lanes `at`: candidate's requests, bad ones for harm and for safety, stable's requests and bad ones."""
        self.pending[:, at] += new
        ready = np.minimum(self.pending[_N1], self.pending[_N0]) >= BLOCK_REQUESTS_MIN
        bets = np.flatnonzero(ready & (self.learned[0] >= BASELINE_REQUESTS_MIN))
        if bets.size:
            p0 = eprocess.predicted_rate(self.learned[1, bets], self.learned[0, bets])
            n1, harm1, safe1, n0, x0 = self.pending[:, bets, _LANE]
            growth = _growth(harm, None, p0, (n1, harm1), (n0, x0))
            self.harm.grow(bets, growth, self.pending[_N1, bets])
            if self.safe is not None:
                growth = _growth(unsafe(p0), self._steps, p0, (n1, safe1), (n0, x0))
                self.safe.grow(bets, growth, self.pending[_N1, bets])
        self.learned[:, ready] += self.pending[_N0:, ready]
        self.pending[:, ready] = 0

    def next_stage(self) -> None:
        """Harm goes on, safety begins anew; what was not taken in yet never is."""
        self.pending[:] = 0
        if self._safe_weights is not None:
            self.safe = Capital.opened(self.pending.shape[1], self._safe_weights)

    def keep(self, lanes: Ints) -> None:
        """Only these lanes."""
        self.harm.keep(lanes)
        if self.safe is not None:
            self.safe.keep(lanes)
        self.learned, self.pending = self.learned[:, lanes], self.pending[:, lanes]


def _growth(
    null: Null,
    steps: Floats | None,
    p0: Floats,
    candidate: tuple[Floats, Floats],
    stable: tuple[Floats, Floats],
) -> Floats:
    p1 = eprocess.alternatives(null, p0, steps=steps)
    per_alternative = Null(null.side, _spread(null.ratio), _spread(null.shift))
    return eprocess.log_growth(per_alternative, p1, p0[:, _LANE], candidate, stable)


def _spread(value: float | Floats) -> float | Floats:
    return value[:, _LANE] if isinstance(value, np.ndarray) and value.ndim else value


class Lanes(Protocol):
    """One guardrail of many simulated canaries. `effects` of `draw` make each lane's candidate worse, relative; 0 is unchanged."""

    log_harm: Floats
    log_safe: Floats | None

    def draw(
        self, stage: Stage, n1: Ints, n0: Ints, effects: Floats, rng: np.random.Generator
    ) -> tuple[Ints, Ints]:
        """Answers of the candidate and of stable, a row a lane, for that many measured requests."""
        ...

    def bad(self, one: Ints) -> Floats:
        """How many of the candidate's drawn answers are bad ones; NaN where answers are not bad or good."""
        ...

    def take(self, at: Ints, stage: Stage, one: Ints, zero: Ints) -> None:
        """Take in drawn answers of the lanes `at`."""
        ...

    def next_stage(self) -> None:
        """Every lane goes on in the next stage."""
        ...

    def keep(self, lanes: Ints) -> None:
        """Only these lanes, in this order."""
        ...


class RateLanes:
    """A guardrail on a rate. Answers are one column: the bad ones, after the requests."""

    def __init__(self, guardrail: Guardrail, law: RateLaw, lanes: int, *, seeded: bool, safe: bool) -> None:
        self._guardrail, self._law = guardrail, law
        seed = (PSEUDO_REQUESTS_MAX, PSEUDO_REQUESTS_MAX * law.rate) if seeded else (0.0, 0.0)
        self._process = RateProcess(lanes, seed, safe=eprocess.SAFETY_WEIGHTS if safe else None)
        self._read()

    def draw(
        self,
        stage: Stage,  # noqa: ARG002 - where latency is cut depends on it
        n1: Ints,
        n0: Ints,
        effects: Floats,
        rng: np.random.Generator,
    ) -> tuple[Ints, Ints]:
        """Requests and bad ones."""
        worse = np.minimum(self._law.rate * (1 + effects), 1.0)
        one, zero = rng.binomial(n1, worse), rng.binomial(n0, self._law.rate)
        return np.stack([n1, one], 1), np.stack([n0, zero], 1)

    def bad(self, one: Ints) -> Floats:
        """The second column."""
        return one[:, 1].astype(np.float64)

    def take(self, at: Ints, stage: Stage, one: Ints, zero: Ints) -> None:
        """As `Watch._take_rate`."""
        rail = self._guardrail
        new = np.stack([one[:, 0], one[:, 1], one[:, 1], zero[:, 0], zero[:, 1]]).astype(np.float64)
        self._process.take(
            at, new, eprocess.not_worse(rail.tolerance),
            lambda p0: eprocess.unsafe(stage.margin, rail.margin_floor, p0),
        )  # fmt: skip
        self._read()

    def next_stage(self) -> None:
        """See `Lanes`."""
        self._process.next_stage()
        self._read()

    def keep(self, lanes: Ints) -> None:
        """See `Lanes`."""
        self._process.keep(lanes)
        self._read()

    def _read(self) -> None:
        self.log_harm = self._process.harm.log_e
        self.log_safe = None if self._process.safe is None else self._process.safe.log_e


class LatencyLanes:
    """A guardrail on latency. Answers are cells: how many lie between two neighbouring thresholds."""

    def __init__(
        self, guardrail: Guardrail, law: LatencyLaw, lanes: int, *, seeded: bool, safe: bool
    ) -> None:
        self._guardrail, self._law, self._edges = guardrail, law, law.edges
        everywhere = guardrail.metric == Metric.LATENCY
        proven = [safe and (everywhere or index == latency.P95) for index in range(len(self._edges))]
        requests = latency.total(law.histogram)
        self._processes = []
        for edge, prove in zip(self._edges, proven, strict=True):
            part = latency.exceeding(law.histogram, edge).events / requests
            seed = (PSEUDO_REQUESTS_MAX, PSEUDO_REQUESTS_MAX * part) if seeded else (0.0, 0.0)
            weights = latency.SAFETY_WEIGHTS if prove else None
            self._processes.append(RateProcess(lanes, seed, safe=weights, steps=latency.SAFETY_ODDS))
        self._chances: dict[tuple[float, tuple[int, ...]], Floats] = {}
        self._read()

    def cuts(self, stage: Stage) -> tuple[int, ...]:
        """Every threshold of the stage in order, the widened ones too."""
        allowed = (0.0, self._guardrail.tolerance, stage.margin)
        return tuple(sorted({latency.widened(edge, factor) for edge in self._edges for factor in allowed}))

    def draw(
        self, stage: Stage, n1: Ints, n0: Ints, effects: Floats, rng: np.random.Generator
    ) -> tuple[Ints, Ints]:
        """Answers per cell of `cuts`."""
        cuts = self.cuts(stage)
        chances = np.array([self._chance(effect, cuts) for effect in effects.tolist()])
        return rng.multinomial(n1, chances), rng.multinomial(n0, self._chance(0.0, cuts))

    def _chance(self, effect: float, cuts: tuple[int, ...]) -> Floats:
        if (effect, cuts) not in self._chances:
            self._chances[effect, cuts] = self._law.cells(cuts, effect)
        return self._chances[effect, cuts]

    def bad(self, one: Ints) -> Floats:
        """Slow is not bad."""
        return np.full(len(one), np.nan)

    def take(self, at: Ints, stage: Stage, one: Ints, zero: Ints) -> None:
        """As `Watch._take_latency`."""
        cuts = self.cuts(stage)
        beyond1, beyond0 = (np.cumsum(cells[:, ::-1], axis=1)[:, ::-1] for cells in (one, zero))
        where = {cut: index + 1 for index, cut in enumerate(cuts)}
        for edge, process in zip(self._edges, self._processes, strict=True):
            harm1 = beyond1[:, where[latency.widened(edge, self._guardrail.tolerance)]]
            safe1 = beyond1[:, where[latency.widened(edge, stage.margin)]]
            new = np.stack([beyond1[:, 0], harm1, safe1, beyond0[:, 0], beyond0[:, where[edge]]])
            process.take(at, new.astype(np.float64), eprocess.not_worse(), lambda _: Null(Side.SAFETY))
        self._read()

    def next_stage(self) -> None:
        """See `Lanes`."""
        for process in self._processes:
            process.next_stage()
        self._read()

    def keep(self, lanes: Ints) -> None:
        """See `Lanes`."""
        for process in self._processes:
            process.keep(lanes)
        self._read()

    def _read(self) -> None:
        harm = np.stack([process.harm.log_e for process in self._processes])
        self.log_harm = np.logaddexp.reduce(harm, axis=0) - math.log(len(harm))
        safe = [process.safe.log_e for process in self._processes if process.safe is not None]
        self.log_safe = np.minimum.reduce(safe) if safe else None


class MeanLanes:
    """A guardrail on a mean. Answers are a histogram over the law's bins."""

    def __init__(self, guardrail: Guardrail, law: MeanLaw, lanes: int, *, seeded: bool, safe: bool) -> None:
        self._guardrail, self._law, self._values = guardrail, law, law.values
        self._harm = Capital.opened(lanes, eprocess.HARM_WEIGHTS, eprocess.CASH)
        self._prove = safe
        self._safe = Capital.opened(lanes, eprocess.SAFETY_WEIGHTS) if safe else None
        counts = np.array([law.histogram.buckets[number] for number in law.bins], dtype=np.float64)
        past = counts * min(1.0, PSEUDO_REQUESTS_MAX / counts.sum()) if seeded else 0 * counts
        self._learned = np.tile(self._sums(past)[:, _LANE], (1, lanes))
        self._pending = [np.zeros((lanes, len(counts))) for _ in range(2)]
        self._chances: dict[float, Floats] = {}
        self._read()

    def draw(
        self,
        stage: Stage,  # noqa: ARG002 - where latency is cut depends on it
        n1: Ints,
        n0: Ints,
        effects: Floats,
        rng: np.random.Generator,
    ) -> tuple[Ints, Ints]:
        """Answers per bin."""
        for effect in {0.0, *effects.tolist()} - self._chances.keys():
            self._chances[effect] = self._law.chances(effect)
        worse = np.array([self._chances[effect] for effect in effects.tolist()])
        return rng.multinomial(n1, worse), rng.multinomial(n0, self._chances[0.0])

    def bad(self, one: Ints) -> Floats:
        """A mean has no bad answers."""
        return np.full(len(one), np.nan)

    def take(self, at: Ints, stage: Stage, one: Ints, zero: Ints) -> None:
        """As `MeanWatch.take`."""
        self._pending[0][at] += one
        self._pending[1][at] += zero
        ready = np.minimum(self._pending[0].sum(1), self._pending[1].sum(1)) >= BLOCK_REQUESTS_MIN
        bets = np.flatnonzero(ready & (self._learned[0] >= BASELINE_REQUESTS_MIN))
        if bets.size:
            requests, totals, squares = self._learned[:, bets]
            m0 = mean.predicted_mean(totals, requests)
            variance = mean.predicted_variance(totals, squares, requests)
            rail = self._guardrail
            for capital, null in (
                (self._harm, eprocess.not_worse(rail.tolerance)),
                (self._safe, self._unsafe(stage.margin, m0)),
            ):
                if capital is not None:
                    arms = (self._pending[0][bets], self._pending[1][bets])
                    growth = mean.log_growth(null, m0, variance, self._values, *arms)
                    capital.grow(bets, growth, arms[0].sum(1))
        self._learned[:, ready] += self._sums(self._pending[1][ready])
        for pending in self._pending:
            pending[ready] = 0
        self._read()

    def _unsafe(self, margin: float, m0: Floats) -> Null:
        return mean_watch.unsafe(self._guardrail, margin, m0)  # type: ignore[arg-type]  # broadcasts as eprocess.unsafe does

    def _sums(self, counts: Floats) -> Floats:
        return np.stack([counts.sum(-1), counts @ self._values, counts @ self._values**2])

    def next_stage(self) -> None:
        """See `Lanes`."""
        for pending in self._pending:
            pending[:] = 0
        if self._prove:
            self._safe = Capital.opened(len(self._pending[0]), eprocess.SAFETY_WEIGHTS)
        self._read()

    def keep(self, lanes: Ints) -> None:
        """See `Lanes`."""
        self._harm.keep(lanes)
        if self._safe is not None:
            self._safe.keep(lanes)
        self._learned = self._learned[:, lanes]
        self._pending = [pending[lanes] for pending in self._pending]
        self._read()

    def _read(self) -> None:
        self.log_harm = self._harm.log_e
        self.log_safe = None if self._safe is None else self._safe.log_e


def lanes_of(guardrail: Guardrail, law: Law, lanes: int, *, seeded: bool, safe: bool) -> Lanes:
    """Before the first look. `seeded`: stable has a history. `safe`: whether safety is watched too."""
    match law:
        case RateLaw():
            return RateLanes(guardrail, law, lanes, seeded=seeded, safe=safe)
        case LatencyLaw():
            return LatencyLanes(guardrail, law, lanes, seeded=seeded, safe=safe)
        case MeanLaw():
            return MeanLanes(guardrail, law, lanes, seeded=seeded, safe=safe)
