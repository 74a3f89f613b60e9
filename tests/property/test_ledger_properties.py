"""For any life of a release: the kept phase is the fold, the chain holds, and it breaks exactly when somebody edits it."""

import sqlite3
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from promptship.adapters.ledger import chain
from promptship.errors import PromptshipError
from promptship.release.events import PHASE_AFTER, Fact
from promptship.release.history import fold
from promptship.release.phase import NEXT, Phase
from tests.support.facts import FACTS, opened, requested
from tests.support.ledger_stores import START, Store, memory_store, migrated_file, sqlite_store
from tests.support.lives import lives

pytestmark = pytest.mark.slow

_commits = (f"commit-{number}" for number in count())
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    directory = tmp_path_factory.mktemp("ledger-properties")
    with sqlite_store(migrated_file(directory / "template.db"), directory / "ledger.db") as store:
        yield store


def live(store: Store, life: list[Fact], cuts: list[int]) -> str:
    """Append a life in pieces of the given sizes, the rest at once."""
    release_id = opened(store, commit=next(_commits))
    seq = 0
    for size in [*cuts, len(life)]:
        piece, life = life[:size], life[size:]
        store.ledger.append(release_id, piece, expected_seq=seq, actor="flow", at=START)
        seq += len(piece)
    return release_id


@quick
@given(life=lives(), cuts=st.lists(st.integers(0, 5), max_size=4))
def test_any_allowed_life_folds_to_the_kept_phase_and_verifies(
    sqlite: Store, life: list[Fact], cuts: list[int]
) -> None:
    for store in (memory_store(), sqlite):
        release_id = live(store, life, cuts)
        release = fold(store.ledger.events(release_id))
        summary = store.ledger.summaries(limit=1)[0]
        assert (summary.id, summary.phase, summary.seq) == (release_id, release.phase, len(life))
        assert summary.moved_at == release.moved_at
        assert fold(store.ledger.events(release_id, looks=False)) == release
        assert store.ledger.verify(release_id).problems == ()


@quick
@given(life=lives(), kind=st.sampled_from(sorted(FACTS)))
def test_a_fact_is_accepted_exactly_when_the_lifecycle_has_the_edge(life: list[Fact], kind: str) -> None:
    store = memory_store()
    release_id = live(store, life, [])
    phase = store.ledger.summaries()[0].phase
    to = PHASE_AFTER[kind]

    try:
        store.ledger.append(release_id, [FACTS[kind]()], expected_seq=len(life), actor="flow", at=START)
    except PromptshipError:
        accepted = False
    else:
        accepted = True
    assert accepted == (to is None or to in NEXT[phase])
    assert len(store.ledger.events(release_id)) == 1 + len(life) + accepted


def raw(store: Store, statement: str, *values: object) -> list[Any]:
    """Straight into the file, past every trigger, as a vandal with a shell would."""
    connection = sqlite3.connect(Path(store.url.removeprefix("sqlite:///")), isolation_level=None)
    connection.text_factory = bytes
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


@quick
@given(life=lives(), data=st.data())
def test_any_edited_byte_of_a_fact_is_found_and_undoing_it_heals(
    sqlite: Store, life: list[Fact], data: st.DataObject
) -> None:
    release_id = live(sqlite, life, [])
    for trigger in ("events_no_update", "events_no_delete"):
        raw(sqlite, f"DROP TRIGGER IF EXISTS {trigger}")
    seq = data.draw(st.integers(0, len(life)), label="seq")
    mine = "WHERE release_id = ? AND seq = ?"
    ((before,),) = raw(sqlite, f"SELECT fact FROM events {mine}", release_id, seq)
    # Drawn without looking at the length, which differs from run to run: ids in it are numbered.
    position = data.draw(st.integers(0, 10_000), label="position") % len(before)
    byte = data.draw(st.integers(0, 255), label="byte")
    after = before[:position] + bytes([byte]) + before[position + 1 :]

    raw(sqlite, f"UPDATE events SET fact = CAST(? AS TEXT) {mine}", after, release_id, seq)
    found = sqlite.ledger.verify(release_id).problems
    raw(sqlite, f"UPDATE events SET fact = CAST(? AS TEXT) {mine}", before, release_id, seq)

    assert bool(found) == (before != after)
    assert all(release_id in problem for problem in found)
    assert sqlite.ledger.verify(release_id).problems == ()


@given(value=json_values)
@example(value={"b": 1, "a": [float("inf"), -0.0]})
def test_canonical_json_is_ascii_stable_and_reads_back(value: Any) -> None:
    import json

    text = chain.canonical(value)
    assert text.isascii()
    assert chain.canonical(json.loads(text)) == text


Step = tuple[str, Any]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.tuples(st.sampled_from("ab"), st.booleans())),
        st.tuples(
            st.just("append"), st.tuples(st.integers(0, 2), st.sampled_from(sorted(FACTS)), st.integers(0, 4))
        ),
        st.tuples(st.just("claim"), st.integers(0, 2)),
        st.tuples(st.just("find"), st.sampled_from(["r-", "", "r-a", "zz"])),
        st.tuples(st.just("acquire"), st.sampled_from("xyz")),
        st.tuples(st.just("let_go"), st.sampled_from("xyz")),
    ),
    max_size=25,
)


def answer(call: Callable[[], object]) -> object:
    try:
        return call()
    except PromptshipError as error:
        return type(error), str(error)


def take(store: Store, step: Step, prompt: str, ids: list[str]) -> object:
    kind, detail = step
    ledger, at = store.ledger, START
    match kind:
        case "open":
            commit, again = detail
            return ledger.open_release(requested(prompt, commit), actor="cli", at=at, again=again)
        case "append":
            which, fact, seq = detail
            one = ids[which % len(ids)] if ids else "r-none"
            # Half of the time at the right place, so that releases get somewhere.
            here = {summary.id: summary.seq for summary in ledger.summaries(prompt=prompt)}.get(one, 0)
            seq = here if seq % 2 else seq
            return ledger.append(
                one, [FACTS[fact]()], expected_seq=seq, actor="flow", at=at, keep_due=seq == 1
            )
        case "claim":
            return ledger.claim(prompt, ids[detail % len(ids)] if ids else "r-none")
        case "acquire":
            return ledger.acquire(prompt, detail, ttl_s=5, at=at)
        case "let_go":
            ledger.let_go(prompt, detail)
            return None
        case _:
            return ledger.find(f"r-!{prompt}{detail}")


@quick
@given(path=steps)
def test_the_ledger_in_memory_answers_exactly_like_the_one_in_sql(sqlite: Store, path: list[Step]) -> None:
    memory, prompt = memory_store(), f"prompt-{next(_commits)}"
    for step in path:
        ids = sorted(summary.id for summary in memory.ledger.summaries(prompt=prompt))
        assert answer(lambda: take(memory, step, prompt, ids)) == answer(  # noqa: B023 - called at once
            lambda: take(sqlite, step, prompt, ids)  # noqa: B023 - called at once
        )
    assert memory.ledger.summaries(prompt=prompt) == sqlite.ledger.summaries(prompt=prompt)
    for summary in memory.ledger.summaries(prompt=prompt):
        assert memory.ledger.events(summary.id) == sqlite.ledger.events(summary.id)
        assert memory.ledger.verify(summary.id) == sqlite.ledger.verify(summary.id)
        assert summary.phase in Phase
