"""Every journal keeps the same rules."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread

import pytest

from promptship.adapters.database import connect
from promptship.adapters.ledger.sql_journal import SqlJournal
from promptship.adapters.memory.journal import MemoryJournal
from promptship.errors import Conflict
from promptship.ports import Journal
from tests.support.ledger_stores import Store, sqlite_store, vandalise

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def journal(store: Store) -> Iterator[Journal]:
    if not store.url:
        yield MemoryJournal()
        return
    engine = connect(store.url)
    yield SqlJournal(engine)
    engine.dispose()


def keep(journal: Journal, topic: str, number: int = 0) -> int:
    at = AT + timedelta(seconds=number)
    return journal.keep(topic, "seen", {"n": number, "list": [1, 2.5, None]}, actor="flow", at=at).seq


def test_what_is_kept_is_read_back_in_order(journal: Journal) -> None:
    assert [keep(journal, "model:a", number) for number in range(3)] == [0, 1, 2]
    assert keep(journal, "model:b") == 0
    journal.keep("model:a", "told", {}, actor="person:ann", at=AT)
    entries = journal.entries("model:a")
    assert [(one.seq, one.kind, one.actor) for one in entries] == [
        (0, "seen", "flow"), (1, "seen", "flow"), (2, "seen", "flow"), (3, "told", "person:ann"),
    ]  # fmt: skip
    assert entries[2].data == {"n": 2, "list": [1, 2.5, None]}
    assert entries[2].at == AT + timedelta(seconds=2)
    assert [one.seq for one in journal.entries("model:a", kind="seen", after=0)] == [1, 2]
    assert [one.seq for one in journal.entries("model:a", limit=2)] == [2, 3]
    assert journal.entries("model:a", limit=0) == ()
    assert journal.entries("nobody") == ()


def test_topics_by_prefix_the_newest_first(journal: Journal) -> None:
    for topic in ("model:a", "model:b_c", "experiment:1", "model:a"):
        keep(journal, topic)
    assert journal.topics("model:") == ("model:a", "model:b_c")
    assert journal.topics("model:b_") == ("model:b_c",)
    assert journal.topics("model:b%") == ()
    assert journal.topics("", limit=1) == ("model:a",)


def test_an_entry_goes_only_where_the_topic_was_read_to(journal: Journal) -> None:
    journal.keep("freeze", "began", {}, actor="a", at=AT, expected_seq=-1)
    journal.keep("freeze", "ended", {}, actor="a", at=AT, expected_seq=0)
    for wrong in (-1, 0, 2):
        with pytest.raises(Conflict, match="freeze ends at entry 1"):
            journal.keep("freeze", "began", {}, actor="a", at=AT, expected_seq=wrong)
    assert len(journal.entries("freeze")) == 2


def test_many_writers_of_a_topic_lose_nothing(journal: Journal) -> None:
    barrier, refused = Barrier(4), []

    def write(number: int) -> None:
        barrier.wait()
        for _ in range(5):
            try:
                keep(journal, "model:a", number)
            except Conflict as error:
                refused.append(error)

    threads = [Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = journal.entries("model:a")
    assert len(kept) + len(refused) == 20
    assert [one.seq for one in kept] == list(range(len(kept)))


@pytest.fixture
def on_sqlite(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Store]:
    with sqlite_store(migrated_sqlite, tmp_path / "ledger.db") as store:
        yield store


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE journal SET data='{\"n\":7}' WHERE seq=1", "entry 1: its content does not match its hash"),
        ("UPDATE journal SET actor='b' WHERE seq=0", "entry 0: its content does not match its hash"),
        ("DELETE FROM journal WHERE seq=1", "entry 2: comes after entry 0; what was between them is missing"),
        ("UPDATE journal SET at='x' WHERE seq=2", "cannot be read"),
    ],
)
def test_an_edited_journal_fails_the_audit(on_sqlite: Store, statement: str, problem: str) -> None:
    engine = connect(on_sqlite.url)
    journal = SqlJournal(engine)
    for number in range(3):
        keep(journal, "model:a", number)
    engine.dispose()
    whole = on_sqlite.ledger.verify()
    assert not whole.problems
    vandalise(on_sqlite, ["journal_no_update", "journal_no_delete"], statement)
    edited = on_sqlite.ledger.verify()
    assert any("journal model:a" in one and problem in one for one in edited.problems), edited.problems


def test_every_entry_moves_the_head(on_sqlite: Store) -> None:
    engine = connect(on_sqlite.url)
    before = on_sqlite.ledger.verify().head
    keep(SqlJournal(engine), "model:a")
    engine.dispose()
    assert on_sqlite.ledger.verify().head != before


def test_the_database_itself_refuses_changes(on_sqlite: Store) -> None:
    engine = connect(on_sqlite.url)
    keep(SqlJournal(engine), "model:a")
    engine.dispose()
    for statement in ("UPDATE journal SET actor='b'", "DELETE FROM journal"):
        with closing(sqlite3.connect(on_sqlite.url.removeprefix("sqlite:///"))) as raw:
            with pytest.raises(sqlite3.IntegrityError, match="journal is append-only"):
                raw.execute(statement)
            raw.rollback()
