"""Compaction: wherever it dies, every record is there once, before, between and after; then the spool is empty."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from promptship.adapters.database import connect, reading, writing
from promptship.adapters.telemetry import History, Lake, SpoolWriter
from promptship.adapters.telemetry.compaction import ABANDONED_S, Compaction
from promptship.adapters.telemetry.manifest import files
from promptship.adapters.telemetry.retention import UNITS_DAYS, prune
from promptship.adapters.telemetry.tables import quarantined_lines, spool_files, unit_batches
from promptship.errors import Conflict, Unavailable
from promptship.routing.observation import Observation
from tests.support.postgres import postgres_database
from tests.support.telemetry import NOON_MS, Telemetry, at, judged, said, served, sql_telemetry

pytestmark = pytest.mark.slow

STEPS = 12
"""More than a compaction of three streams has; one that never comes is a run without a crash."""
COUNT = "select (select count(*) from observations), (select count(*) from feedback), (select count(*) from scores)"


class Killed(BaseException):
    """Nothing may catch it."""


@contextmanager
def house(url: str, directory: Path) -> Iterator[tuple[Telemetry, Engine, Lake]]:
    engine = connect(url)
    with sql_telemetry(url, directory / "spool") as telemetry:
        yield telemetry, engine, Lake(str(directory / "history"))
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.system)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Telemetry, Engine, Lake]]:
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "ledger.db")
        with house(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path) as it:
            yield it
    else:
        server, template = request.getfixturevalue("postgres"), request.getfixturevalue("migrated_postgres")
        with postgres_database(server, template=template) as url, house(url, tmp_path) as it:
            yield it


def sealed(telemetry: Telemetry, rows: list[Observation]) -> None:
    """The rows, feedback and scores about them in segments that their writer has left, all taken in."""
    for row in rows:
        telemetry.writer.write(row)
        telemetry.writer.write(said(row, 3))
        telemetry.writer.write(judged(row))
    assert isinstance(telemetry.writer, SpoolWriter)
    telemetry.writer.close()
    for record in (served(3600), said(rows[0], 9), judged(rows[0], name="facts")):
        telemetry.writer.write(record)
    telemetry.measurements.ingest()


def asked(telemetry: Telemetry, engine: Engine, lake: Lake, sql: str = COUNT) -> list[tuple[Any, ...]]:
    with History(engine, telemetry.spool, lake).select(sql) as answer:
        return [tuple(row) for row in answer.rows]


@pytest.mark.parametrize(
    "dies_after",
    [step if step in {8, 10} else pytest.param(step, marks=pytest.mark.system) for step in range(STEPS)],
)
def test_a_compaction_that_dies_anywhere_loses_and_doubles_nothing(
    place: tuple[Telemetry, Engine, Lake], dies_after: int
) -> None:
    telemetry, engine, lake = place
    days = [served(second + day * 86_400, unit="u") for second in range(5) for day in (0, 1)]
    sealed(telemetry, days)
    whole = [(11, 11, 11)]
    steps: list[str] = []

    def dies(step: str) -> None:
        steps.append(step)
        if len(steps) == dies_after + 1:
            raise Killed

    assert asked(telemetry, engine, lake) == whole
    if dies_after < STEPS - 1:
        with pytest.raises(Killed):
            Compaction(engine, telemetry.spool, lake, telemetry.clock, after=dies).run()
    assert asked(telemetry, engine, lake) == whole, steps
    telemetry.measurements.ingest()
    Compaction(engine, telemetry.spool, lake, telemetry.clock).run()
    report = telemetry.measurements.ingest()

    assert (report.observations, report.feedback, report.scores, report.duplicates) == (0, 0, 0, 0)
    assert asked(telemetry, engine, lake) == whole
    assert sorted(path.name[-13:] for path in telemetry.spool.rglob("*.jsonl")) == ["0000001.jsonl"] * 3
    with reading(engine) as connection:
        assert len(files(connection)) == 6, "a file of each stream and day"
        assert connection.execute(select(spool_files.c.name).where(spool_files.c.done)).all() == []
    telemetry.clock.turn(hours=48)
    for path in Path(lake.place).rglob("*.parquet"):
        os.utime(path, (at(0).timestamp(), at(0).timestamp()))
    prune(engine, lake, telemetry.clock, history_s=1e9, spool_s=1e9)
    assert len(list(Path(lake.place).rglob("*.*"))) == 6, "what nobody lists has been swept"


def test_two_compactions_at_once_write_everything_once(place: tuple[Telemetry, Engine, Lake]) -> None:
    telemetry, engine, lake = place
    sealed(telemetry, [served(1), served(2)])
    other = Compaction(engine, telemetry.spool, lake, telemetry.clock)

    def meanwhile(step: str) -> None:
        if step == "lines read":
            other.run()

    with pytest.raises(Conflict):
        Compaction(engine, telemetry.spool, lake, telemetry.clock, after=meanwhile).run()
    assert asked(telemetry, engine, lake) == [(3, 3, 3)]
    with reading(engine) as connection:
        assert sorted(one.path for one in files(connection)) == sorted(
            path.relative_to(lake.place).as_posix() for path in Path(lake.place).rglob("*.*")
        )


@pytest.fixture
def here(migrated_sqlite: Path, tmp_path: Path) -> Iterator[tuple[Telemetry, Engine, Lake]]:
    shutil.copy(migrated_sqlite, tmp_path / "ledger.db")
    with house(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path) as it:
        yield it


@pytest.mark.slow
def test_a_line_written_twice_is_in_the_history_once(here: tuple[Telemetry, Engine, Lake]) -> None:
    telemetry, engine, lake = here
    row = served(1)
    sealed(telemetry, [row, row])
    Compaction(engine, telemetry.spool, lake, telemetry.clock).run()
    sealed(telemetry, [row, served(2)])
    assert asked(telemetry, engine, lake, "select count(*), count(distinct id) from observations") == [(4, 4)]

    Compaction(engine, telemetry.spool, lake, telemetry.clock).run()
    assert asked(telemetry, engine, lake, "select count(*), count(distinct id) from observations") == [(4, 4)]


@pytest.mark.slow
def test_a_segment_of_a_dead_writer_is_compacted_after_an_hour(here: tuple[Telemetry, Engine, Lake]) -> None:
    telemetry, engine, lake = here
    telemetry.take_in(served(1), served(2))
    (segment,) = (telemetry.spool / "observations").iterdir()
    with segment.open("ab") as file:
        file.write(b'{"id":"torn')
    compaction = Compaction(engine, telemetry.spool, lake, telemetry.clock)
    for age, gone in ((ABANDONED_S - 1, False), (ABANDONED_S + 1, True)):
        written = at(0).timestamp() - age
        os.utime(segment, (written, written))
        assert (compaction.run().rows == 2) == gone
        assert asked(telemetry, engine, lake, "select count(*) from observations") == [(2,)]
    with reading(engine) as connection:
        query = select(quarantined_lines.c.start_byte, quarantined_lines.c.length_bytes)
        assert [tuple(row) for row in connection.execute(query)] == [(segment.stat().st_size - 11, 11)]


@pytest.mark.slow
def test_a_segment_with_bad_lines_is_kept_for_a_while(here: tuple[Telemetry, Engine, Lake]) -> None:
    telemetry, engine, lake = here
    assert isinstance(telemetry.writer, SpoolWriter)
    telemetry.writer.write({"id": "no record"})
    sealed(telemetry, [served(1)])
    compaction = Compaction(engine, telemetry.spool, lake, telemetry.clock)
    compaction.run()
    assert len(list((telemetry.spool / "observations").iterdir())) == 2
    assert asked(telemetry, engine, lake) == [(2, 2, 2)]

    later = telemetry.clock.now() + timedelta(seconds=1)
    assert compaction.delete_retired(bad_before_ms=round(later.timestamp() * 1000)) == 1
    assert len(list((telemetry.spool / "observations").iterdir())) == 1
    assert telemetry.measurements.ingest().quarantined == 0
    assert asked(telemetry, engine, lake) == [(2, 2, 2)]


@pytest.mark.slow
def test_what_is_too_old_is_deleted(here: tuple[Telemetry, Engine, Lake]) -> None:
    telemetry, engine, lake = here
    sealed(telemetry, [served(0, unit="u"), served(86_400, unit="u")])
    Compaction(engine, telemetry.spool, lake, telemetry.clock).run()
    telemetry.clock.turn(days=1, seconds=1)

    assert prune(engine, lake, telemetry.clock, history_s=86_400, spool_s=1) == 3
    assert asked(telemetry, engine, lake, "select min(at_ms) from observations") == [(NOON_MS + 3_600_000,)]
    with reading(engine) as connection:
        assert connection.execute(select(unit_batches.c.slot)).all() != []
    telemetry.clock.turn(days=UNITS_DAYS)
    prune(engine, lake, telemetry.clock, history_s=86_400, spool_s=1)
    with reading(engine) as connection:
        assert connection.execute(select(unit_batches.c.slot)).all() == []
    before = telemetry.counts("error_rate", as_of=at(0))
    telemetry.take_in(served(5, unit="late"))
    assert telemetry.counts("error_rate", as_of=at(0)).units == before.units, "what ended is not begun anew"


def test_a_full_disk_under_the_ledger_loses_nothing(here: tuple[Telemetry, Engine, Lake]) -> None:
    telemetry, _, _ = here
    telemetry.take_in(served(0))
    rows = [served(second, unit=f"{second:016x}") for second in range(400)]
    for row in rows:
        telemetry.writer.write(row)
    measurements: Any = telemetry.measurements
    with measurements._engine.connect() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(Unavailable, match="full"):
        telemetry.measurements.ingest()
    with measurements._engine.connect() as connection:
        connection.execute(text("PRAGMA max_page_count = 1000000"))

    assert telemetry.measurements.ingest().observations == 400
    assert telemetry.counts(as_of=at(0)).requests.stable.requests == 401


def test_a_spool_that_vanishes_is_counted_as_lost_and_made_anew(here: tuple[Telemetry, Engine, Lake]) -> None:
    telemetry, engine, lake = here
    telemetry.take_in(served(1))
    telemetry.writer.write(served(2))
    shutil.rmtree(telemetry.spool)
    assert telemetry.measurements.ingest().observations == 0
    writer = telemetry.writer
    assert isinstance(writer, SpoolWriter)
    writer.maintain()
    assert writer.lost == 2, "also what was read: nobody can know"

    telemetry.take_in(served(3))
    assert telemetry.counts(as_of=at(0)).requests.stable.requests == 2
    with writing(engine) as connection:
        assert files(connection) == []
    assert asked(telemetry, engine, lake, "select count(*) from observations") == [(1,)]


@pytest.mark.slow
def test_a_history_in_any_store_of_fsspec(here: tuple[Telemetry, Engine, Lake]) -> None:
    telemetry, engine, _ = here
    remote = Lake(f"memory://{telemetry.spool.parent.name}")
    sealed(telemetry, [served(1), served(2)])
    assert Compaction(engine, telemetry.spool, remote, telemetry.clock).run().rows == 6
    assert asked(telemetry, engine, remote) == [(3, 3, 3)]
    assert len(list(remote.files())) == 3
    telemetry.clock.turn(days=1)
    assert prune(engine, remote, telemetry.clock, history_s=60, spool_s=60) == 3
    assert list(remote.files()) == []
