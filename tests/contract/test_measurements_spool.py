"""What only measurements on spool files have: bad lines, torn lines, sealed segments, offsets, ticks that meet."""

import hashlib
import shutil
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from promptship.adapters.database import connect, reading, writing
from promptship.adapters.telemetry import SpoolMeasurements
from promptship.adapters.telemetry.rollup import QUARANTINE_ROWS_MAX, SEEN_HOURS
from promptship.adapters.telemetry.segments import SLICE_BYTES_MAX
from promptship.adapters.telemetry.tables import quarantined_lines, seen_requests, spool_files
from promptship.errors import Unavailable
from promptship.ports import IngestReport
from promptship.routing.observation import Observation
from tests.support.telemetry import RELEASE, Telemetry, at, said, served, sql_telemetry


@pytest.fixture
def telemetry(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Telemetry]:
    shutil.copy(migrated_sqlite, tmp_path / "ledger.db")
    with sql_telemetry(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "spool") as it:
        yield it


def put(
    telemetry: Telemetry, name: str, *lines: bytes, stream: str = "observations", end: bytes = b"\n"
) -> Path:
    """Append lines to a spool file of some other writer."""
    path = telemetry.spool / stream / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(b"\n".join(lines) + end)
    return path


def line(row: Observation) -> bytes:
    return row.model_dump_json().encode()


def counted(telemetry: Telemetry) -> int:
    return telemetry.counts(as_of=at(0)).requests.stable.requests


def rows(telemetry: Telemetry, query: Any) -> list[Any]:
    engine = connect(telemetry.url)
    with reading(engine) as connection:
        found = [tuple(row) for row in connection.execute(query)]
    engine.dispose()
    return found


def test_bad_lines_are_put_aside_without_their_content_and_the_tick_goes_on(telemetry: Telemetry) -> None:
    good = line(served(1))
    bad = {
        b"{torn by a power cu": "not JSON",
        b"\xff\xfe{}": "not UTF-8",
        b"[1, 2]": "not a record",
        b"null": "not a record",
        b'{"secret-key": 1}': "unknown key",
        good[:-1] + b',"extra":1}': "unknown key",
        good[:-1] + b',"id":"x"}': "a key stands twice",
        good.replace(b'"status":200', b'"status":"200"'): "status is str; expected int",
        good.replace(b'"status":200,', b""): "status is missing",
        good.replace(b'"latency_ms":100.0', b'"latency_ms":-1.0'): "latency_ms is out of range",
        good.replace(b'"arm":"stable"', b'"arm":"both"'): "arm is neither stable nor candidate",
        good.replace(b'"stage":0', b'"stage":null'): "release and stage belong together",
        b"\x00" * 50: "not JSON",
    }
    path = put(telemetry, "w-0.jsonl", good, *bad, line(served(2)))
    content = path.read_bytes()

    report = telemetry.measurements.ingest()

    assert report == IngestReport(observations=2, quarantined=len(bad))
    table = quarantined_lines.c
    kept = rows(
        telemetry, select(table.file, table.start_byte, table.length_bytes, table.sha256, table.reason)
    )
    assert sorted(kept) == sorted(
        (
            "observations/w-0.jsonl",
            content.index(b"\n" + text + b"\n") + 1,
            len(text),
            hashlib.sha256(text).hexdigest(),
            reason,
        )
        for text, reason in bad.items()
    )
    assert telemetry.measurements.ingest() == IngestReport()


def test_bad_feedback_is_put_aside_too(telemetry: Telemetry) -> None:
    row = served(1)
    words = said(row, 1).model_dump_json().encode()
    put(
        telemetry,
        "w-0.jsonl",
        words,
        words.replace(b"escalated", b"Escalated!"),
        line(row),
        stream="feedback",
    )

    assert telemetry.measurements.ingest() == IngestReport(feedback=1, quarantined=2)


