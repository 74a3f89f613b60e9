"""Spool, DuckDB and SQL count exactly what the obvious loop in memory counts, whatever arrives in whatever order."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.routing.observation import Feedback, Observation, Score
from tests.support.ledger_stores import migrated_file
from tests.support.telemetry import NOON_MS, at, memory_telemetry, sql_telemetry

METRICS = (
    "error_rate", "refusal_rate", "latency_p95", "latency", "feedback:escalated", "feedback:thumbs_down", "cost_usd", "tokens_out",
    "check:tone", "score:tone", "check:facts", "score:facts",
)  # fmt: skip
STREAMS: dict[type, str] = {Feedback: "feedback", Score: "scores"}
BAD_LINES = (b"{", b"null", b"\xff", b'{"id":"x"}', b'{"kind":"x"}', b"\x00\x00", b"")

seconds = st.integers(-2000, 60).map(float) | st.sampled_from([-300.0, -0.001, 0.0, 9.999, 10.0, 20.0, 30.0])
places = st.sampled_from([("r-one", 0), ("r-one", 0), ("r-one", 1), ("r-two", 0), (None, None)])


@st.composite
def observations(draw: st.DrawFn) -> list[Observation]:
    rows = []
    for number in range(draw(st.integers(1, 12))):
        release, stage = draw(places)
        arm = draw(st.sampled_from(["stable", "candidate"]))
        row: dict[str, Any] = {
            "id": f"request-{number}", "at_ms": NOON_MS + round(draw(seconds) * 1000), "arm": arm, "release": release, "stage": stage,
            "prompt": "two" if release == "r-two" else "one", "version": draw(st.sampled_from(["v-stable", "v-candidate"])),
            "latency_ms": draw(st.floats(0, 1e9) | st.sampled_from([0.5, 1, 2, 1024, 1000])), "status": 200,
            "error": draw(st.booleans()), "refusal": draw(st.none() | st.booleans()), "tokens_in": draw(st.none() | st.integers(0, 99)),
            "tokens_out": draw(st.none() | st.integers(0, 2000)), "cost_usd": draw(st.none() | st.floats(0, 1e6) | st.just(0.5)),
            "unit": draw(st.sampled_from([None, "0123456789abcdef", "00000000000000ff", "somebody"])),
        }  # fmt: skip
        rows.append(Observation(**row))
    return rows


@st.composite
def words_about(draw: st.DrawFn, rows: list[Observation]) -> list[Feedback]:
    words = []
    for number in range(draw(st.integers(0, 10))):
        row = draw(st.sampled_from(rows))
        words.append(
            Feedback(
                id=f"f{number}", at_ms=row.at_ms + round(draw(st.sampled_from([-1, 0, 1, 10, 10.001, 30, 600])) * 1000), request=row.id,
                request_at_ms=row.at_ms, prompt=row.prompt, version=row.version, arm=row.arm, release=row.release, stage=row.stage,
                kind=draw(st.sampled_from(["escalated", "thumbs_down"])), value=draw(st.booleans()), unit=row.unit,
            )
        )  # fmt: skip
    return words


@st.composite
def scores_of(draw: st.DrawFn, rows: list[Observation]) -> list[Score]:
    scores = []
    for number in range(draw(st.integers(0, 8))):
        row = draw(st.sampled_from(rows))
        scores.append(
            Score(
                id=f"s{number}", at_ms=row.at_ms + 5000, request=row.id, request_at_ms=row.at_ms, prompt=row.prompt, version=row.version,
                arm=row.arm, release=row.release, stage=row.stage, unit=row.unit, name=draw(st.sampled_from(["tone", "facts"])),
                value=draw(st.floats(0, 1)), passed=draw(st.booleans()),
            )
        )  # fmt: skip
    return scores


@dataclass(frozen=True)
class Step:
    """A line for a file; then perhaps a tick."""

    file: int
    record: Observation | Feedback | Score | bytes
    tick: bool


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    rows = draw(observations())
    records: list[Observation | Feedback | Score | bytes] = [
        *rows,
        *draw(words_about(rows)),
        *draw(scores_of(rows)),
    ]
    records += draw(st.lists(st.sampled_from(records), max_size=5)) + draw(
        st.lists(st.sampled_from(BAD_LINES), max_size=4)
    )
    return [
        # Of two scores the first to be read counts, so those of one request share a file, as one scorer writes them.
        Step(
            int(one.request.removeprefix("request-")) % 3
            if isinstance(one, Score)
            else draw(st.integers(0, 2)),
            one,
            draw(st.booleans()),
        )
        for one in draw(st.permutations(records))
    ]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated_file(tmp_path_factory.mktemp("telemetry") / "template.db")


@settings(max_examples=8, deadline=None)
@given(script=steps(), bucket_s=st.sampled_from([0.5, 10.0, 600.0]), looks=st.lists(st.tuples(seconds, st.sampled_from([0, 10, 30])), min_size=1, max_size=2))  # fmt: skip
def test_both_count_the_same(
    template: Path, script: list[Step], bucket_s: float, looks: list[tuple[float, int]]
) -> None:
    reference = memory_telemetry(bucket_s)
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(template, f"{scratch}/ledger.db")
        with sql_telemetry(
            f"sqlite:///{scratch}/ledger.db", Path(scratch) / "spool", bucket_s=bucket_s
        ) as real:
            taken = [0, 0, 0, 0, 0]
            for step in script:
                stream = STREAMS.get(type(step.record), "observations")
                path = real.spool / stream / f"w{step.file}-0.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("ab") as file:
                    content = (
                        step.record
                        if isinstance(step.record, bytes)
                        else step.record.model_dump_json().encode()
                    )
                    file.write(content + b"\n")
                if not isinstance(step.record, bytes):
                    reference.writer.write(step.record)
                if step.tick or step is script[-1]:
                    report = real.measurements.ingest()
                    numbers = (
                        report.observations, report.feedback, report.scores, report.duplicates, report.quarantined,
                    )  # fmt: skip
                    taken = [before + more for before, more in zip(taken, numbers, strict=True)]
            whole = reference.measurements.ingest()
            bad = sum(isinstance(step.record, bytes) and step.record != b"" for step in script)
            assert taken == [whole.observations, whole.feedback, whole.scores, whole.duplicates, bad]
            for as_of_s, matures_s in looks:
                for release, stage in (("r-one", 0), ("r-one", 1), ("r-two", 0)):
                    ask = {"matures_after_s": dict.fromkeys(METRICS, float(matures_s)), "as_of": at(as_of_s)}
                    wanted = reference.measurements.counts(release, stage, **ask)  # type: ignore[arg-type]
                    assert real.measurements.counts(release, stage, **ask) == wanted  # type: ignore[arg-type]
                for version in ("v-stable", "v-candidate"):
                    window = {"as_of": at(as_of_s), "window_s": 10.0 * (1 + matures_s)}
                    wanted_base = reference.measurements.baseline(version, METRICS, **window)  # type: ignore[arg-type]
                    assert real.measurements.baseline(version, METRICS, **window) == wanted_base  # type: ignore[arg-type]
