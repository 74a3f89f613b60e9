"""The history of routes is a chain too, and a ledger from before there was one still holds."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from promptship.adapters.database import MIGRATIONS, connect, migrate, writing
from promptship.adapters.ledger.chain import canonical, link_hash
from promptship.release.history import fold
from promptship.release.phase import Phase
from promptship.release.plan import Plan
from tests.support.facts import opened, requested, version
from tests.support.ledger_stores import START, Store, migrated_file, sql_store, sqlite_store, vandalise

TRIGGERS = [f"route_history_no_{what}" for what in ("update", "delete", "replace")]
STABLE, SAFE = version("s"), version("k")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Adopted, killed, revived; another prompt beside it."""
    with sqlite_store(migrated_file(tmp_path / "template.db"), tmp_path / "ledger.db") as store:
        for prompt in ("support", "other"):
            store.routes.adopt(prompt, STABLE, actor="person:mira", at=START)
            store.routes.name_safe(prompt, SAFE, actor="person:mira", at=START)
        store.routes.kill("support", SAFE.digest, actor="person:mira", at=START, reason="fire")
        store.routes.kill("support", None, actor="person:mira", at=START, reason="mended")
        assert store.ledger.verify().problems == ()
        yield store


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'person:eve'",
        "reason = 'harmless'",
        "at = at + 1",
        "killed = NULL",
        "share = 0.5",
        "policy = '{}'",
        "safe = stable",
    ],
)
def test_who_killed_what_and_why_cannot_be_edited_unnoticed(store: Store, change: str) -> None:
    vandalise(store, TRIGGERS, f"UPDATE route_history SET {change} WHERE revision = 5")
    (problem,) = store.ledger.verify().problems
    assert problem == "route of support at revision 5: its content does not match its hash"


def test_a_change_that_is_taken_out_is_missed(store: Store) -> None:
    vandalise(store, TRIGGERS, "DELETE FROM route_history WHERE revision = 5")
    (problem,) = store.ledger.verify().problems
    assert problem == "route of support at revision 6: does not name the hash of the change before it"


def test_a_change_without_a_hash_cannot_be_slipped_in(store: Store) -> None:
    vandalise(store, TRIGGERS, "UPDATE route_history SET hash = NULL WHERE revision = 6")
    assert "revision 6: has no hash" in store.ledger.verify().problems[0]


def test_a_cut_tail_changes_the_head_that_was_anchored(store: Store) -> None:
    head = store.ledger.verify().head
    vandalise(
        store,
        TRIGGERS,
        "DELETE FROM route_history WHERE revision = 6",
        f"UPDATE routes SET revision = 5, killed = '{SAFE.digest}' WHERE prompt = 'support'",
    )
    report = store.ledger.verify()
    assert report.problems == ()
    assert report.head != head


def test_the_switch_itself_is_what_the_history_says(store: Store) -> None:
    vandalise(store, TRIGGERS, f"UPDATE routes SET killed = '{STABLE.digest}' WHERE prompt = 'other'")
    assert store.ledger.verify().problems == ("route of other: is not what its history says",)


def test_a_ledger_from_before_still_verifies_folds_and_goes_on(tmp_path: Path) -> None:
    """As the version before wrote it: no chain of routes, no risk in `linted`, no experiment in its plan."""
    from alembic import command
    from alembic.config import Config

    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    engine = connect(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003_scores_units_history")
    plan = Plan().model_dump(mode="json")
    del plan["experiment"]
    linted = {"kind": "linted", "version": STABLE.digest, "findings": [], "plan": plan}
    facts = [canonical(requested().model_dump(mode="json")), canonical(linted)]
    microseconds = int(START.timestamp() * 1_000_000)
    raw = sqlite3.connect(tmp_path / "ledger.db")
    prev = ""
    rows = []
    for seq, fact in enumerate(facts):
        hashed = link_hash("r-old", seq, START, "flow", fact, prev)
        rows.append(("r-old", seq, microseconds, "flow", json.loads(fact)["kind"], fact, prev, hashed))
        prev = hashed
    raw.execute(
        'INSERT INTO releases (id, prompt, "commit", attempt, author, phase, seq, head_hash, opened_at, moved_at)'
        " VALUES ('r-old', 'support-reply', 'c0ffee', 1, 'mira@example.org', 'linted', 1, ?, ?, ?)",
        (prev, microseconds, microseconds),
    )
    raw.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    raw.execute("INSERT INTO versions VALUES (?, 'c0ffee', ?)", (STABLE.digest, canonical(STABLE.content)))
    raw.execute(
        "INSERT INTO routes (prompt, revision, stable, stable_commit, share, salt) VALUES ('support', 1, ?, 'c0ffee', 0, '')",
        (STABLE.digest,),
    )
    raw.execute(
        "INSERT INTO route_history (revision, prompt, at, stable, share, actor, reason)"
        " VALUES (1, 'support', ?, ?, 0, 'person:mira', 'adopted')",
        (microseconds, STABLE.digest),
    )
    raw.execute("UPDATE route_revision SET value = 1")
    raw.commit()
    raw.close()
    migrate(engine)
    engine.dispose()

    with sql_store(url) as store:
        assert store.ledger.verify().problems == ()
        release = fold(store.ledger.events("r-old"))
        assert (release.phase, release.risk) == (Phase.LINTED, "low")
        assert release.plan == Plan()
        store.routes.kill("support", STABLE.digest, actor="person:mira", at=START, reason="fire")
        opened(store, "another")
        assert store.ledger.verify().problems == ()
        assert [bool(one.hash) for one in store.routes.history("support")] == [True, False]
