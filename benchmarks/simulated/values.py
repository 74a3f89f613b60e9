"""Canaries whose users come again, on what is no rate: cost, a score and latency, all of the same answers.

An answer's place in its distribution is a normal number, a part of whose variance (`correlation`) is its user's own. So users with long
questions have long answers every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from benchmarks.simulated.canary import ALPHA, HISTORY, Bets, Ints, Race, beta_law
from benchmarks.simulated.users import SUMS
from promptship.canary import eprocess, latency, mean
from promptship.canary.eprocess import Floats
from promptship.canary.evidence import ArmUnits, UnitSums
from promptship.canary.units import design_effect

SHARE: Final = 0.05
KINDS: Final = ("cost", "score", "latency")
_AMOUNTS: Final = 2.0 ** (np.arange(-64, 72) / 16)
"""Costs are lognormal with a sigma of 1, in bins as the telemetry's; a bin stands for this."""
_SCORES: Final = np.linspace(0, 1, 41)
_SCORE_ENDS: Final = np.cumsum(beta_law(0.80, 0.2, _SCORES))[:-1]
_LATENCY_SIGMA: Final = 0.6
_SLOW: Final = np.array([0.0, 1.2816, 1.6449, 2.3263])
"""Stable's p50, p90, p95 and p99, as normal numbers."""
_MIDDLE: Final = 90
"""The bin of a median latency: bins are whole numbers from 0 on."""


@dataclass(frozen=True)
class Answers:
    """How users behave, as `users.Users`, and how much longer the candidate's answers take, relative."""

    correlation: float
    requests_each: int
    heavy: bool = False
    longer: float = 0.0


@dataclass(frozen=True)
class Told:
    """What every look of one canary has been told, cumulative: histograms (looks, arms, bins) and `SUMS` of the bins (looks, arms, 6)."""

    histograms: NDArray[np.int32]
    sums: Floats


def bins_of(kind: str, place: Floats) -> Ints:
    """The bins of answers, from where they lie."""
    if kind == "score":
        return np.asarray(np.searchsorted(_SCORE_ENDS, ndtr(-place)), dtype=np.int64)
    sigma, middle, last = (
        (1.0, 64, len(_AMOUNTS) - 1) if kind == "cost" else (_LATENCY_SIGMA, _MIDDLE, 2 * _MIDDLE)
    )
    bins = np.floor(16 * sigma * place / np.log(2)) + middle
    return np.asarray(np.clip(bins, 0, last), dtype=np.int64)


