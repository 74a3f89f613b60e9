"""Merging the files of the history: wherever it dies, every record is there once; queries under way keep their files."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from promptship.adapters.database import connect, reading, writing
from promptship.adapters.telemetry import History, Lake, SpoolWriter
from promptship.adapters.telemetry.compaction import Compaction
from promptship.adapters.telemetry.manifest import HistoryFile, drop_before, files, replaced
from promptship.adapters.telemetry.merge import (
    MERGED_BYTES_MAX,
    REPLACED_S,
    SMALL_BYTES,
    WORTH,
    Merge,
    worth_merging,
)
from promptship.adapters.telemetry.retention import prune
from tests.support.telemetry import Telemetry, judged, said, served, sql_telemetry

ROUNDS = 2
COUNT = "select count(*), count(distinct id), sum(at_ms) from {}"
STREAMS = ("observations", "feedback", "scores")


class Killed(BaseException):
    """Nothing may catch it."""


class House:
    def __init__(self, telemetry: Telemetry, engine: Engine, lake: Lake) -> None:
        self.telemetry, self.engine, self.lake = telemetry, engine, lake

    def hour(self) -> None:
        """A file more of every stream."""
        assert isinstance(self.telemetry.writer, SpoolWriter)
        start = self.telemetry.clock.now().timestamp() - 1_772_366_400
        row = served(start, unit="u")
        for record in (row, said(row, 3), judged(row)):
            self.telemetry.writer.write(record)
        self.telemetry.writer.close()
        for record in (served(start + 1), said(row, 9, kind="thumbs"), judged(row, name="facts")):
            self.telemetry.writer.write(record)
        self.telemetry.measurements.ingest()
        Compaction(self.engine, self.telemetry.spool, self.lake, self.telemetry.clock).run()
        self.telemetry.clock.turn(minutes=1)

    def asked(self) -> list[tuple[Any, ...]]:
        found = []
        for stream in STREAMS:
            with History(self.engine, self.telemetry.spool, self.lake).select(COUNT.format(stream)) as answer:
                found += [tuple(row) for row in answer.rows]
        return found

    def listed(self) -> list[HistoryFile]:
        with reading(self.engine) as connection:
            return files(connection)

    def there(self) -> set[str]:
        return {path.relative_to(self.lake.place).as_posix() for path in Path(self.lake.place).rglob("*.*")}

    def merge(self, after: Any = lambda _: None) -> int:
        return Merge(self.engine, self.lake, self.telemetry.clock, after=after).run()


@pytest.fixture
def house(migrated_sqlite: Path, tmp_path: Path) -> Iterator[House]:
    shutil.copy(migrated_sqlite, tmp_path / "ledger.db")
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    engine = connect(url)
    with sql_telemetry(url, tmp_path / "spool") as telemetry:
        yield House(telemetry, engine, Lake(str(tmp_path / "history")))
    engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("dies_after", [0, 1, 3, 5, 6, 7, 8])
def test_a_merge_that_dies_anywhere_loses_and_doubles_nothing(house: House, dies_after: int) -> None:
    for _ in range(ROUNDS):
        house.hour()
    before, rows = house.asked(), sum(one.rows for one in house.listed())
    steps: list[str] = []

    def dies(step: str) -> None:
        steps.append(step)
        if len(steps) == dies_after + 1:
            raise Killed

    try:
        house.merge(dies)
    except Killed:
        assert len(steps) == dies_after + 1
    else:
        assert dies_after >= len(steps)
    assert house.asked() == before, steps
    house.telemetry.clock.turn(seconds=REPLACED_S + 1)
    house.merge()
    house.telemetry.clock.turn(seconds=REPLACED_S + 1)
    house.merge()

    assert house.asked() == before
    assert sum(one.rows for one in house.listed()) == rows
    assert len(house.listed()) == len({(one.stream, one.day) for one in house.listed()}), (
        "a file for each day"
    )
    with reading(house.engine) as connection:
        assert replaced(connection, 2**62) == []
    house.telemetry.clock.turn(days=400)
    prune(house.engine, house.lake, house.telemetry.clock, history_s=1e9, spool_s=1e9)
    assert house.there() == {one.path for one in house.listed()}, "what a crash left behind has been swept"


@pytest.mark.slow
def test_a_query_under_way_keeps_its_files_and_a_later_one_reads_the_merged(house: House) -> None:
    for _ in range(ROUNDS):
        house.hour()
    history = History(house.engine, house.telemetry.spool, house.lake)
    with history._opened() as duck:
        house.merge()
        (count,) = duck.execute("select count(*) from observations").fetchall()
    assert count[0] == house.asked()[0][0]
    old = house.there() - {one.path for one in house.listed()}
    assert len(old) == 3 * ROUNDS
    prune(house.engine, house.lake, house.telemetry.clock, history_s=1e9, spool_s=1e9)
    assert house.there() >= old, "neither is it swept"
    assert house.merge() == 0, "nothing is merged twice"
    house.telemetry.clock.turn(seconds=REPLACED_S + 1)
    house.merge()
    assert house.there() == {one.path for one in house.listed()}


@pytest.mark.slow
def test_of_two_merges_at_once_and_of_retention_one_wins(house: House) -> None:
    for _ in range(2):
        house.hour()
    before = house.asked()

    def meanwhile(step: str) -> None:
        if step == "merged file published":
            house.merge()

    assert house.merge(meanwhile) == 0
    assert house.asked() == before
    for _ in range(2):
        house.hour()
    late = 2**61

    def expires(step: str) -> None:
        if step == "merged file published":
            with writing(house.engine) as connection:
                drop_before(connection, late)

    house.merge(expires)
    assert house.listed() == [], "what retention took is not brought back"


@pytest.mark.slow
def test_a_file_that_is_not_what_the_manifest_says_is_left_alone(house: House) -> None:
    for _ in range(2):
        house.hour()
    one, other = [one for one in house.listed() if one.stream == "observations"]
    shutil.copy(house.lake.address(one.path), house.lake.address(other.path))
    assert house.merge() == 4, "the other streams are merged"
    with writing(house.engine) as connection:
        connection.exec_driver_sql("UPDATE history_files SET rows = 7 WHERE stream = 'observations'")
    left = {one.path for one in house.listed()}
    house.merge()
    assert {one.path for one in house.listed()} == left
    Path(house.lake.address(one.path)).unlink()
    assert house.merge() == 0, "files of another host's directory"


def listed(sizes: list[int], day: str) -> list[HistoryFile]:
    return [HistoryFile(f"p{at}", "observations", day, 1, size, 0, 1) for at, size in enumerate(sizes)]


@given(
    st.lists(st.integers(1, MERGED_BYTES_MAX), max_size=12)
    | st.lists(st.integers(1, 3 * SMALL_BYTES), max_size=12),
    st.booleans(),
)
def test_what_is_merged_is_worth_it_and_what_is_worth_it_is_merged(sizes: list[int], over: bool) -> None:
    factor = WORTH if over else 1
    groups = list(worth_merging(listed(sizes, "2026-03-01"), "2026-03-02" if over else "2026-03-01"))
    chosen = sorted(one.bytes for group in groups for one in group)
    rest = sorted(sizes)[len(chosen) :]
    assert sorted(sizes)[: len(chosen)] == chosen, "the smallest"
    assert len(groups) <= 1
    assert sum(chosen) <= MERGED_BYTES_MAX
    assert all(size <= max(SMALL_BYTES, factor * sum(chosen[:at])) for at, size in enumerate(chosen))
    if chosen and rest:
        assert rest[0] > max(SMALL_BYTES, factor * sum(chosen)) or sum(chosen) + rest[0] > MERGED_BYTES_MAX
    if not chosen and len(sizes) > 1:
        first, second = sorted(sizes)[:2]
        assert (
            first > SMALL_BYTES
            or second > max(SMALL_BYTES, factor * first)
            or first + second > MERGED_BYTES_MAX
        )


def test_a_record_is_written_again_only_a_few_times() -> None:
    dice = random.Random(3)
    kept: list[int] = []
    written = 0
    for _ in range(24 * 7):
        kept.append(dice.randint(1, 12_000_000))
        for group in worth_merging(listed(kept, "2026-03-01"), "2026-03-01"):
            merged = [one.bytes for one in group]
            written += sum(merged)
            for size in merged:
                kept.remove(size)
            kept.append(sum(merged))
    assert written < 8 * sum(kept)
    assert len(kept) < 24