def test_a_flood_of_bad_lines_is_counted_but_listed_only_in_part(telemetry: Telemetry) -> None:
    put(telemetry, "w-0.jsonl", *[b"x"] * (QUARANTINE_ROWS_MAX + 50), line(served(1)))

    assert telemetry.measurements.ingest() == IngestReport(
        observations=1, quarantined=QUARANTINE_ROWS_MAX + 50
    )
    assert rows(telemetry, select(func.count()).select_from(quarantined_lines)) == [(QUARANTINE_ROWS_MAX,)]


def test_an_unfinished_line_waits_for_its_end(telemetry: Telemetry) -> None:
    whole = line(served(1))
    put(telemetry, "w-0.jsonl", line(served(0)), whole[:100], end=b"")
    assert telemetry.measurements.ingest() == IngestReport(observations=1)

    put(telemetry, "w-0.jsonl", whole[100:])
    assert telemetry.measurements.ingest() == IngestReport(observations=1)


def test_an_unfinished_line_is_put_aside_once_its_writer_has_gone_on(telemetry: Telemetry) -> None:
    put(telemetry, "w-00000009.jsonl", line(served(1)), b'{"id":"torn', end=b"")
    put(telemetry, "w-00000010.jsonl", line(served(2)))

    reports = [telemetry.measurements.ingest() for _ in range(3)]

    assert sum(report.observations for report in reports) == 2
    assert [report.quarantined for report in reports] == [1, 0, 0]


def test_a_finished_segment_is_never_touched_again(telemetry: Telemetry) -> None:
    old = put(telemetry, "w-00000000.jsonl", line(served(1)))
    put(telemetry, "w-00000001.jsonl", line(served(2)))
    telemetry.measurements.ingest()

    done = dict(rows(telemetry, select(spool_files.c.name, spool_files.c.done)))
    assert done == {"observations/w-00000000.jsonl": True, "observations/w-00000001.jsonl": False}

    old.unlink()
    old.mkdir()  # reading it would fail
    put(telemetry, "w-00000001.jsonl", line(served(3)))
    assert telemetry.measurements.ingest().observations == 1


def test_files_with_other_names_are_read_but_never_sealed(telemetry: Telemetry) -> None:
    put(telemetry, "a.jsonl", line(served(1)))
    put(telemetry, "b.jsonl", line(served(2)))
    put(telemetry, "notes.txt", b"not ours")
    telemetry.measurements.ingest()
    put(telemetry, "a.jsonl", line(served(3)))
    telemetry.measurements.ingest()

    assert counted(telemetry) == 3


@pytest.mark.parametrize("ended", [True, False])
def test_a_line_of_many_megabytes_is_stepped_over(telemetry: Telemetry, ended: bool) -> None:
    put(telemetry, "w-0.jsonl", line(served(1)), b"{" * (SLICE_BYTES_MAX + 100), end=b"\n" if ended else b"")
    first = telemetry.measurements.ingest()
    assert (first.observations, first.quarantined) == (1, int(ended))

    put(telemetry, "w-0.jsonl", *([] if ended else [b""]), line(served(2)))
    second = telemetry.measurements.ingest()
    assert (second.observations, second.quarantined) == (1, int(not ended))


