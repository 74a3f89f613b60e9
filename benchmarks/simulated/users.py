"""Canaries whose users come again: requests of one user resemble each other, so that they are fewer than they look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.simulated.canary import ALPHA, HISTORY, Bets, Ints, Race
from promptship.canary import eprocess
from promptship.canary.eprocess import Floats
from promptship.canary.evidence import ArmUnits, UnitSums
from promptship.canary.units import design_effect

SHARE = 0.05
BASE = 0.1
SUMS = ("units", "requests", "events", "requests_squared", "events_squared", "products")


@dataclass(frozen=True)
class Users:
    """How users behave: correlation within a user's requests, requests per user, and whether a few ask much more than the others."""

    correlation: float
    requests_each: int
    heavy: bool = False
    p1: float = BASE


def unit_sums(users: Users, requests: int, looks: list[int], rng: np.random.Generator) -> list[Ints]:
    """One canary of `requests` candidate requests: per look size (multiples of the smallest), the cumulative `SUMS` per look and arm."""
    total = round(requests / SHARE)
    number = max(total // users.requests_each, 2)
    candidate = rng.random(number) < SHARE
    spread = 1 / users.correlation - 1
    p = np.where(candidate, users.p1, BASE)
    rate = rng.beta(p * spread, (1 - p) * spread)
    if users.heavy:
        weight = rng.lognormal(0, 1, number)
        who = rng.choice(number, total, p=weight / weight.sum())
    else:
        who = rng.integers(0, number, total)
    bad = (rng.random(total) < rate[who]).astype(np.int64)
    before, bad_before = _earlier(who, bad)
    # What one more request adds to: units, n, s, n^2, s^2, n s.
    added = (
        before == 0, np.ones_like(bad), bad, 2 * before + 1, bad * (2 * bad_before + 1), bad_before + bad + before * bad,
    )  # fmt: skip
    # Sums per block of the smallest look and arm; the other looks are made of whole blocks.
    mine = candidate[who]
    finest = min(looks)
    blocks = requests // finest
    cell = 2 * np.minimum((np.cumsum(mine) - mine) // finest, blocks) + ~mine
    summed = np.stack([np.bincount(cell, more, 2 * blocks + 2)[: 2 * blocks] for more in added], 1)
    arms = np.cumsum(summed.reshape(blocks, 2, len(SUMS)), 0).astype(np.int64)
    return [arms[look // finest - 1 :: look // finest] for look in looks]


def _earlier(who: Ints, bad: Ints) -> tuple[Ints, Ints]:
    """Per request, how many the same user made before, and how many of those were bad."""
    order = np.argsort(who, kind="stable")
    sorted_bad = bad[order]
    index = np.arange(len(who))
    first = np.r_[True, who[order][1:] != who[order][:-1]]
    start = np.maximum.accumulate(np.where(first, index, 0))
    earlier_bad = np.cumsum(sorted_bad) - sorted_bad
    before, bad_before = np.empty_like(bad), np.empty_like(bad)
    before[order], bad_before[order] = index - start, earlier_bad - earlier_bad[start]
    return before, bad_before


def race(sums: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """The look that crossed, per replication: ours, ours without the design effect, peeked z, gbstats. `sums`: (runs, looks, arms, 6)."""
    runs, looks = sums.shape[:2]
    bets = Bets(lambda _: eprocess.not_worse(), runs)
    requests, events = np.full(runs, HISTORY), np.full(runs, HISTORY * BASE)
    divided, plain = Race(runs, ALPHA), Race(runs, ALPHA)
    new = np.diff(sums, axis=1, prepend=0).astype(float)
    for look in range(looks):
        n1, x1, n0, x0 = (new[:, look, arm, column] for arm in (0, 1) for column in (1, 2))
        log_e = bets.on_rates(eprocess.predicted_rate(events, requests), (n1, x1), (n0, x0))
        events, requests = events + x0, requests + n0
        divided.look(log_e / effects(sums[:, look]), n1, x1, x1, n0, x0, x0)
        plain.look(log_e, n1, x1, x1, n0, x0, x0)
    out = divided.outcome()
    return out.ours, plain.outcome().ours, out.peeked, out.gbstats


def effects(sums: Ints) -> Floats:
    """The product's design effect of every replication; `sums`: (runs, arms, 6)."""
    arms = [
        [UnitSums.model_construct(**dict(zip(SUMS, arm, strict=True))) for arm in run]
        for run in sums.tolist()
    ]
    return np.array(
        [design_effect(ArmUnits.model_construct(candidate=one, stable=zero)) for one, zero in arms]
    )
