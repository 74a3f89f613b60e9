"""The quality gate: sound telemetry passes, each kind of unsound telemetry has its sentence."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from promptship.adapters.database import connect
from promptship.adapters.telemetry import SpoolMeasurements
from promptship.routing.observation import Observation
from tests.support.ledger_stores import migrated_file
from tests.support.telemetry import RELEASE, Telemetry, at, served, sql_telemetry

pytestmark = pytest.mark.slow  # importing Great Expectations takes seconds


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated_file(tmp_path_factory.mktemp("gate") / "template.db")


@pytest.fixture
def telemetry(template: Path, tmp_path: Path) -> Iterator[Telemetry]:
    shutil.copy(template, tmp_path / "ledger.db")
    with sql_telemetry(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "spool") as it:
        yield it


def traffic(seconds: int = 60, **other: object) -> list[Observation]:
    """One request of each arm per second."""
    return [served(second, arm, **other) for second in range(seconds) for arm in ("stable", "candidate")]


def problems(telemetry: Telemetry, as_of_s: float = 60) -> tuple[str, ...]:
    return telemetry.measurements.check(RELEASE, 0, as_of=at(as_of_s)).problems


def test_sound_telemetry_has_no_problems(telemetry: Telemetry) -> None:
    telemetry.take_in(*traffic())

    assert problems(telemetry) == ()


def test_a_stage_without_requests_is_healthy(telemetry: Telemetry) -> None:
    telemetry.take_in(served(1, stage=3))

    assert problems(telemetry) == ()


def test_bad_numbers_of_few_requests_are_no_problem(telemetry: Telemetry) -> None:
    telemetry.take_in(*traffic(5, error=True, latency_ms=0))

    assert problems(telemetry, 3600) == ()


def test_an_arm_that_fell_silent(telemetry: Telemetry) -> None:
    telemetry.take_in(*traffic(), *(served(second) for second in range(60, 120)))

    assert problems(telemetry, 120) == ()
    assert problems(telemetry, 121) == (
        "no request of the candidate arm for 61 s, at most 60 s expected after 60 requests",
    )


def test_slow_traffic_may_be_silent_for_longer(telemetry: Telemetry) -> None:
    telemetry.take_in(*(served(minute * 60) for minute in range(30)))

    assert problems(telemetry, 30 * 60 + 600) == ()
    assert len(problems(telemetry, 30 * 60 + 1300)) == 1


def test_a_stable_arm_that_mostly_fails(telemetry: Telemetry) -> None:
    telemetry.take_in(*traffic(40, error=True), *traffic(39))

    assert problems(telemetry) == (
        "51% of stable's 79 requests fail (at most 50%): nothing sound to compare with",
    )


def test_a_candidate_that_fails_is_for_the_statistics(telemetry: Telemetry) -> None:
    telemetry.take_in(
        *(served(second, "candidate", error=True) for second in range(60)),
        *(served(second) for second in range(60)),
    )

    assert problems(telemetry) == ()


def test_versions_that_are_mixed_up(telemetry: Telemetry) -> None:
    telemetry.take_in(*traffic(), served(5, "candidate", version="v-stable"))

    assert problems(telemetry) == (
        "2 different versions served the candidate arm of this stage, expected one",
        "one version served both arms of this stage: there is no comparison",
    )


def test_refusals_that_are_measured_in_one_arm_only(telemetry: Telemetry) -> None:
    rows = [served(second, "candidate") for second in range(60)]
    telemetry.take_in(*rows, *(served(second, refusal=False) for second in range(60)))

    assert problems(telemetry) == (
        "refusals could be told for 0% of candidate's and 100% of stable's answers: their rates cannot be compared",
    )


def test_costs_that_are_known_in_one_arm_only(telemetry: Telemetry) -> None:
    rows = [served(second, "candidate") for second in range(60)]
    telemetry.take_in(*rows, *(served(second, cost_usd=0.1) for second in range(60)))

    assert problems(telemetry) == (
        "costs were known for 0% of candidate's and 100% of stable's answers: their means cannot be compared",
    )


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("cost_usd", 101.0, "per million tokens"), ("tokens_out", 2_000_000, "counted")],
)
def test_amounts_that_cannot_be_true(telemetry: Telemetry, field: str, value: float, words: str) -> None:
    sound, odd = ({field: of} for of in (type(value)(1), value))
    telemetry.take_in(*(row.model_copy(update=sound) for row in traffic()))
    assert problems(telemetry) == ()
    telemetry.take_in(*(row.model_copy(update=odd) for row in traffic(3)))

    (problem,) = problems(telemetry)
    assert words in problem


def test_a_clock_that_is_ahead(telemetry: Telemetry) -> None:
    telemetry.take_in(*traffic(), *(served(60 + 301 + second) for second in range(5)))

    (problem,) = problems(telemetry)
    assert "a gateway's clock is wrong" in problem


@pytest.mark.parametrize(
    ("latency_ms", "words"), [(0.0, "latency is not measured"), (4e6, "not in milliseconds")]
)
def test_latencies_that_cannot_be_true(telemetry: Telemetry, latency_ms: float, words: str) -> None:
    telemetry.take_in(*traffic(latency_ms=latency_ms))

    (problem,) = problems(telemetry)
    assert words in problem


def test_many_bad_and_many_repeated_lines(telemetry: Telemetry) -> None:
    rows = traffic()
    telemetry.take_in(*rows, *rows[:6])
    with (telemetry.spool / "observations" / "w-0.jsonl").open("w") as file:
        file.write("broken\n" * 6)
    telemetry.measurements.ingest()

    assert problems(telemetry) == (
        "6 lines (4.5%) of the last 10 min of telemetry were not valid records",
        "6 lines (4.5%) of the last 10 min of telemetry were there twice",
    )
    assert problems(telemetry, 60 + 700)[:1] != problems(telemetry)[:1], "old ones are forgotten"


def test_a_torn_line_is_no_problem(telemetry: Telemetry) -> None:
    telemetry.take_in(*traffic())
    (telemetry.spool / "observations" / "w-0.jsonl").write_text("broken\n")
    telemetry.measurements.ingest()

    assert problems(telemetry) == ()


def test_the_examination_is_json_for_the_audit_and_holds_no_ids(telemetry: Telemetry) -> None:
    rows = traffic()
    telemetry.take_in(*rows)
    assert isinstance(telemetry.measurements, SpoolMeasurements)

    examination = telemetry.measurements.examine(RELEASE, 0, as_of=at(60))

    text = json.dumps(examination.results)
    assert len(examination.results) == 2
    assert rows[0].id not in text


def test_the_page_of_a_stage_is_kept_and_an_old_one_removed(telemetry: Telemetry, tmp_path: Path) -> None:
    engine = connect(telemetry.url)
    measurements = SpoolMeasurements(
        engine, telemetry.spool, telemetry.clock, bucket_s=10.0, docs=tmp_path / "docs", keep_spool_s=3600
    )
    telemetry.take_in(*traffic())
    for seconds in (60, 600):
        measurements.check(RELEASE, 0, as_of=at(seconds))
    pages = sorted((tmp_path / "docs").iterdir())
    assert [page.name for page in pages] == [
        f"{RELEASE}-stage-0-profile.html",
        f"{RELEASE}-stage-0-sample.html",
    ]
    assert "candidate_silence_s" in pages[0].read_text()
    assert "no request of the" not in pages[0].read_text() or "http" not in pages[0].read_text()

    telemetry.clock.turn(
        seconds=max(page.stat().st_mtime for page in pages) - telemetry.clock.now().timestamp() + 3599
    )
    measurements.tidy()
    assert len(list((tmp_path / "docs").iterdir())) == 2
    telemetry.clock.turn(seconds=2)
    measurements.tidy()
    assert list((tmp_path / "docs").iterdir()) == []
    engine.dispose()
