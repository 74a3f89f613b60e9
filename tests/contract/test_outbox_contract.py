"""Every outbox keeps the same rules, and what is told through it arrives."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from promptship.adapters.database import connect
from promptship.adapters.ledger.sql_outbox import SqlOutbox
from promptship.adapters.memory.outbox import MemoryOutbox
from promptship.ports import DeadLetter, Outbox
from promptship.release import events as e
from tests.support.ledger_stores import Store

SINK = "webhook:ci"


@pytest.fixture
def outbox(store: Store) -> Iterator[Outbox]:
    if not store.url:
        yield MemoryOutbox(store.ledger)
        return
    engine = connect(store.url)
    yield SqlOutbox(engine)
    engine.dispose()


def opened(store: Store, commit: str) -> str:
    fact = e.Requested(
        prompt="support", path="prompts/support.md", commit=commit * 40, author="dev@example.org"
    )
    release_id, _ = store.ledger.open_release(fact, actor="push:dev", at=store.clock.now())
    return release_id


def stumble(store: Store, release_id: str) -> None:
    (last,) = store.ledger.events(release_id)[-1:]
    fact = e.Stumbled(step="lint", reason="down")
    store.ledger.append(release_id, [fact], expected_seq=last.seq, actor="flow", at=store.clock.now())


def waiting(outbox: Outbox, store: Store, sink: str = SINK) -> list[tuple[str, int, int]]:
    return [(one.release_id, one.after, one.tries) for one in outbox.pending(sink, at=store.clock.now())]


def test_a_sink_follows_from_its_beginning_on(outbox: Outbox, store: Store) -> None:
    old = opened(store, "a")
    assert outbox.begin(SINK, at=store.clock.now())
    assert not outbox.begin(SINK, at=store.clock.now())
    assert waiting(outbox, store) == []
    new = opened(store, "b")
    stumble(store, old)
    assert waiting(outbox, store) == [(old, 0, 0), (new, -1, 0)]
    assert outbox.begin("other", at=store.clock.now())
    assert waiting(outbox, store, "other") == []


def test_a_mark_goes_forward_only(outbox: Outbox, store: Store) -> None:
    outbox.begin(SINK, at=store.clock.now())
    one = opened(store, "a")
    stumble(store, one)
    outbox.told(SINK, one, seq=0)
    assert waiting(outbox, store) == [(one, 0, 0)]
    outbox.told(SINK, one, seq=1)
    outbox.told(SINK, one, seq=0)
    assert waiting(outbox, store) == []


def test_what_failed_waits_for_its_time(outbox: Outbox, store: Store) -> None:
    outbox.begin(SINK, at=store.clock.now())
    one = opened(store, "a")
    for tries in (1, 2):
        due_at = store.clock.now() + timedelta(seconds=10)
        outbox.failed(SINK, one, error="down", due_at=due_at)
        assert waiting(outbox, store) == []
        store.clock.turn(seconds=10)
        assert waiting(outbox, store) == [(one, -1, tries)]
    outbox.told(SINK, one, seq=0)
    stumble(store, one)
    assert waiting(outbox, store) == [(one, 0, 0)]


def test_a_buried_event_is_a_dead_letter_until_it_is_dug_up(outbox: Outbox, store: Store) -> None:
    outbox.begin(SINK, at=store.clock.now())
    one, two = opened(store, "a"), opened(store, "b")
    for release_id in (one, two, two):
        outbox.bury(SINK, release_id, seq=0, error="refused", at=store.clock.now())
    assert waiting(outbox, store) == []
    letters = [
        DeadLetter(sink=SINK, release_id=release_id, seq=0, at=store.clock.now(), error="refused")
        for release_id in (two, one)
    ]
    assert list(outbox.dead_letters()) == letters
    assert list(outbox.dead_letters("other")) == []
    assert list(outbox.dead_letters(SINK, limit=1)) == letters[:1]
    outbox.dig_up(letters[0])
    outbox.dig_up(letters[0])
    assert list(outbox.dead_letters(SINK)) == letters[1:]
