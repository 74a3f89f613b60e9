"""Measurements in memory: the definition of what is counted, written the slow and obvious way."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from promptship.canary.evidence import (
    ArmCounts,
    ArmUnits,
    Baseline,
    Counts,
    Health,
    Histogram,
    LatencyCounts,
    StageCounts,
    UnitSums,
    Values,
)
from promptship.canary.scale import amount_bin, score_bin
from promptship.errors import NotFound
from promptship.ports import IngestReport, TidyReport
from promptship.routing.observation import Arm, Feedback, Observation, Score

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ARMS: Final[tuple[Arm, ...]] = ("candidate", "stable")
_LATENCIES: Final = ("latency", "latency_p95")
_HISTORY_BUCKET_MS: Final = 300_000
_RATES: Final[dict[str, Callable[[Observation], bool | None]]] = {
    "error_rate": lambda row: row.error,
    "refusal_rate": lambda row: row.refusal,
}


class MemoryMeasurements:
    """Counts what was given to `write`, once `ingest` was called. `health` is what `check` answers: set it as you need it."""

    def __init__(self, *, bucket_s: float = 10.0) -> None:
        self.health = Health()
        self._bucket_ms = max(1, round(bucket_s * 1000))
        self._spool: list[Observation | Feedback | Score] = []
        self._rows: dict[str, Observation] = {}
        self._said: dict[tuple[str, str, int, str], Feedback] = {}
        self._scored: dict[tuple[str, str], Score] = {}

    def write(self, record: Observation | Feedback | Score) -> bool:
        """Append to the spool."""
        self._spool.append(record)
        return True

    def ingest(self) -> IngestReport:
        """Take in everything written so far; the same record twice counts once."""
        spool, self._spool = self._spool, []
        before = len(self._rows), len(self._said), len(self._scored)
        for record in spool:
            if isinstance(record, Observation):
                self._rows.setdefault(record.id, record)
            elif isinstance(record, Score):
                self._scored.setdefault((record.request, record.name), record)
            else:
                self._said.setdefault((record.request, record.kind, record.at_ms, record.id), record)
        observations, feedback = len(self._rows) - before[0], len(self._said) - before[1]
        scores = len(self._scored) - before[2]
        return IngestReport(
            observations=observations, feedback=feedback, scores=scores,
            duplicates=len(spool) - observations - feedback - scores,
        )  # fmt: skip

    def counts(
        self, release_id: str, stage: int, *, matures_after_s: dict[str, float], as_of: datetime
    ) -> StageCounts:
        """See `promptship.ports.Measurements.counts` and `promptship.adapters.telemetry.counts`."""
        now = _ms(as_of)
        place = (release_id, stage)
        everything = [row for row in self._rows.values() if (row.release, row.stage) == place]
        said = [words for words in self._said.values() if (words.release, words.stage) == place]
        scored = [score for score in self._scored.values() if (score.release, score.stage) == place]
        requests = {arm: Counts(requests=_n(((row.arm, True) for row in everything), arm)) for arm in _ARMS}
        rates: dict[str, ArmCounts] = {}
        means: dict[str, Values] = {}
        latency = None
        patience = max([matures_after_s.get(name, 0.0) for name in _LATENCIES])
        for metric, matures_s in matures_after_s.items():
            matures = round((patience if metric in _LATENCIES else matures_s) * 1000)
            rows = [row for row in everything if self._ripe(row.at_ms, row.release, matures, now)]
            words = [
                one
                for one in said
                if self._ripe(one.request_at_ms, one.release, matures, now)
                and one.at_ms <= now
                and (not matures or one.at_ms - one.request_at_ms <= matures)
            ]
            scores = [one for one in scored if self._ripe(one.request_at_ms, one.release, matures, now)]
            if metric in _LATENCIES:
                bins = {arm: _histogram(row for row in rows if row.arm == arm) for arm in _ARMS}
                latency = LatencyCounts(**bins) if rows else None
            elif _is_mean(metric):
                values = {arm: _values(metric, rows, scores, {arm}) for arm in _ARMS}
                if any(histogram.buckets for histogram in values.values()):
                    means[metric] = Values(**values)
            else:
                arms = self._count(metric, rows, words, scores, now)
                if any(counts.requests for counts in arms.values()):
                    rates[metric] = ArmCounts(**arms)
        units = {
            metric: self._units(metric, everything, said, scored, measured=metric in rates)
            for metric in matures_after_s
        }
        units = {metric: arms for metric, arms in units.items() if arms.candidate.units or arms.stable.units}
        named = {(row.arm, row.unit) for row in everything if row.unit is not None}
        assigned = {arm: Counts(requests=sum(one == arm for one, _ in named)) for arm in _ARMS}
        return StageCounts(
            rates=rates, latency=latency, means=means, requests=ArmCounts(**requests), units=units,
            assigned=ArmCounts(**assigned) if named else None,
        )  # fmt: skip

    def baseline(self, version: str, metrics: Sequence[str], *, as_of: datetime, window_s: float) -> Baseline:
        """See `promptship.ports.Measurements.baseline` and `promptship.adapters.telemetry.counts`."""
        now = _ms(as_of)
        since = now - round(window_s * 1000)
        rows = [
            row
            for row in self._rows.values()
            if row.version == version and self._past(row.at_ms, row.release, since, now)
        ]
        words = [
            one
            for one in self._said.values()
            if one.version == version
            and one.at_ms <= now
            and self._past(one.request_at_ms, one.release, since, now)
        ]
        scores = [
            one
            for one in self._scored.values()
            if one.version == version and self._past(one.request_at_ms, one.release, since, now)
        ]
        rates: dict[str, Counts] = {}
        means: dict[str, Histogram] = {}
        for metric in metrics:
            if _is_mean(metric):
                histogram = _values(metric, rows, scores, set(_ARMS))
                if histogram.buckets:
                    means[metric] = histogram
            elif metric not in _LATENCIES:
                arms = self._count(metric, rows, words, scores, now)
                if requests := sum(counts.requests for counts in arms.values()):
                    events = sum(counts.events for counts in arms.values())
                    rates[metric] = Counts(requests=requests, events=events)
        wanted = any(name in metrics for name in _LATENCIES)
        return Baseline(rates=rates, latency=_histogram(rows) if wanted else Histogram(), means=means)

    def warm_up(self) -> None:
        """Nothing to load."""

    def check(self, release_id: str, stage: int, *, as_of: datetime) -> Health:  # noqa: ARG002 - the port's signature
        """Whatever `health` was set to."""
        return self.health

    def tidy(self) -> TidyReport:
        """Nothing to tidy."""
        return TidyReport()

    def _count(
        self, metric: str, rows: list[Observation], words: list[Feedback], scores: list[Score], now: int
    ) -> dict[Arm, Counts]:
        """Counts per arm; nothing for a kind of feedback that was never seen for these rows' prompts."""
        if metric in _RATES:
            measured = [(row.arm, bad) for row in rows if (bad := _RATES[metric](row)) is not None]
            return {
                arm: Counts(requests=_n(measured, arm), events=measured.count((arm, True))) for arm in _ARMS
            }
        word, _, kind = metric.partition(":")
        if word == "check":
            checked = [(one.arm, not one.passed) for one in scores if one.name == kind]
            return {
                arm: Counts(requests=_n(checked, arm), events=checked.count((arm, True))) for arm in _ARMS
            }
        if word != "feedback" or not kind:
            raise NotFound(f"metric {metric} is not measured here")
        prompts = {row.prompt for row in rows}
        if not any(
            one.prompt in prompts and one.kind == kind and one.at_ms <= now for one in self._said.values()
        ):
            return {}
        last = _last(words, kind)
        served = [(row.arm, True) for row in rows]
        harmed = [(one.arm, True) for one in last.values() if one.value]
        return {
            arm: Counts(requests=_n(served, arm), events=min(_n(harmed, arm), _n(served, arm)))
            for arm in _ARMS
        }

    def _units(
        self,
        metric: str,
        rows: list[Observation],
        words: list[Feedback],
        scores: list[Score],
        *,
        measured: bool,
    ) -> ArmUnits:
        """Requests and bad ones of each unit, whatever the maturity; of latency and means the bin numbers of its answers."""
        pairs: dict[Arm, dict[str, list[int]]] = {arm: {} for arm in _ARMS}
        word, _, kind = metric.partition(":")

        def add(one: Observation | Feedback | Score, measured: int, bad: int) -> None:
            if one.unit is not None:
                pair = pairs[one.arm].setdefault(one.unit, [0, 0])
                pair[0] += measured
                pair[1] += bad

        if metric in _RATES:
            for row in rows:
                told = _RATES[metric](row)
                add(row, int(told is not None), bool(told))
        elif metric in _LATENCIES:
            for row in rows:
                add(row, 1, _latency_bin(row))
        elif _is_mean(metric):
            for valued, number in _bins(metric, rows, scores):
                add(valued, 1, number)
        elif word == "check":
            for score in scores:
                add(score, int(score.name == kind), score.name == kind and not score.passed)
        elif word == "feedback" and (
            measured or any(one.kind == kind and one.unit is not None for one in words)
        ):
            for row in rows:
                add(row, 1, bad=False)
            for one in _last(words, kind).values():
                add(one, 0, one.value)
        return ArmUnits(**{arm: _six(list(units.values())) for arm, units in pairs.items()})

    def _bucket(self, at_ms: int, release: str | None) -> tuple[int, int]:
        width = self._bucket_ms if release is not None else max(self._bucket_ms, _HISTORY_BUCKET_MS)
        return at_ms // width * width, (at_ms // width + 1) * width

    def _ripe(self, at_ms: int, release: str | None, matures: int, now: int) -> bool:
        start, end = self._bucket(at_ms, release)
        return end + matures <= now if matures else start <= now

    def _past(self, at_ms: int, release: str | None, since: int, now: int) -> bool:
        start, end = self._bucket(at_ms, release)
        return end > since and (start <= now if release is None else end <= now)


