"""The history on an S3 API server: compaction, merging, queries, retention; and what is left when the server fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import fsspec  # type: ignore[import-untyped]
import pytest
import s3fs  # type: ignore[import-untyped]
from sqlalchemy import Engine

from promptship.adapters.database import connect, reading
from promptship.adapters.telemetry import History, Lake, SpoolWriter
from promptship.adapters.telemetry.compaction import Compaction
from promptship.adapters.telemetry.manifest import files
from promptship.adapters.telemetry.merge import REPLACED_S, Merge
from promptship.adapters.telemetry.retention import prune
from promptship.errors import Unavailable
from tests.support.ledger_stores import migrated_file
from tests.support.s3_server import S3Server, s3_server
from tests.support.telemetry import Telemetry, judged, said, served, sql_telemetry

pytestmark = [pytest.mark.system, pytest.mark.slow]
BUCKET = "telemetry"
COUNT = "select (select count(*) from observations), (select count(*) from feedback), (select count(*) from scores)"


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as it:
        yield it


@pytest.fixture
def lake(server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Lake]:
    for name, value in (
        ("AWS_ENDPOINT_URL", server.url), ("AWS_ACCESS_KEY_ID", "somebody"), ("AWS_SECRET_ACCESS_KEY", "something"),
        ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_CONFIG_FILE", "/nowhere"), ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)  # or each failure takes seconds
    store = fsspec.filesystem("s3", skip_instance_cache=True)
    if not store.exists(BUCKET):
        store.mkdir(BUCKET)
    fsspec.filesystem("s3").clear_instance_cache()
    yield Lake(f"s3://{BUCKET}/{tmp_path.name.rstrip('_')}")
    server.fails, server.only = None, ""


class House:
    def __init__(self, telemetry: Telemetry, engine: Engine, lake: Lake) -> None:
        self.telemetry, self.engine, self.lake = telemetry, engine, lake

    def seal(self, *seconds: float) -> None:
        """A request, feedback and a score for each second, in segments that their writer has left."""
        assert isinstance(self.telemetry.writer, SpoolWriter)
        for second in seconds:
            row = served(second)
            for record in (row, said(row, 3), judged(row)):
                self.telemetry.writer.write(record)
        self.telemetry.writer.close()
        last = served(max(seconds) + 1)
        for record in (last, said(last, 3), judged(last)):
            self.telemetry.writer.write(record)
        self.telemetry.measurements.ingest()

    def compact(self) -> int:
        return Compaction(self.engine, self.telemetry.spool, self.lake, self.telemetry.clock).run().rows

    def merge(self) -> int:
        return Merge(self.engine, self.lake, self.telemetry.clock).run()

    def asked(self) -> tuple[int, ...]:
        with History(self.engine, self.telemetry.spool, self.lake).select(COUNT) as answer:
            (row,) = answer.rows
            return tuple(row)

    def listed(self) -> set[str]:
        with reading(self.engine) as connection:
            return {one.path for one in files(connection)}

    def there(self) -> set[str]:
        return {name for name, _ in self.lake.files()}


@pytest.fixture
def house(lake: Lake, tmp_path: Path) -> Iterator[House]:
    migrated_file(tmp_path / "ledger.db")
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    engine = connect(url)
    with sql_telemetry(url, tmp_path / "spool") as telemetry:
        yield House(telemetry, engine, lake)
    engine.dispose()


def test_the_history_lives_on_s3(house: House, tmp_path: Path) -> None:
    house.seal(1, 2)
    assert house.compact() == 6
    house.seal(3600)
    assert house.compact() == 6
    assert house.asked() == (5, 5, 5)
    assert len(house.there()) == 6
    assert house.merge() == 6
    assert house.asked() == (5, 5, 5)
    assert len(house.listed()) == 3
    assert len(house.there()) == 9, "replaced files stay for queries that have begun"
    house.telemetry.clock.turn(seconds=REPLACED_S + 1)
    assert house.merge() == 0
    assert house.there() == house.listed()

    history = History(house.engine, house.telemetry.spool, house.lake)
    assert history.export("select * from observations", tmp_path / "rows.parquet", "parquet") == 5
    house.telemetry.clock.turn(days=2)
    assert prune(house.engine, house.lake, house.telemetry.clock, history_s=86_400, spool_s=60) == 3
    assert house.there() == set()
    assert house.asked() == (1, 1, 1), "what is still in the spool"


@pytest.mark.parametrize(
    ("fails", "only"), [(HTTPStatus.SERVICE_UNAVAILABLE, ""), (HTTPStatus.FORBIDDEN, "PUT")]
)
def test_a_server_that_fails_loses_nothing(
    house: House, server: S3Server, fails: HTTPStatus, only: str
) -> None:
    house.seal(1, 2)
    assert house.compact() == 6
    house.seal(3, 4)
    server.fails, server.only = fails, only
    refuses(house, house.compact)
    if not only:
        refuses(house, house.asked)
    server.fails = None
    assert house.asked() == (6, 6, 6)
    assert house.compact() == 9
    assert house.merge() == 6
    assert house.asked() == (6, 6, 6)
    assert house.listed() <= house.there()


def test_a_server_that_is_gone_loses_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.seal(1, 2)
    assert house.there() == set(), "its client is made"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    fsspec.filesystem("s3").clear_instance_cache()
    gone = House(house.telemetry, house.engine, Lake(house.lake.place))
    refuses(gone, gone.compact)
    assert house.compact() == 6
    assert house.asked() == (3, 3, 3)
    refuses(gone, gone.asked)
    gone.telemetry.clock.turn(days=2)
    refuses(gone, lambda: prune(gone.engine, gone.lake, gone.telemetry.clock, history_s=60, spool_s=60))


def refuses(house: House, work: Callable[[], object]) -> None:
    with pytest.raises(Unavailable, match=f"^history {house.lake.place}"):
        work()
