"""Columns of a batch -> what each bucket, and each unit, gains. Pure; sums are whole numbers where the tables hold whole numbers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from promptship.adapters.telemetry.lines import Columns, Floats, Ints, numbered
from promptship.adapters.telemetry.tables import NO_RELEASE, NO_STAGE, TOTAL_MS
from promptship.canary.scale import SCORE_BINS

HISTORY_BUCKET_MS: Final = 300_000
"""Width of the buckets of traffic outside any release, if the configured one is not wider: history needs no finer ones."""
HOUR_MS: Final = 3_600_000
LATENCY: Final = "latency"
COST: Final = "cost_usd"
TOKENS: Final = "tokens_out"
_COUNTED_MAX: Final = 1 << 20
"""Cells of an array that holds every bin of every bucket."""
_HEX: Final = re.compile("[0-9a-f]*")

Key = tuple[Any, ...]
"""Of a bucket: release, stage, arm, version, prompt, start, end; in the order of `TRAFFIC_KEY`."""
Place = tuple[str, int, str]
"""Release, stage, arm."""


@dataclass(slots=True)
class Group:
    """What one bucket gains: sums by column of `traffic`, histograms by metric, checks by name as [scored, failed]."""

    key: Key
    sums: dict[str, float] = field(default_factory=dict)
    bins: dict[str, dict[int, int]] = field(default_factory=dict)
    checks: dict[str, list[int]] = field(default_factory=dict)

    def add(self, other: Group) -> None:
        """Add what another bucket of the same stage gains."""
        for name, more in other.sums.items():
            self.sums[name] = self.sums.get(name, 0) + more
        for metric, bins in other.bins.items():
            mine = self.bins.setdefault(metric, {})
            for number, requests in bins.items():
                mine[number] = mine.get(number, 0) + requests
        for name, (scored, failed) in other.checks.items():
            before = self.checks.setdefault(name, [0, 0])
            before[0] += scored
            before[1] += failed


@dataclass(frozen=True, slots=True)
class UnitGains:
    """What units of one stage and arm gain: distinct keys, ascending, and per name of a sum one number for each key."""

    keys: np.ndarray[Any, np.dtype[np.uint64]]
    gains: dict[str, Ints]


def of_observations(rows: Columns, width_ms: int) -> dict[Key, Group]:
    """Gains of the buckets of a batch of observations."""
    if not rows.count:
        return {}
    index, groups = _buckets(rows, "at_ms", width_ms)
    n = len(groups)
    latency = rows.floats("latency_ms")
    refusal = rows.floats("refusal")
    cost, tokens = rows.floats(COST), rows.floats(TOKENS)
    sums: dict[str, Any] = {
        "requests": np.bincount(index, minlength=n),
        "errors": _sums(index, rows.floats("error"), n),
        "refusal_known": _sums(index, ~np.isnan(refusal), n),
        "refusals": _sums(index, np.nan_to_num(refusal), n),
        "latency_ms_sum": np.bincount(index, latency, minlength=n),
        "tokens_in": _sums(index, np.nan_to_num(rows.floats("tokens_in")), n),
        "tokens_out": _sums(index, np.nan_to_num(tokens), n),
        "cost_known": _sums(index, ~np.isnan(cost), n),
        "cost_usd_sum": np.bincount(index, np.nan_to_num(cost), minlength=n),
    }
    for name, values in sums.items():
        for group, value in zip(groups, values.tolist(), strict=True):
            group.sums[name] = value
    _histograms(groups, LATENCY, index, latency_bins(latency))
    for metric, amounts in ((COST, cost), (TOKENS, tokens)):
        known = ~np.isnan(amounts)
        _histograms(groups, metric, index[known], amount_bins(amounts[known]))
    return {group.key: group for group in groups}


def of_scores(rows: Columns, width_ms: int) -> dict[Key, Group]:
    """Gains of the buckets of a batch of scores: a score belongs to the bucket of its request."""
    if not rows.count:
        return {}
    index, groups = _buckets(rows, "request_at_ms", width_ms)
    bins = np.rint(rows.floats("value") * SCORE_BINS).astype(int).tolist()
    for at, name, number, passed in zip(index.tolist(), rows["name"], bins, rows["passed"], strict=True):
        group = groups[at]
        check = group.checks.setdefault(name, [0, 0])
        check[0] += 1
        check[1] += not passed
        histogram = group.bins.setdefault(f"score:{name}", {})
        histogram[number] = histogram.get(number, 0) + 1
    return {group.key: group for group in groups}


def together(*parts: Mapping[Key, Group]) -> list[Group]:
    """The groups of several batches as one list by key, and for every stage they touch the gain of its total."""
    found: dict[Key, Group] = {}
    for part in parts:
        for key, group in part.items():
            found.setdefault(key, Group(key)).add(group)
            if key[0] != NO_RELEASE:
                total = (*key[:-2], TOTAL_MS, TOTAL_MS)
                found.setdefault(total, Group(total)).add(group)
    return [found[key] for key in sorted(found)]


def bucket_of(at_ms: int, release: str | None, width_ms: int) -> tuple[int, int]:
    """Start and end of the bucket of a request."""
    width = width_ms if release is not None else max(width_ms, HISTORY_BUCKET_MS)
    return at_ms - at_ms % width, at_ms - at_ms % width + width


def latency_bins(values: Floats) -> Floats:
    """`promptship.canary.latency.bucket` of many values at once."""
    return np.asarray(np.floor(16 * np.log2(np.maximum(values, 1))))


def amount_bins(values: Floats) -> Floats:
    """`promptship.canary.scale.amount_bin` of many values at once (a test compares them)."""
    with np.errstate(divide="ignore"):
        bins = 1 + np.maximum(0, np.floor(16 * (np.log2(values) + 24)))
    return np.where(values == 0, 0, bins)


def units_of_observations(rows: Columns) -> dict[Place, UnitGains]:
    """Gains of the units, per stage and arm; of latency and amounts the bin numbers of their answers (`promptship.canary.units`)."""
    refusal = rows.floats("refusal")
    gains = {
        "requests": np.ones(rows.count),
        "errors": rows.floats("error"),
        "refusal_known": (~np.isnan(refusal)).astype(float),
        "refusals": np.nan_to_num(refusal),
        f"{LATENCY}_known": np.ones(rows.count),
        f"{LATENCY}_bins": latency_bins(rows.floats("latency_ms")),
    }
    for metric in (COST, TOKENS):
        amounts = rows.floats(metric)
        known = ~np.isnan(amounts)
        if known.any():
            gains[f"{metric}_known"] = known.astype(float)
            gains[f"{metric}_bins"] = np.where(known, amount_bins(np.nan_to_num(amounts)), 0.0)
    return _by_unit(rows, gains)


def units_of_scores(rows: Columns) -> dict[Place, UnitGains]:
    """The same of scores: scored and failed answers, and the bins of the scores, by name of the check."""
    names = np.array(rows["name"], dtype=object)
    failed = rows.floats("passed") == 0
    bins = np.rint(rows.floats("value") * SCORE_BINS)
    gains: dict[str, Any] = {}
    for name in sorted(set(rows["name"])):
        gains[f"scored:{name}"] = (names == name).astype(float)
        gains[f"failed:{name}"] = ((names == name) & failed).astype(float)
        gains[f"bins:{name}"] = np.where(names == name, bins, 0.0)
    return _by_unit(rows, gains)


def unit_keys(units: Sequence[str]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """64 bits of each unit's name: the name itself, where it is 16 hexadecimal digits as gateways write it, else a hash of it."""
    text = "".join(units)
    # All at once: ten times as fast. `fromhex` alone would let capitals and blanks pass.
    if {*map(len, units)} <= {16} and text.isalnum() and text == text.lower():
        with suppress(ValueError):
            return np.frombuffer(bytes.fromhex(text), dtype=">u8").astype(np.uint64)
    return np.array([_unit_key(unit) for unit in units], dtype=np.uint64)


