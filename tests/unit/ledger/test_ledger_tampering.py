"""A vandal with a shell edits the SQLite file: verify says where. What a chain alone cannot show, its anchored head does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from promptship.errors import ConfigError
from promptship.release.phase import Phase
from tests.support.facts import FACTS, bring, opened, version
from tests.support.ledger_stores import START, Store, migrated_file, sqlite_store, vandalise

pytestmark = pytest.mark.slow

TRIGGERS = [f"events_no_{what}" for what in ("update", "delete", "replace")]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with sqlite_store(migrated_file(tmp_path / "template.db"), tmp_path / "ledger.db") as store:
        yield store


@pytest.fixture
def release_id(store: Store) -> str:
    """Five events; two other releases around it."""
    opened(store, "another")
    one = opened(store)
    bring(store, one, Phase.APPROVED)
    opened(store, "third")
    assert store.ledger.verify().problems == ()
    return one


def problems(store: Store) -> str:
    return "\n".join(store.ledger.verify().problems)


def test_an_edited_payload_is_named(store: Store, release_id: str) -> None:
    vandalise(
        store,
        TRIGGERS,
        f"UPDATE events SET fact = replace(fact, '-0.01', '-0.02') WHERE release_id = '{release_id}' AND seq = 2",
    )

    assert problems(store) == f"{release_id} event 2: its content does not match its hash"


@pytest.mark.parametrize(
    ("column", "value"),
    [("actor", "'person:eve'"), ("at", "at + 1"), ("at", "'noon'"), ("hash", "'00'"), ("prev", "'00'")],
)
def test_every_hashed_column_counts(store: Store, release_id: str, column: str, value: str) -> None:
    vandalise(
        store, TRIGGERS, f"UPDATE events SET {column} = {value} WHERE release_id = '{release_id}' AND seq = 2"
    )

    assert release_id in problems(store)
    assert store.ledger.verify(release_id).problems


def test_a_fact_filed_under_another_kind_is_named(store: Store, release_id: str) -> None:
    vandalise(
        store, TRIGGERS, f"UPDATE events SET kind = 'looked' WHERE release_id = '{release_id}' AND seq = 2"
    )

    assert "is filed as looked but says evaluated" in problems(store)


def test_a_removed_middle_event_is_named(store: Store, release_id: str) -> None:
    vandalise(store, TRIGGERS, f"DELETE FROM events WHERE release_id = '{release_id}' AND seq = 2")

    assert f"{release_id} event 3: comes after event 1" in problems(store)


def test_a_removed_and_renumbered_event_is_named(store: Store, release_id: str) -> None:
    mine = f"release_id = '{release_id}'"
    vandalise(
        store,
        TRIGGERS,
        f"DELETE FROM events WHERE {mine} AND seq = 2",
        f"UPDATE events SET seq = 2 WHERE {mine} AND seq = 3",
        f"UPDATE events SET seq = 3 WHERE {mine} AND seq = 4",
    )

    assert f"{release_id} event 2: does not name the hash of the event before it" in problems(store)


def test_swapped_events_are_named(store: Store, release_id: str) -> None:
    mine = f"UPDATE events SET seq = {{}} WHERE release_id = '{release_id}' AND seq = {{}}"
    vandalise(store, TRIGGERS, mine.format(99, 1), mine.format(1, 2), mine.format(2, 99))

    found = problems(store)
    assert f"{release_id} event 1: does not name the hash" in found
    assert "does not fit the lifecycle" in found


def test_a_missing_beginning_is_named(store: Store, release_id: str) -> None:
    vandalise(store, TRIGGERS, f"DELETE FROM events WHERE release_id = '{release_id}' AND seq = 0")

    assert "begins with requested" in problems(store)


def test_an_inserted_event_is_named(store: Store, release_id: str) -> None:
    vandalise(
        store,
        TRIGGERS,
        "INSERT INTO events SELECT release_id, 5, at, actor, 'promoted', fact, hash, hash FROM events "
        f"WHERE release_id = '{release_id}' AND seq = 4",
    )

    assert f"{release_id} event 5" in problems(store)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("phase", "'promoted'"),
        ("phase", "'no such phase'"),
        ("seq", "3"),
        ("head_hash", "'00'"),
        ("prompt", "'billing'"),
        ('"commit"', "'bad'"),
        ("author", "'eve@example.org'"),
        ("moved_at", "moved_at + 1"),
        ("moved_at", "'noon'"),
        ("opened_at", "opened_at + 1"),
    ],
)
def test_a_changed_list_entry_is_named(store: Store, release_id: str, column: str, value: str) -> None:
    vandalise(store, TRIGGERS, f"UPDATE releases SET {column} = {value} WHERE id = '{release_id}'")

    assert release_id in problems(store)


def test_a_release_without_events_and_events_without_a_release_are_named(
    store: Store, release_id: str
) -> None:
    vandalise(store, TRIGGERS, f"DELETE FROM events WHERE release_id = '{release_id}'")
    assert problems(store) == f"{release_id}: has no events"


def test_events_without_a_release_are_named(store: Store, release_id: str) -> None:
    vandalise(store, TRIGGERS, f"DELETE FROM releases WHERE id = '{release_id}'")

    assert problems(store) == f"{release_id}: has events but no release"


def test_every_broken_chain_is_reported_not_only_the_first(store: Store, release_id: str) -> None:
    vandalise(store, TRIGGERS, "UPDATE events SET actor = 'eve' WHERE seq = 0")

    assert len(store.ledger.verify().problems) == 3


def test_a_cut_tail_with_a_mended_list_shows_only_in_the_anchored_head(store: Store, release_id: str) -> None:
    anchored = store.ledger.verify().head
    vandalise(
        store,
        TRIGGERS,
        f"DELETE FROM events WHERE release_id = '{release_id}' AND seq = 4",
        "UPDATE releases SET seq = 3, phase = 'awaiting_approval', "
        f"head_hash = (SELECT hash FROM events WHERE release_id = '{release_id}' AND seq = 3) WHERE id = '{release_id}'",
    )

    report = store.ledger.verify()
    assert report.problems == ()
    assert report.head != anchored


def test_a_fact_this_program_does_not_know_is_an_error_that_says_what_to_do(
    store: Store, release_id: str
) -> None:
    text = '{"kind":"teleported"}'
    vandalise(
        store,
        TRIGGERS,
        f"UPDATE events SET fact = '{text}', kind = 'teleported' WHERE release_id = '{release_id}' AND seq = 2",
    )

    with pytest.raises(
        ConfigError, match=f"release {release_id} event 2 is an unreadable teleported.*newer promptship"
    ):
        store.ledger.events(release_id)
    with pytest.raises(ConfigError):
        store.ledger.events(release_id, looks=False)
    assert "event 2: does not fit the lifecycle: there is no teleported in it" in problems(store)
    store.ledger.append(release_id, [FACTS["promoted"]()], expected_seq=4, actor="flow", at=START)


def test_an_edited_version_is_named(store: Store) -> None:
    kept = version()
    store.routes.keep_version(kept)
    assert store.ledger.verify().problems == ()
    vandalise(
        store,
        TRIGGERS,
        "DROP TRIGGER versions_no_update",
        "UPDATE versions SET content = replace(content, '[]', '[1]')",
    )

    assert problems(store) == f"version {kept.digest}: its content is not what its digest names"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE routes SET stable = (SELECT digest FROM versions WHERE digest <> stable)",
        "UPDATE routes SET share = 1, candidate = stable",
        "UPDATE routes SET revision = 7",
        "DELETE FROM routes",
    ],
)
def test_an_edited_route_is_named(store: Store, statement: str) -> None:
    store.routes.keep_version(version("other"))
    store.routes.adopt("support-reply", version(), actor="cli", at=START)
    assert store.ledger.verify().problems == ()
    vandalise(store, TRIGGERS, statement)

    assert problems(store) == "route of support-reply: is not what its history says"