def test_more_than_one_slice_is_read_in_one_tick(telemetry: Telemetry) -> None:
    padded = [served(1, model="m" * 60_000) for _ in range(2 * SLICE_BYTES_MAX // 60_000)]
    put(telemetry, "w-0.jsonl", *map(line, padded))

    assert telemetry.measurements.ingest() == IngestReport(observations=len(padded))


def test_a_replayed_line_is_counted_once_until_its_id_is_forgotten(telemetry: Telemetry) -> None:
    row = served(-10)
    put(telemetry, "w-0.jsonl", line(row), line(row))
    put(telemetry, "v-0.jsonl", line(row), line(served(1)))
    assert telemetry.measurements.ingest() == IngestReport(observations=2, duplicates=2)

    telemetry.clock.turn(hours=SEEN_HOURS)
    put(telemetry, "v-0.jsonl", line(row))
    assert telemetry.measurements.ingest() == IngestReport(duplicates=1)

    assert rows(telemetry, select(func.count()).select_from(seen_requests)) == [(1,)]
    assert counted(telemetry) == 2


def test_a_tick_that_fails_half_way_has_written_nothing(telemetry: Telemetry) -> None:
    """The last table a tick writes refuses; then it accepts."""
    engine = connect(telemetry.url)
    refuse = "CREATE TRIGGER refuse BEFORE INSERT ON intake_minutes BEGIN SELECT RAISE(ABORT, 'no'); END"
    with writing(engine) as connection:
        connection.execute(text(refuse))
    row = served(1)
    telemetry.writer.write(row)
    telemetry.writer.write(said(row, 1))
    with pytest.raises(Exception, match="no"):
        telemetry.measurements.ingest()
    assert counted(telemetry) == 0
    assert rows(telemetry, select(spool_files.c.name)) == []

    with writing(engine) as connection:
        connection.execute(text("DROP TRIGGER refuse"))
    engine.dispose()
    assert telemetry.measurements.ingest() == IngestReport(observations=1, feedback=1)
    assert telemetry.numbers("feedback:escalated", as_of=at(3600)) == (0, 0, 1, 1)


def test_a_spool_that_cannot_be_read_is_unavailable(telemetry: Telemetry) -> None:
    (telemetry.spool / "observations" / "w-0.jsonl").mkdir(parents=True)

    with pytest.raises(Unavailable, match="spool"):
        telemetry.measurements.ingest()


def test_ticks_that_meet_count_everything_once(telemetry: Telemetry) -> None:
    engine = connect(telemetry.url)
    others = [SpoolMeasurements(engine, telemetry.spool, telemetry.clock, bucket_s=10.0) for _ in range(3)]
    start = threading.Barrier(len(others))
    reports: list[IngestReport] = []

    def tick(measurements: SpoolMeasurements, turn: int) -> None:
        start.wait()
        put(telemetry, f"w{turn}-0.jsonl", *(line(served(number)) for number in range(50)), b"bad", b"bad")
        reports.extend(measurements.ingest() for _ in range(5))

    threads = [threading.Thread(target=tick, args=(other, turn)) for turn, other in enumerate(others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        reports.append(other.ingest())
        other.close()
    engine.dispose()

    assert sum(report.observations for report in reports) == 150
    assert sum(report.quarantined for report in reports) == 6, (
        "offsets alone keep these from being counted twice"
    )
    assert counted(telemetry) == 150


class ClockOfAnother:
    """While one tick looks at it, another tick takes the same lines in: between parsing and writing."""

    def __init__(self, other: SpoolMeasurements) -> None:
        self._other = other
        self.report = IngestReport()

    def now(self) -> datetime:
        self.report = self._other.ingest()
        return at(0)


@pytest.mark.parametrize("known", [True, False])
def test_a_tick_that_was_overtaken_writes_nothing(telemetry: Telemetry, known: bool) -> None:
    if known:
        put(telemetry, "w-0.jsonl", line(served(0)))
        telemetry.measurements.ingest()
    put(telemetry, "w-0.jsonl", line(served(1)), b"bad")
    assert isinstance(telemetry.measurements, SpoolMeasurements)
    clock = ClockOfAnother(telemetry.measurements)
    engine = connect(telemetry.url)
    slow = SpoolMeasurements(engine, telemetry.spool, clock, bucket_s=10.0)

    assert slow.ingest() == IngestReport()
    assert clock.report == IngestReport(observations=1, quarantined=1)
    assert counted(telemetry) == 1 + known
    assert slow.ingest() == IngestReport()
    slow.close()
    engine.dispose()


def test_rows_outside_a_release_go_into_wider_buckets(telemetry: Telemetry) -> None:
    telemetry.take_in(*(served(number, release=None, stage=None) for number in range(0, 300, 7)), served(1))

    widths = rows(
        telemetry,
        text("SELECT release_id, end_ms - start_ms FROM traffic WHERE end_ms > start_ms ORDER BY 1"),
    )
    assert widths == [("", 300_000), (RELEASE, 10_000)]
