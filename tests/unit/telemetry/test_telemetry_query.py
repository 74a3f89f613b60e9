"""`promptship query`: formats, files, what is refused and where the mistake is."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from promptship.adapters.database import connect
from promptship.adapters.telemetry import History, Lake
from promptship.adapters.telemetry.compaction import Compaction
from promptship.cli import app
from promptship.errors import ConfigError
from promptship.routing.observation import Observation
from tests.support.ledger_stores import migrated_file
from tests.support.telemetry import at, said, served, sql_telemetry

pytestmark = pytest.mark.slow  # a DuckDB of its own for each question


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose telemetry is half in the history and half in the spool."""
    directory = tmp_path_factory.mktemp("query")
    (directory / "promptship.toml").write_text("[providers.stub]\nbase_url = 'http://127.0.0.1:1/v1'\n")
    data = directory / ".promptship"
    data.mkdir()
    shutil.copy(migrated_file(directory / "template.db"), data / "ledger.db")
    engine = connect(f"sqlite:///{data / 'ledger.db'}")
    with sql_telemetry(str(engine.url), data / "spool") as telemetry:
        row = served(1, "candidate", cost_usd=0.5)
        telemetry.take_in(row, said(row, 2))
        telemetry.clock.turn(seconds=120)
        telemetry.writer.maintain()  # type: ignore[union-attr]
        telemetry.take_in(served(2))
        Compaction(engine, telemetry.spool, Lake(str(data / "history")), telemetry.clock).run()
        assert len(list((data / "history").rglob("*.parquet"))) == 1
    engine.dispose()
    return directory


def run(house: Path, *arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["query", *arguments, "--config", str(house / "promptship.toml")])
    assert done.exit_code == code, done.output
    return done.output


ARMS = "select arm, count(*) as requests, sum(cost_usd) as cost from observations group by arm order by arm"


def test_every_format_has_every_row(house: Path, tmp_path: Path) -> None:
    assert run(house, ARMS, "--format", "csv") == "arm,requests,cost\ncandidate,1,0.5\nstable,1,\n"
    rows = [{"arm": "candidate", "requests": 1, "cost": 0.5}, {"arm": "stable", "requests": 1, "cost": None}]
    assert json.loads(run(house, ARMS, "--format", "json")) == rows
    table = run(house, ARMS)
    assert "candidate" in table
    assert "requests" in table
    for ending in ("csv", "json", "parquet"):
        run(house, ARMS, "--output", str(tmp_path / f"arms.{ending}"))
    assert json.loads((tmp_path / "arms.json").read_text()) == rows
    with duckdb.connect() as duck:
        for ending in ("csv", "parquet"):
            found = duck.execute(f"select * from '{tmp_path}/arms.{ending}'").fetchall()
            assert found == [("candidate", 1, 0.5), ("stable", 1, None)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arms.csv", "arms.json", "arms.parquet"]
    assert (
        "candidate"
        in (run(house, ARMS, "--output", str(tmp_path / "arms.txt")), (tmp_path / "arms.txt").read_text())[1]
    )


def test_json_is_an_option_as_on_every_read_and_truths_are_spelled_as_duckdb_does(house: Path) -> None:
    assert json.loads(run(house, "select true as yes", "--json")) == [{"yes": True}]
    assert run(house, "select true as yes, null as no", "--format", "csv") == "yes,no\ntrue,\n"


def test_a_mistake_is_told_with_its_place(house: Path) -> None:
    assert "(line 2, column 7)" in run(house, "select 1\n, 2 + nope from observations", code=2)
    assert "(line 1, column 1)" in run(house, "selec 1", code=2)
    long = (
        "select " + ", ".join(f"{number} as c{number}" for number in range(60)) + ", nope from observations"
    )
    assert f"(line 1, column {long.index('nope') + 1})" in run(house, long, code=2)
    assert "--output" in run(house, "select 1", "--format", "parquet", code=2)
    assert "no directory" not in run(house, "select 1", "--output", "/nowhere/x.csv", code=2)


@pytest.fixture
def history(house: Path) -> Iterator[History]:
    engine = connect(f"sqlite:///{house / '.promptship' / 'ledger.db'}")
    yield History(engine, house / ".promptship" / "spool", Lake(str(house / ".promptship" / "history")))
    engine.dispose()


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_text('{file}')", "select * from read_csv('{file}')", "select * from '{file}'", "select * from glob('/*')",
        "copy observations to '{out}'", "copy (select 1) to '{out}'", "explain analyze copy (select 1) to '{out}'",
        "attach '{out}' as other", "install httpfs", "load httpfs", "set enable_external_access = true", "pragma version",
        "create table x as select 1", "delete from observations_lines", "select 1; select 2", "", "call pragma_version()",
        "select * from query('copy (select 1) to ''{out}''')",
    ],
)  # fmt: skip
def test_nothing_but_the_views_can_be_read_and_nothing_written(
    history: History, tmp_path: Path, sql: str
) -> None:
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    asked = sql.replace("{file}", str(tmp_path / "secret.csv")).replace("{out}", str(tmp_path / "out"))
    with pytest.raises(ConfigError), history.select(asked) as answer:
        list(answer.rows)
    with pytest.raises(ConfigError):
        history.export(asked, tmp_path / "asked.csv", "csv")
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]


def test_views_have_the_time_of_a_record(history: History) -> None:
    with history.select("select min(time), count(*) from observations where time < '2026-03-02'") as answer:
        assert list(answer.rows) == [(at(1).replace(tzinfo=None), 2)]


def test_columns_are_the_fields_of_a_line_and_time_compacted_or_not(history: History) -> None:
    """The day in the name of a file of the history is no column: `select *` would change with the first compaction."""
    with history.select("select * from observations") as answer:
        found = set(answer.columns)
    assert found == {*Observation.model_fields, "time"}