def canary(
    answers: Answers, requests: int, looks: list[int], rng: np.random.Generator
) -> dict[str, list[Told]]:
    """One candidate of `requests` requests, by kind: what there is to see per size of look (multiples of the first)."""
    total = round(requests / SHARE)
    number = max(total // answers.requests_each, 2)
    candidate = rng.random(number) < SHARE
    own = rng.normal(0, np.sqrt(answers.correlation), number)
    if answers.heavy:
        weight = rng.lognormal(0, 1, number)
        who = rng.choice(number, total, p=weight / weight.sum())
    else:
        who = rng.integers(0, number, total)
    mine = candidate[who]
    place = own[who] + rng.normal(0, np.sqrt(1 - answers.correlation), total)
    place += mine * np.log1p(answers.longer) / _LATENCY_SIGMA
    finest = looks[0]
    # The look that a request belongs to, and the arm; what comes after the last look belongs to one more.
    cell = 2 * np.minimum((np.cumsum(mine) - mine) // finest, requests // finest) + ~mine
    cells = 2 * (requests // finest)
    order = np.argsort(who, kind="stable")
    found: dict[str, list[Told]] = {}
    for kind in KINDS:
        bins = bins_of(kind, place)
        width = int(bins.max()) + 1
        counted = np.bincount(cell * width + bins, minlength=(cells + 2) * width)[: cells * width]
        histograms = np.cumsum(counted.reshape(-1, 2, width), 0).astype(np.int32)
        added = [np.bincount(cell, more, cells + 2)[:cells] for more in _added(who, order, bins)]
        sums = np.cumsum(np.stack(added, 1).reshape(-1, 2, len(SUMS)), 0).astype(np.float64)
        at = [slice(look // finest - 1, None, look // finest) for look in looks]
        found[kind] = [Told(histograms[these], sums[these]) for these in at]
    return found


def _added(who: Ints, order: Ints, bins: Ints) -> list[Ints]:
    """What every request adds to each of `SUMS`."""
    index = np.arange(len(who))
    first = np.r_[True, who[order][1:] != who[order][:-1]]
    start = np.maximum.accumulate(np.where(first, index, 0))
    earlier = np.cumsum(bins[order]) - bins[order]
    n, s = np.empty_like(bins), np.empty_like(bins)
    n[order], s[order] = index - start, earlier - earlier[start]
    return [
        (n == 0).astype(np.int64),
        np.ones_like(bins),
        bins,
        2 * n + 1,
        bins * (2 * s + bins),
        s + bins + n * bins,
    ]


def crossings(kind: str, told: list[Told], *, alpha: float = ALPHA) -> tuple[Ints, Ints, Ints, Ints]:
    """The look that crossed, per replication: ours, ours without the design effect, peeked z, gbstats."""
    width = max(one.histograms.shape[2] for one in told)
    whole = np.stack(
        [np.pad(one.histograms, ((0, 0), (0, 0), (0, width - one.histograms.shape[2]))) for one in told]
    )
    new = np.diff(whole, axis=1, prepend=0).astype(float)
    runs, looks = new.shape[:2]
    log_e = _log_e_of_latency(new) if kind == "latency" else _log_e_of_means(kind, new)
    divided, plain = Race(runs, alpha), Race(runs, alpha)
    values = np.arange(width) / width if kind == "latency" else _values(kind, width)
    for look in range(looks):
        effect = np.array([_effect(one, look) for one in told])
        sums = [part for arm in (0, 1) for part in _moments(new[:, look, arm], values)]
        divided.look(log_e[look] / effect, *sums)
        plain.look(log_e[look], *sums)
    out = divided.outcome()
    return out.ours, plain.outcome().ours, out.peeked, out.gbstats


def _effect(one: Told, look: int) -> float:
    arms, spreads = [], []
    for arm in (0, 1):
        arms.append(UnitSums.model_construct(**dict(zip(SUMS, one.sums[look, arm].tolist(), strict=True))))
        counts = one.histograms[look, arm]
        bins = np.arange(len(counts))
        average = counts @ bins / counts.sum()
        spreads.append(float(counts @ (bins - average) ** 2 / counts.sum()))
    return design_effect(
        ArmUnits.model_construct(candidate=arms[0], stable=arms[1]), (spreads[0], spreads[1])
    )


def _values(kind: str, width: int) -> Floats:
    """What a bin counts as, 0..1 and lower is better."""
    if kind == "score":
        return np.asarray(1 - _SCORES[:width])
    return np.asarray(np.minimum(_AMOUNTS[:width] / (2 * np.exp(3.09)), 1.0))


def _moments(counts: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    return counts.sum(1), counts @ values, counts @ values**2


def _log_e_of_means(kind: str, new: Floats) -> list[Floats]:
    runs, looks, _, width = new.shape
    values = _values(kind, width)
    bets = Bets(lambda _: eprocess.not_worse(), runs)
    law = new.sum((0, 1))[1]
    learned = np.tile(np.array(_moments(HISTORY * (law / law.sum())[None], values)), (1, runs))
    found = []
    for look in range(looks):
        one, zero = new[:, look, 0], new[:, look, 1]
        m0 = mean.predicted_mean(learned[1], learned[0])
        variance = mean.predicted_variance(learned[1], learned[2], learned[0])
        found.append(bets.on_means(m0, variance, values, one, zero))
        learned = learned + np.array(_moments(zero, values))
    return found


def _log_e_of_latency(new: Floats) -> list[Floats]:
    """The mean of the e-values at four quantiles, as a look takes it."""
    runs, looks = new.shape[:2]
    edges = bins_of("latency", _SLOW) + 1
    bets = [Bets(lambda _: eprocess.not_worse(), runs) for _ in edges]
    beyond = np.stack([new[..., edge:].sum(-1) for edge in edges])
    whole = new.sum(-1)
    part = beyond[:, :, :, 1].sum((1, 2)) / whole[..., 1].sum()
    requests = np.full(runs, HISTORY)
    events = np.outer(part, np.full(runs, HISTORY))
    found = []
    for look in range(looks):
        n1, n0 = whole[:, look, 0], whole[:, look, 1]
        each = [
            one.on_rates(eprocess.predicted_rate(events[index], requests), (n1, beyond[index, :, look, 0]), (n0, beyond[index, :, look, 1]))
            for index, one in enumerate(bets)
        ]  # fmt: skip
        events, requests = events + beyond[:, :, look, 1], requests + n0
        found.append(np.logaddexp.reduce(each) - np.log(len(latency.QUANTILES)))
    return found
