"""A database of the version before keeps what was counted, and goes on counting."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from promptship.adapters.database import MIGRATIONS, connect, migrate, writing
from tests.support.postgres import postgres_database
from tests.support.telemetry import NOON_MS, at, served, sql_telemetry

BEFORE = "0002_telemetry"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.system)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
    else:
        with postgres_database(request.getfixturevalue("postgres")) as url:
            yield url


def test_what_was_counted_before_stays_counted(url: str, tmp_path: Path) -> None:
    engine = connect(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, BEFORE)
    row = (
        "INSERT INTO traffic (release_id, stage, arm, version, prompt, start_ms, end_ms, requests, errors, refusal_known, refusals, "
        "latency_ms_sum, tokens_in, tokens_out) VALUES ('r-one', 0, 'stable', 'v-stable', 'support-reply', :a, :b, 7, 2, 0, 0, 1, 1, 1)"
    )
    with writing(engine) as connection:
        for start, end in ((NOON_MS, NOON_MS + 10_000), (2**62, 2**62)):
            connection.execute(text(row), {"a": start, "b": end})
        done = (
            "INSERT INTO spool_files (name, read_bytes, done) VALUES ('observations/old-0.jsonl', 10, true)"
        )
        connection.execute(text(done))
    migrate(engine)
    engine.dispose()

    with sql_telemetry(url, tmp_path / "spool") as telemetry:
        assert telemetry.numbers("error_rate", as_of=at(60)) == (0, 0, 7, 2)
        telemetry.take_in(served(1, error=True, cost_usd=0.25, unit="u"))
        assert telemetry.numbers("error_rate", as_of=at(60)) == (0, 0, 8, 3)
        assert telemetry.counts("cost_usd", as_of=at(60)).means["cost_usd"].stable.buckets == {353: 1}
        telemetry.measurements.tidy()
