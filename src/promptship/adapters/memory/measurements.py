"""Measurements in memory: the definition of what is counted, written the slow and obvious way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from promptship.canary.evidence import (
    ArmCounts,
    Baseline,
    Counts,
    Health,
    Histogram,
    LatencyCounts,
    StageCounts,
)
from promptship.errors import NotFound
from promptship.ports import IngestReport
from promptship.routing.observation import Arm, Feedback, Observation

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ARMS: Final[tuple[Arm, ...]] = ("candidate", "stable")
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
        self._spool: list[Observation | Feedback] = []
        self._rows: dict[str, Observation] = {}
        self._said: dict[tuple[str, str, int, str], Feedback] = {}

    def write(self, record: Observation | Feedback) -> bool:
        """Append to the spool."""
        self._spool.append(record)
        return True

    def ingest(self) -> IngestReport:
        """Take in everything written so far; the same record twice counts once."""
        spool, self._spool = self._spool, []
        before = len(self._rows), len(self._said)
        for record in spool:
            if isinstance(record, Observation):
                self._rows.setdefault(record.id, record)
            else:
                self._said.setdefault((record.request, record.kind, record.at_ms, record.id), record)
        observations, feedback = len(self._rows) - before[0], len(self._said) - before[1]
        return IngestReport(
            observations=observations, feedback=feedback, duplicates=len(spool) - observations - feedback
        )

    def counts(
        self, release_id: str, stage: int, *, matures_after_s: dict[str, float], as_of: datetime
    ) -> StageCounts:
        """See `promptship.ports.Measurements.counts` and `promptship.adapters.telemetry.counts`."""
        now = _ms(as_of)
        everything = [row for row in self._rows.values() if (row.release, row.stage) == (release_id, stage)]
        said = [words for words in self._said.values() if (words.release, words.stage) == (release_id, stage)]
        rates: dict[str, ArmCounts] = {}
        latency = None
        for metric, matures_s in matures_after_s.items():
            matures = round(matures_s * 1000)
            rows = [row for row in everything if self._ripe(row.at_ms, row.release, matures, now)]
            words = [
                one
                for one in said
                if self._ripe(one.request_at_ms, one.release, matures, now)
                and one.at_ms <= now
                and (not matures or one.at_ms - one.request_at_ms <= matures)
            ]
            if metric == "latency_p95":
                bins = {arm: _histogram(row for row in rows if row.arm == arm) for arm in _ARMS}
                latency = LatencyCounts(**bins) if rows else None
                continue
            arms = self._count(metric, rows, words, now)
            if any(counts.requests for counts in arms.values()):
                rates[metric] = ArmCounts(**arms)
        requests = {arm: Counts(requests=sum(row.arm == arm for row in everything)) for arm in _ARMS}
        return StageCounts(rates=rates, latency=latency, requests=ArmCounts(**requests))

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
        rates: dict[str, Counts] = {}
        for metric in metrics:
            arms = {} if metric == "latency_p95" else self._count(metric, rows, words, now)
            if requests := sum(counts.requests for counts in arms.values()):
                rates[metric] = Counts(
                    requests=requests, events=sum(counts.events for counts in arms.values())
                )
        return Baseline(rates=rates, latency=_histogram(rows) if "latency_p95" in metrics else Histogram())

    def warm_up(self) -> None:
        """Nothing to load."""

    def check(self, release_id: str, stage: int, *, as_of: datetime) -> Health:  # noqa: ARG002 - the port's signature
        """Whatever `health` was set to."""
        return self.health

    def _count(
        self, metric: str, rows: list[Observation], words: list[Feedback], now: int
    ) -> dict[Arm, Counts]:
        """Counts per arm; nothing for a kind of feedback that was never seen for these rows' prompts."""
        if metric in _RATES:
            measured = [(row.arm, bad) for row in rows if (bad := _RATES[metric](row)) is not None]
            return {
                arm: Counts(requests=_n(measured, arm), events=measured.count((arm, True))) for arm in _ARMS
            }
        word, _, kind = metric.partition(":")
        if word != "feedback" or not kind:
            raise NotFound(f"metric {metric} is not measured here")
        prompts = {row.prompt for row in rows}
        if not any(
            one.prompt in prompts and one.kind == kind and one.at_ms <= now for one in self._said.values()
        ):
            return {}
        last: dict[str, Feedback] = {}
        for one in sorted(words, key=lambda one: (one.at_ms, one.id)):
            if one.kind == kind:
                last[one.request] = one
        served = [(row.arm, True) for row in rows]
        harmed = [(one.arm, True) for one in last.values() if one.value]
        return {
            arm: Counts(requests=_n(served, arm), events=min(_n(harmed, arm), _n(served, arm)))
            for arm in _ARMS
        }

    def _bucket(self, at_ms: int, release: str | None) -> tuple[int, int]:
        width = self._bucket_ms if release is not None else max(self._bucket_ms, _HISTORY_BUCKET_MS)
        return at_ms // width * width, (at_ms // width + 1) * width

    def _ripe(self, at_ms: int, release: str | None, matures: int, now: int) -> bool:
        start, end = self._bucket(at_ms, release)
        return end + matures <= now if matures else start <= now

    def _past(self, at_ms: int, release: str | None, since: int, now: int) -> bool:
        start, end = self._bucket(at_ms, release)
        return end > since and (start <= now if release is None else end <= now)


def _n(pairs: list[tuple[Arm, bool]], arm: Arm) -> int:
    return sum(one == arm for one, _ in pairs)


def _histogram(rows: Iterable[Observation]) -> Histogram:
    buckets: dict[int, int] = {}
    for row in rows:
        number = math.floor(16 * math.log2(max(row.latency_ms, 1.0)))
        buckets[number] = buckets.get(number, 0) + 1
    return Histogram(buckets=buckets)


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)
