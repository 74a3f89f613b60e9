from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from promptship.errors import ConfigError, Conflict, NotFound, Unavailable
from promptship.evals.row_log import RowLog, read_rows
from promptship.evals.rows import ArmFacts, Asserted, CaseFacts, Row
from promptship.evals.score import Scored, Unscored
from promptship.evals.session import FACTS, ROWS, Session, load_facts, rows_of, run_ids
from promptship.evals.suite_file import Severity

ARMS = (ArmFacts(key="candidate", prompt="p", model="m", prompt_text="Hi"),)
CASES = (
    CaseFacts(id="a", severity=Severity.BLOCKING, tags=("x", "y"), vars={"when": date(2030, 1, 2)}),
    CaseFacts(id="b", weight=2.0),
)


def row(case: str = "a", trial: int = 0, text: str = "hello") -> Row:
    asserted = (Asserted(label="contains", turn=0, score=Scored(False, 0.0, "not there"), type="contains"),)
    return Row(
        case=case, arm="candidate", trial=trial, digest="d", score=Scored(True, 1.0), asserted=asserted,
        answers=(text,), sent="[]", cost_usd=0.5, latency_ms=3.0, vars={"n": 1},
    )  # fmt: skip


def begun(data: Path, at: datetime | None = None) -> Session:
    return Session.create(data, what="suite s", digest="inputs", arms=ARMS, cases=CASES, trials=4, at=at)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    rows = [row("a"), row("b"), replace(row("a", 1), score=Unscored("lost", "because"), error="lost")]
    with begun(tmp_path, datetime(2030, 5, 6, 7, 8, 9, tzinfo=UTC)) as session:
        for one in rows:
            session.add(one)
        assert list(session.rows()) == rows
    assert list(rows_of(tmp_path)) == rows
    facts = load_facts(tmp_path)
    assert facts.id.startswith("20300506-070809-")
    assert (facts.arms, facts.trials, facts.what) == (ARMS, 4, "suite s")
    assert facts.cases == (replace(CASES[0], vars={"when": "2030-01-02"}), CASES[1])


def test_a_row_is_on_disk_before_add_returns(tmp_path: Path) -> None:
    session = begun(tmp_path)
    session.add(row())
    assert (session.directory / ROWS).read_bytes().count(b"\n") == 1
    session.close()
    session.close()


def test_a_torn_end_loses_its_row_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / ROWS
    whole = [row("a"), row("b"), row("a", 1)]
    with RowLog(path) as log:
        for one in whole:
            log.add(one)
    complete = path.read_bytes()
    last = complete[:-1].rindex(b"\n") + 1
    for end in range(last, len(complete) - 1, 7):
        path.write_bytes(complete[:end])
        with RowLog(path) as log:
            log.add(row("b", 1))
        assert list(read_rows(path)) == [*whole[:2], row("b", 1)]


def test_of_a_trial_that_was_done_again_the_last_counts(tmp_path: Path) -> None:
    lost = replace(row(text="first"), score=Unscored("lost"))
    with RowLog(tmp_path / ROWS) as log:
        for one in (lost, row("b"), row(text="second")):
            log.add(one)
        assert [kept.answers for kept in log.rows()] == [("hello",), ("second",)]


def test_rows_that_are_added_while_others_are_read_are_left_for_the_next_reading(tmp_path: Path) -> None:
    with RowLog(tmp_path / ROWS) as log:
        log.add(row("a"))
        log.add(row("b"))
        reading = log.rows()
        read = [next(reading)]
        log.add(row("c"))  # another shard's
        log.add(row("b", text="again"))
        read += reading
        assert read == [row("a"), row("b")]
        assert list(log.rows()) == [row("a"), row("c"), row("b", text="again")]


def test_values_that_json_has_no_form_for_are_kept_as_text(tmp_path: Path) -> None:
    with RowLog(tmp_path / ROWS) as log:
        odd: dict[Any, Any] = {"big": 2**70, "when": date(2030, 1, 2), 3: "three", "on": [True, 2, 0.5, None]}
        log.add(replace(row(), vars=odd))
        (kept,) = log.rows()
    assert kept.vars == {"big": str(2**70), "when": "2030-01-02", "3": "three", "on": [True, 2, 0.5, None]}


def test_only_one_process_writes_a_run(tmp_path: Path) -> None:
    with begun(tmp_path) as session, pytest.raises(Conflict, match="another process"):
        Session.resume(tmp_path, session.facts.id, digest="inputs")
    with Session.resume(tmp_path, session.facts.id, digest="inputs"):
        pass


def test_the_last_run_is_the_newest_and_another_goes_on_by_its_id(tmp_path: Path) -> None:
    begun(tmp_path, datetime(2030, 1, 1, tzinfo=UTC)).close()
    begun(tmp_path, datetime(2031, 1, 1, tzinfo=UTC)).close()
    older, newer = run_ids(tmp_path)
    with Session.resume(tmp_path, digest="inputs") as session:
        assert session.facts.id == newer
    with Session.resume(tmp_path, older, digest="inputs") as session:
        assert session.facts.id == older


def test_a_run_that_is_not_there_or_about_something_else_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is none"):
        Session.resume(tmp_path, digest="inputs")
    begun(tmp_path).close()
    with pytest.raises(NotFound, match=f"the last is {run_ids(tmp_path)[0]}"):
        Session.resume(tmp_path, "r-1", digest="inputs")
    with pytest.raises(ConfigError, match=r"about other inputs \(suite s, begun"):
        Session.resume(tmp_path, digest="changed")
    (tmp_path / "runs" / run_ids(tmp_path)[0] / FACTS).write_text("{")
    with pytest.raises(ConfigError, match="expected the facts of a run"):
        Session.resume(tmp_path, digest="inputs")


def test_a_disk_that_takes_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(Unavailable, match="cannot be written"):
        begun(tmp_path)


def test_a_run_is_its_owners_alone(tmp_path: Path) -> None:
    with begun(tmp_path) as session:
        assert session.directory.stat().st_mode & 0o077 == 0
        assert (session.directory / ROWS).stat().st_mode & 0o077 == 0