def _unit_key(unit: str) -> int:
    if len(unit) == 16 and _HEX.fullmatch(unit):  # noqa: PLR2004 - digits of 64 bits
        return int(unit, 16)
    return int.from_bytes(hashlib.blake2b(unit.encode(), digest_size=8).digest(), "big")


def _by_unit(rows: Columns, gains: Mapping[str, Floats]) -> dict[Place, UnitGains]:
    code, keys = rows.places
    units = rows["unit"]
    told = (
        np.array([unit is not None for unit in units]) if None in units else np.ones(rows.count, dtype=bool)
    )
    names = np.zeros(rows.count, dtype=np.uint64)
    names[told] = unit_keys([unit for unit in units if unit is not None] if None in units else units)
    inside: dict[Place, list[int]] = {}
    for number, (release, stage, arm, _, _) in enumerate(keys):
        if release is not None:
            inside.setdefault((release, stage, arm), []).append(number)
    found = {}
    for place, numbers in inside.items():
        chosen = np.flatnonzero(np.isin(code, numbers) & told)
        if len(chosen):
            different, index = np.unique(names[chosen], return_inverse=True)
            sums = {name: _sums(index, values[chosen], len(different)) for name, values in gains.items()}
            found[place] = UnitGains(different, sums)
    return found


def _buckets(rows: Columns, times: str, width_ms: int) -> tuple[Ints, list[Group]]:
    """For each row the number of its group, and the groups, without gains yet."""
    code, places = rows.places
    wide = max(width_ms, HISTORY_BUCKET_MS)
    widths = np.array([width_ms if place[0] is not None else wide for place in places])[code]
    at = rows.floats(times).astype(np.int64)
    nth = at // widths  # of buckets of this width: a row's place says which width
    first = int(nth.min())
    span = int(nth.max()) - first + 1
    combined, index = numbered(code * span + (nth - first))
    groups = []
    for number in combined:
        release, stage, *rest = places[number // span]
        width = width_ms if release is not None else wide
        began = (first + number % span) * width
        key = (
            NO_RELEASE if release is None else release, NO_STAGE if stage is None else stage, *rest, began, began + width,
        )  # fmt: skip
        groups.append(Group(key))
    return index, groups


def _histograms(groups: list[Group], metric: str, index: Ints, bins: Floats) -> None:
    if not len(index):
        return
    numbers = bins.astype(np.int64)
    width = int(numbers.max()) + 1
    together = index * width + numbers
    if width * len(groups) <= _COUNTED_MAX:  # counting is ten times as fast as sorting
        counted = np.bincount(together)
        found = np.flatnonzero(counted)
        requests = counted[found]
    else:
        found, requests = np.unique(together, return_counts=True)
    for number, count in zip(found.tolist(), requests.tolist(), strict=True):
        groups[number // width].bins.setdefault(metric, {})[number % width] = count


def _sums(index: Ints, values: Any, n: int) -> Ints:
    return np.bincount(index, np.asarray(values, dtype=float), minlength=n).astype(np.int64)
