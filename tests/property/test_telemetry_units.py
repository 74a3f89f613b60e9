"""Sums over units are those of the obvious loop, whatever arrives in whatever order, and thinning keeps a fair part."""

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship.adapters.telemetry.grouping import UnitGains, amount_bins, unit_keys
from promptship.adapters.telemetry.units import (
    ASSIGNED,
    Sums,
    UnitTable,
    absorb,
    added,
    compared,
    packed,
    sums_of,
    unit_sums,
    unpacked,
)
from promptship.canary import sample_ratio
from promptship.canary.evidence import ArmCounts, Counts
from promptship.canary.scale import amount_bin
from promptship.routing.split import BUCKETS

gains = st.dictionaries(
    st.integers(0, 30), st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(-1, 2)), min_size=1
)


def as_gains(batch: dict[int, tuple[int, int, int]]) -> UnitGains:
    keys = np.array(sorted(batch), dtype=np.uint64)
    names = ("requests", "errors", "feedback:escalated")
    return UnitGains(
        keys, {name: np.array([batch[int(k)][at] for k in keys]) for at, name in enumerate(names)}
    )


@given(st.lists(gains, max_size=6))
def test_the_sums_are_those_of_all_units(batches: list[dict[int, tuple[int, int, int]]]) -> None:
    table, sums, stored, fresh = UnitTable(), Sums(), UnitTable(), 0
    units: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for batch in batches:
        done = absorb(table, as_gains(batch), sums)
        table, sums, fresh = done.table, done.sums, fresh + done.fresh
        stored = added(stored, unpacked(packed(done.gains)))
        for unit, more in batch.items():
            units[unit] = [max(0, before + one) for before, one in zip(units[unit], more, strict=True)]
    assert sums == sums_of(table) == sums_of(stored)
    assert fresh == sum(n > 0 for n, _, _ in units.values())
    for metric, at in (("error_rate", 1), ("feedback:escalated", 2)):
        if not batches:
            break
        pairs = [(row[0], row[at]) for row in units.values()]
        found = unit_sums(sums[metric])
        assert found.units == fresh
        assert (found.requests, found.events) == (sum(n for n, _ in pairs), sum(s for _, s in pairs))
        assert found.requests_squared == sum(n * n for n, _ in pairs)
        assert found.events_squared == sum(s * s for _, s in pairs)
        assert found.products == sum(n * s for n, s in pairs)


def test_arms_of_which_one_was_thinned_are_compared_on_the_same_part() -> None:
    """Else a stage with many units would look as if the larger arm lost half of them, and hold for ever."""
    dice = np.random.default_rng(2)
    keys = np.unique(dice.integers(0, 2**64, 60_000, dtype=np.uint64))
    dice.shuffle(keys)
    arms = {"candidate": (UnitTable(), Sums()), "stable": (UnitTable(), Sums())}
    for part in np.array_split(keys, 8):
        mine = part % np.uint64(BUCKETS) < BUCKETS // 20
        for arm, chosen in (("candidate", mine), ("stable", ~mine)):
            one = UnitGains(np.sort(part[chosen]), {"requests": np.ones(int(chosen.sum()), dtype=int)})
            done = absorb(arms[arm][0], one, arms[arm][1], units_max=8000)
            arms[arm] = done.table, done.sums
        units = compared({arm: sums[ASSIGNED] for arm, (_, sums) in arms.items()})
        evidence = sample_ratio.log_e(
            ArmCounts(**{arm: Counts(requests=number) for arm, number in units.items()}), 0.05
        )
        assert evidence < math.log(1 / sample_ratio.ALPHA)
    assert (arms["candidate"][0].level, arms["stable"][0].level) == (0, 3)
    assert units["stable"] == len(arms["stable"][0].keys)


def test_beyond_the_bound_a_fair_part_is_kept() -> None:
    """Fair: of every arm the same share, although a unit's name decides its arm."""
    dice = np.random.default_rng(1)
    keys = np.unique(dice.integers(0, 2**64, 20_000, dtype=np.uint64))
    table, sums = UnitTable(), Sums()
    for part in np.array_split(keys, 10):
        one = UnitGains(
            np.sort(part), {"requests": np.full(len(part), 2), "errors": np.ones(len(part), dtype=int)}
        )
        done = absorb(table, one, sums, units_max=4000)
        table, sums = done.table, done.sums
    assert 2000 <= len(table.keys) <= 4000
    assert table.level == 3
    candidates = (table.keys % np.uint64(BUCKETS) < BUCKETS // 4).mean()
    assert candidates == pytest.approx(0.25, abs=4 * (0.1875 / len(table.keys)) ** 0.5)
    assert sums["error_rate"] == [
        len(table.keys),
        2 * len(table.keys),
        len(table.keys),
        4 * len(table.keys),
        len(table.keys),
        2 * len(table.keys),
    ]
    again = absorb(table, UnitGains(keys, {"requests": np.ones(len(keys), dtype=int)}), sums, units_max=4000)
    assert len(again.table.keys) == len(table.keys), "who was left out stays out"
    assert again.fresh == 0


@given(
    st.lists(
        st.text(max_size=20) | st.integers(0, 2**64 - 1).map(lambda n: f"{n:016x}"), unique=True, max_size=8
    )
)
def test_different_units_have_different_keys(units: list[str]) -> None:
    assert len(set(unit_keys(units).tolist())) == len(units)
    assert unit_keys(units).tolist() == [int(unit_keys([unit])[0]) for unit in units], (
        "whoever stands beside them"
    )


@given(st.lists(st.floats(0, 1e6) | st.integers(-30, 20).map(lambda n: 2.0**n), min_size=1))
def test_bins_of_many_amounts_are_those_of_each(values: list[float]) -> None:
    assert amount_bins(np.array(values)).tolist() == [amount_bin(value) for value in values]
