"""How often each unit of one stage and arm was counted, and the sums a cluster-robust variance needs. Pure, numpy.

Bounded: beyond `UNITS_MAX` units a fair half is kept, chosen by a hash that knows nothing of arms or outcomes, then a quarter, and so
on. Sums are then those of the kept units: a variance per unit estimated from a hundred thousand of them is as good as from all.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson

from promptship.adapters.telemetry.grouping import COST, LATENCY, TOKENS, Place, UnitGains
from promptship.canary.evidence import UnitSums

UNITS_MAX: Final = 131_072
"""Units of one stage and arm that are told apart; some 60 bytes of memory each, 15 in the database."""
NAMES_MAX: Final = 48
"""Different things counted per unit. Kinds of feedback and names of checks come from outside: no more are taken up."""
REQUESTS: Final = "requests"
ASSIGNED: Final = "assigned"
"""Among the sums, no metric: the table's level, and how many units had a request of all that are kept, of a fair half of these, ..."""
_LEVEL_MAX: Final = 40
_FIXED: Final = {
    "error_rate": (REQUESTS, "errors"),
    "refusal_rate": ("refusal_known", "refusals"),
    **{metric: (f"{metric}_known", f"{metric}_bins") for metric in (LATENCY, COST, TOKENS)},
}
_Keys = np.ndarray[Any, np.dtype[np.uint64]]
_Counts = np.ndarray[Any, np.dtype[np.int64]]
Sums = dict[str, list[int]]
"""By metric: units, sum n, sum s, sum n^2, sum s^2, sum n*s, s being bad requests or bin numbers; and `ASSIGNED`."""


@dataclass(frozen=True, slots=True)
class UnitTable:
    """Units of one stage and arm. `keys` ascend; every column has a number for each key."""

    keys: _Keys = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    columns: Mapping[str, _Counts] = field(default_factory=dict)
    level: int = 0
    """Units are kept when the lowest `level` bits of their hash are 0."""


@dataclass(frozen=True, slots=True)
class Absorbed:
    """A table after gains: what really changed (to be stored), the new sums, and how many units were new."""

    table: UnitTable
    gains: UnitGains
    sums: Sums
    fresh: int