def _is_mean(metric: str) -> bool:
    return metric in {"cost_usd", "tokens_out"} or metric.startswith("score:")


def _values(metric: str, rows: list[Observation], scores: list[Score], arms: set[Arm]) -> Histogram:
    return Histogram(
        buckets=dict(Counter(number for one, number in _bins(metric, rows, scores) if one.arm in arms))
    )


def _bins(metric: str, rows: list[Observation], scores: list[Score]) -> list[tuple[Observation | Score, int]]:
    """Everything that has a value of this mean, with its bin."""
    name = metric.removeprefix("score:")
    if name != metric:
        return [(one, score_bin(one.value)) for one in scores if one.name == name]
    values = [(row, getattr(row, metric)) for row in rows]
    return [(row, amount_bin(value)) for row, value in values if value is not None]


def _last(words: list[Feedback], kind: str) -> dict[str, Feedback]:
    """What was said last about each request."""
    last: dict[str, Feedback] = {}
    for one in sorted(words, key=lambda one: (one.at_ms, one.id)):
        if one.kind == kind:
            last[one.request] = one
    return last


def _six(pairs: list[list[int]]) -> UnitSums:
    return UnitSums(
        units=sum(n > 0 for n, _ in pairs), requests=sum(n for n, _ in pairs), events=sum(s for _, s in pairs),
        requests_squared=sum(n * n for n, _ in pairs), events_squared=sum(s * s for _, s in pairs),
        products=sum(n * s for n, s in pairs),
    )  # fmt: skip


def _n(pairs: Iterable[tuple[Arm, bool]], arm: Arm) -> int:
    return sum(one == arm for one, _ in pairs)


def _histogram(rows: Iterable[Observation]) -> Histogram:
    buckets: dict[int, int] = {}
    for row in rows:
        number = _latency_bin(row)
        buckets[number] = buckets.get(number, 0) + 1
    return Histogram(buckets=buckets)


def _latency_bin(row: Observation) -> int:
    return math.floor(16 * math.log2(max(row.latency_ms, 1.0)))


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)
