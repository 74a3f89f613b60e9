"""Requests and feedback with short names, and every kind of `Measurements` behind one shape."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from promptship.adapters.database import connect
from promptship.adapters.memory.measurements import MemoryMeasurements
from promptship.adapters.telemetry import SpoolMeasurements, SpoolWriter
from promptship.canary.evidence import StageCounts
from promptship.ports import Measurements
from promptship.routing.observation import Feedback, Observation, Score
from tests.support.ledger_stores import HandClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
RELEASE = "r-one"
_numbers = count()


def at(seconds: float) -> datetime:
    """Seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def served(seconds: float = 0.0, arm: Any = "stable", **other: Any) -> Observation:
    """A request `seconds` after noon, in stage 0 of the release unless told otherwise."""
    given: dict[str, Any] = {
        "id": f"019cb1d0-0000-7000-8000-{next(_numbers):012d}", "at_ms": NOON_MS + round(seconds * 1000), "prompt": "support-reply",
        "version": "v-" + arm, "arm": arm, "release": RELEASE, "stage": 0, "latency_ms": 100.0, "status": 200, "error": False,
    }  # fmt: skip
    return Observation(**{**given, **other})


def said(
    about: Observation, after_s: float, *, value: bool = True, kind: str = "escalated", **other: Any
) -> Feedback:
    """Feedback `after_s` seconds after the request it is about."""
    given: dict[str, Any] = {
        "id": f"f-{next(_numbers):012d}", "at_ms": about.at_ms + round(after_s * 1000), "request": about.id,
        "request_at_ms": about.at_ms, "prompt": about.prompt, "version": about.version, "arm": about.arm,
        "release": about.release, "stage": about.stage, "unit": about.unit, "kind": kind, "value": value,
    }  # fmt: skip
    return Feedback(**{**given, **other})


def judged(
    about: Observation, after_s: float = 1.0, *, value: float = 1.0, name: str = "tone", **other: Any
) -> Score:
    """A score `after_s` seconds after the request it is about; it passed when it is at least a half."""
    given: dict[str, Any] = {
        "id": f"s-{next(_numbers):012d}", "at_ms": about.at_ms + round(after_s * 1000), "request": about.id,
        "request_at_ms": about.at_ms, "prompt": about.prompt, "version": about.version, "arm": about.arm,
        "release": about.release, "stage": about.stage, "unit": about.unit, "name": name, "value": value,
        "passed": value >= 0.5,
    }  # fmt: skip
    return Score(**{**given, **other})


@dataclass
class Telemetry:
    """Measurements together with the way records get to them."""

    measurements: Measurements
    writer: MemoryMeasurements | SpoolWriter
    clock: HandClock = field(default_factory=lambda: HandClock(NOON))
    url: str = ""
    spool: Path = Path()

    def take_in(self, *records: Observation | Feedback | Score) -> None:
        for record in records:
            assert self.writer.write(record)
        self.measurements.ingest()

    def counts(self, *metrics: str, as_of: datetime, matures_s: float = 0.0, stage: int = 0) -> StageCounts:
        matures = dict.fromkeys(metrics, matures_s)
        return self.measurements.counts(RELEASE, stage, matures_after_s=matures, as_of=as_of)

    def numbers(self, metric: str, *, as_of: datetime, matures_s: float = 0.0) -> Sequence[int] | None:
        """(candidate's requests, events, stable's requests, events) of one rate; None: not measured."""
        rates = self.counts(metric, as_of=as_of, matures_s=matures_s).rates
        if metric not in rates:
            return None
        both = rates[metric]
        return both.candidate.requests, both.candidate.events, both.stable.requests, both.stable.events


def memory_telemetry(bucket_s: float = 10.0) -> Telemetry:
    measurements = MemoryMeasurements(bucket_s=bucket_s)
    return Telemetry(measurements, measurements)


@contextmanager
def sql_telemetry(url: str, spool: Path, *, bucket_s: float = 10.0) -> Iterator[Telemetry]:
    """On a database that is migrated already."""
    engine = connect(url)
    clock = HandClock(NOON)
    measurements = SpoolMeasurements(engine, spool, clock, bucket_s=bucket_s)
    try:
        with SpoolWriter(spool, clock=clock) as writer:
            yield Telemetry(measurements, writer, clock, url, spool)
    finally:
        measurements.close()
        engine.dispose()