def metrics_of(names: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Metric -> names of what is counted of it per unit: measured, and bad or the sum of the bin numbers."""
    found = {metric: pair for metric, pair in _FIXED.items() if pair[0] in names}
    for name in names:
        kind, _, rest = name.partition(":")
        if kind == "feedback":
            found[name] = (REQUESTS, name)
        elif kind == "scored":
            found[f"check:{rest}"] = (name, f"failed:{rest}")
            found[f"score:{rest}"] = (name, f"bins:{rest}")
    return found


def absorb(table: UnitTable, gains: UnitGains, sums: Sums, *, units_max: int = UNITS_MAX) -> Absorbed:
    """The table with the gains added, and its sums moved by what changed: the cost does not grow with what was counted before."""
    gains = _kept(gains, table.level)
    grown, before, after = _added(table, gains)
    fresh = _count(after, REQUESTS) - _count(before, REQUESTS)
    new_sums = _moved(sums, grown.columns, before, after)
    changed = {name: after[name] - before[name] for name in after if name in gains.gains}
    if len(grown.keys) > units_max:
        grown = _thinned(grown, units_max)
        new_sums = sums_of(grown)
    new_sums |= _assigned(sums.get(ASSIGNED), grown, gains.keys, before, after)
    return Absorbed(grown, UnitGains(gains.keys, changed), new_sums, fresh)


def compared(arms: Mapping[str, list[int]]) -> dict[str, int]:
    """How many units every arm had, of a part that is the same in all of them: as fair as the most thinned arm's. From `ASSIGNED`.

    Counting all of one arm and a half of the other would look like lost units.
    """
    level = max((counted[0] for counted in arms.values()), default=0)
    return {arm: counted[1 + level - counted[0]] for arm, counted in arms.items()}


def _assigned(
    counted: list[int] | None,
    table: UnitTable,
    touched: _Keys,
    before: Mapping[str, _Counts],
    after: Mapping[str, _Counts],
) -> Sums:
    """`ASSIGNED` after the touched units changed; nothing while no unit had a request."""
    if REQUESTS not in table.columns:
        return {}
    if counted is None or counted[0] != table.level:
        return {ASSIGNED: [table.level, *_by_level(table.keys[table.columns[REQUESTS] > 0], table.level)]}
    new = touched[(after[REQUESTS] > 0) & (before[REQUESTS] == 0)]
    more = _by_level(new, table.level)
    return {ASSIGNED: [table.level, *(a + b for a, b in zip(counted[1:], more, strict=True))]}


def _by_level(keys: _Keys, level: int) -> list[int]:
    """How many of the keys are kept at each level from this one on."""
    numbers = []
    for at in range(level, level + _LEVEL_MAX):
        keys = keys[_chosen(keys, at)]
        numbers.append(len(keys))
        if not len(keys):
            break
    return numbers + [0] * (_LEVEL_MAX - len(numbers))


def added(table: UnitTable, gains: UnitGains) -> UnitTable:
    """The table with gains that were stored."""
    return _added(table, gains)[0]


def sums_of(table: UnitTable) -> Sums:
    """The sums of a whole table."""
    sums = {
        metric: _six(table.columns[measured], table.columns.get(bad))
        for metric, (measured, bad) in metrics_of(table.columns).items()
        if measured in table.columns
    }
    return sums | _assigned(None, table, table.keys, {}, {})


def unit_sums(six: list[int]) -> UnitSums:
    """As the statistics take them."""
    units, n, s, nn, ss, ns = six
    return UnitSums(units=units, requests=n, events=s, requests_squared=nn, events_squared=ss, products=ns)


def as_gains(table: UnitTable) -> UnitGains:
    """A whole table as what an empty one would gain."""
    return UnitGains(table.keys, dict(table.columns))


def packed(gains: UnitGains) -> bytes:
    """For the database: a line that says what follows, the keys, and the numbers, compressed."""
    numbers = np.array(list(gains.gains.values()), dtype=np.int64)
    largest = int(np.abs(numbers).max(initial=0))
    kind = "<i1" if largest < 1 << 7 else "<i2" if largest < 1 << 15 else "<i8"
    head = orjson.dumps({"names": list(gains.gains), "units": len(gains.keys), "kind": kind})
    return (
        head + b"\n" + gains.keys.astype("<u8").tobytes() + zlib.compress(numbers.astype(kind).tobytes(), 1)
    )


def unpacked(data: bytes) -> UnitGains:
    """What `packed` made."""
    line, _, rest = data.partition(b"\n")
    head = orjson.loads(line)
    size = 8 * head["units"]
    numbers = np.frombuffer(zlib.decompress(rest[size:]), dtype=head["kind"]).astype(np.int64)
    numbers = numbers.reshape(len(head["names"]), head["units"])
    return UnitGains(
        np.frombuffer(rest[:size], dtype="<u8").astype(np.uint64),
        dict(zip(head["names"], numbers, strict=True)),
    )


def joined(one: UnitGains, other: UnitGains) -> UnitGains:
    """Both gains as one."""
    keys = np.union1d(one.keys, other.keys)
    gains: dict[str, _Counts] = {}
    for part in (one, other):
        at = np.searchsorted(keys, part.keys)
        for name, numbers in part.gains.items():
            gains.setdefault(name, np.zeros(len(keys), dtype=np.int64))[at] += numbers
    return UnitGains(keys, gains)


def combined(*parts: Mapping[Place, UnitGains]) -> dict[Place, UnitGains]:
    """The gains of several batches as one."""
    found: dict[Place, UnitGains] = {}
    for part in parts:
        for place, gains in part.items():
            found[place] = joined(found[place], gains) if place in found else gains
    return found


def _kept(gains: UnitGains, level: int) -> UnitGains:
    if not level:
        return gains
    keep = _chosen(gains.keys, level)
    return UnitGains(gains.keys[keep], {name: numbers[keep] for name, numbers in gains.gains.items()})


def _thinned(table: UnitTable, units_max: int) -> UnitTable:
    level, keys = table.level, table.keys
    while len(keys) > units_max:
        level += 1
        keys = keys[_chosen(keys, level)]
    keep = np.searchsorted(table.keys, keys)
    return UnitTable(keys, {name: column[keep] for name, column in table.columns.items()}, level)


def _chosen(keys: _Keys, level: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether a unit is kept. Its name decides its arm too, so the bits are mixed first (the finaliser of splitmix64)."""
    mixed = keys.astype(np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return np.asarray((mixed & np.uint64((1 << level) - 1)) == 0, dtype=np.bool_)


def _added(table: UnitTable, gains: UnitGains) -> tuple[UnitTable, dict[str, _Counts], dict[str, _Counts]]:
    """The new table, and the numbers of the touched units before and after.

    No number falls below 0: a correction may be about what was never counted here.
    """
    room = max(0, NAMES_MAX - len(table.columns))
    unknown = [name for name in gains.gains if name not in table.columns][:room]
    names = [name for name in gains.gains if name in table.columns] + unknown
    at = np.searchsorted(table.keys, gains.keys)
    inside = np.minimum(at, max(len(table.keys) - 1, 0))
    fresh = table.keys[inside] != gains.keys if len(table.keys) else np.ones(len(gains.keys), dtype=bool)
    touched = at + np.cumsum(fresh) - fresh  # each new key moves those behind it by one
    keys, columns = _widened(table, touched[fresh], gains.keys[fresh])
    columns |= {name: np.zeros(len(keys), dtype=np.int64) for name in unknown}
    before = {name: column[touched] for name, column in columns.items()}
    for name in names:
        columns[name][touched] = np.maximum(before[name] + gains.gains[name], 0)
    after = {name: column[touched] for name, column in columns.items()}
    return UnitTable(keys, columns, table.level), before, after


def _widened(table: UnitTable, at: _Counts, fresh: _Keys) -> tuple[_Keys, dict[str, _Counts]]:
    """Copies of a table's keys and columns with new keys, which have no counts yet, at these positions."""
    if not len(at):
        return table.keys, {name: column.copy() for name, column in table.columns.items()}
    is_old = np.ones(len(table.keys) + len(at), dtype=bool)
    is_old[at] = False
    old = np.flatnonzero(is_old)
    keys = np.empty(len(is_old), dtype=np.uint64)
    keys[old], keys[at] = table.keys, fresh
    columns = {}
    for name, column in table.columns.items():
        columns[name] = np.zeros(len(is_old), dtype=np.int64)
        columns[name][old] = column
    return keys, columns


def _moved(
    sums: Sums, whole: Mapping[str, _Counts], before: Mapping[str, _Counts], after: Mapping[str, _Counts]
) -> Sums:
    moved: Sums = {}
    for metric, (measured, bad) in metrics_of(after).items():
        if metric in sums:
            old, new = (_six(part[measured], part.get(bad)) for part in (before, after))
            moved[metric] = [
                value + more - less for value, more, less in zip(sums[metric], new, old, strict=True)
            ]
        elif measured in whole:
            moved[metric] = _six(whole[measured], whole.get(bad))
    return {**sums, **moved}


def _six(n: _Counts, s: _Counts | None) -> list[int]:
    s = np.zeros_like(n) if s is None else s
    values = (np.count_nonzero(n), n.sum(), s.sum(), (n * n).sum(), (s * s).sum(), (n * s).sum())
    return [int(value) for value in values]


def _count(columns: Mapping[str, _Counts], name: str) -> int:
    return int(np.count_nonzero(columns[name])) if name in columns else 0
