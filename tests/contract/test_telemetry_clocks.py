"""Gateways whose clocks are an hour off, one of which is set back while it writes: nothing is lost or counted twice."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from promptship.adapters.database import connect
from promptship.adapters.telemetry import History, Lake, SpoolWriter
from promptship.adapters.telemetry.compaction import Compaction
from tests.support.ledger_stores import HandClock
from tests.support.telemetry import Telemetry, at, said, served, sql_telemetry

HOUR = 3600.0
REQUESTS = 30


@pytest.fixture
def telemetry(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Telemetry]:
    shutil.copy(migrated_sqlite, tmp_path / "ledger.db")
    with sql_telemetry(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "spool") as it:
        yield it


def gateway(telemetry: Telemetry, offsets: list[float], arm: str) -> None:
    """Requests one a second and an escalation of each third; the clock is off by each of these in turn, and begins a file anew."""
    clock = HandClock(at(offsets[0]))
    with SpoolWriter(telemetry.spool, clock=clock, segment_seconds_max=10) as writer:
        for number in range(REQUESTS):
            offset = offsets[number * len(offsets) // REQUESTS]
            clock.turn(seconds=(at(offset + number) - clock.now()).total_seconds())
            row = served(offset + number, arm)
            assert writer.write(row)
            if number % 3 == 0:
                assert writer.write(said(row, 2))
            writer.maintain()
            if number % 7 == 0:
                telemetry.measurements.ingest()


@pytest.mark.slow
def test_clocks_that_are_off_lose_and_double_nothing(telemetry: Telemetry) -> None:
    gateway(telemetry, [HOUR], "stable")
    gateway(telemetry, [-HOUR], "stable")
    gateway(telemetry, [HOUR, 0, -HOUR], "candidate")
    telemetry.measurements.ingest()

    assert telemetry.numbers("error_rate", as_of=at(2 * HOUR)) == (30, 0, 60, 0)
    assert telemetry.numbers("feedback:escalated", as_of=at(2 * HOUR), matures_s=60) == (30, 10, 60, 20)
    # Of a request of an hour hence nothing counts before its time, of one of an hour ago all.
    now = at(REQUESTS + 10)
    assert telemetry.numbers("error_rate", as_of=now) == (20, 0, 30, 0)
    assert telemetry.numbers("feedback:escalated", as_of=at(REQUESTS + 70), matures_s=60) == (20, 6, 30, 10)
    assert telemetry.counts(as_of=now).requests.stable.requests == 60, "how many there were is known at once"

    telemetry.clock.turn(hours=3)
    engine = connect(telemetry.url)
    lake = Lake(str(telemetry.spool.parent / "history"))
    asked = "select count(*), count(distinct id) from observations"
    for _ in range(2):
        with History(engine, telemetry.spool, lake).select(asked) as answer:
            assert [tuple(row) for row in answer.rows] == [(90, 90)]
        Compaction(engine, telemetry.spool, lake, telemetry.clock).run()
    report = telemetry.measurements.ingest()
    assert (report.observations, report.feedback, report.duplicates) == (0, 0, 0)
    engine.dispose()
