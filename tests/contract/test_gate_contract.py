"""The telemetry's quality gate on PostgreSQL, whose sums are not plain numbers; its sentences are told by the tests on SQLite."""

from pathlib import Path

import pytest

from tests.support.postgres import postgres_database
from tests.support.telemetry import RELEASE, at, served, sql_telemetry

pytestmark = [pytest.mark.system, pytest.mark.slow]


def test_sound_traffic_passes_and_silence_is_told(
    postgres: str, migrated_postgres: str, tmp_path: Path
) -> None:
    with (
        postgres_database(postgres, template=migrated_postgres) as url,
        sql_telemetry(url, tmp_path / "spool") as telemetry,
    ):
        telemetry.take_in(
            *(served(second, arm, refusal=False) for second in range(60) for arm in ("stable", "candidate"))
        )

        assert telemetry.measurements.check(RELEASE, 0, as_of=at(60)).problems == ()
        assert len(telemetry.measurements.check(RELEASE, 0, as_of=at(3600)).problems) == 2
