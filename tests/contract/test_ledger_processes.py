"""Real processes on one ledger: racing to migrate, racing to write, and killed in the middle."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from promptship.adapters.database import connect, migrate
from promptship.release.phase import Phase
from tests.support.facts import opened
from tests.support.ledger_stores import START, Store, sql_store
from tests.support.ledger_writer import CANDIDATE, LOOKS, PROMPT, STABLE
from tests.support.postgres import postgres_database

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 8
KILLS = 8

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database, not migrated."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    with postgres_database(request.getfixturevalue("postgres")) as url:
        yield url


@pytest.fixture
def filled(url: str) -> Iterator[Store]:
    engine = connect(url)
    migrate(engine)
    engine.dispose()
    with sql_store(url) as store:
        yield store


def start(job: str, url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.ledger_writer", job, url]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def run_together(job: str, url: str) -> list[str]:
    """Start the processes, let them go, and return what each of them printed; all must end well."""
    processes = [start(job, url) for _ in range(PROCESSES)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = [process.communicate(timeout=90)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * PROCESSES
    return printed


def test_processes_that_migrate_at_once_all_succeed(url: str) -> None:
    run_together("migrate", url)

    with sql_store(url) as store:
        opened(store)
        assert store.ledger.verify().problems == ()


def test_processes_that_write_at_once_win_every_seq_once(url: str, filled: Store) -> None:
    release_id = opened(filled)
    won = [int(seq) for printed in run_together("look", url) for seq in printed.split()]

    assert sorted(won) == list(range(1, LOOKS + 1))
    assert [event.seq for event in filled.ledger.events(release_id)] == list(range(LOOKS + 1))
    assert filled.ledger.verify().problems == ()


def test_a_writer_killed_anywhere_leaves_events_and_route_agreed(url: str, filled: Store) -> None:
    filled.routes.adopt(PROMPT, STABLE, actor="cli", at=START)
    filled.routes.keep_version(CANDIDATE)
    told: set[tuple[str, ...]] = set()
    chance = random.Random(7)
    for _ in range(KILLS):
        writer = start("release", url)
        assert writer.stdout is not None
        for _ in range(chance.randint(1, 6)):
            told.add(tuple(writer.stdout.readline().split()))
        writer.kill()
        rest, _ = writer.communicate()
        told |= {tuple(line.split()) for line in rest.splitlines(keepends=True) if line.endswith("\n")}
        check(filled, told)
    assert len(told) >= KILLS


def check(store: Store, told: set[tuple[str, ...]]) -> None:
    """Nothing that was acknowledged is lost, and every route change has its event and the other way round."""
    assert store.ledger.verify().problems == ()
    summaries = store.ledger.summaries(limit=1_000_000)
    happened = [
        (event.release_id, event.fact.kind)
        for summary in reversed(summaries)
        for event in store.ledger.events(summary.id)
        if event.fact.kind in {"stage_started", "rolled_back"}
    ]
    assert told <= set(happened)
    history = store.routes.history(PROMPT)
    assert [
        (record.release_id, "stage_started" if record.candidate else "rolled_back")
        for record in reversed(history[:-1])
    ] == happened
    route = store.routes.get(PROMPT)
    assert route is not None
    assert route.revision == store.routes.revision() == len(history)
    in_canary = [summary.id for summary in summaries if summary.phase is Phase.CANARY]
    split = route.split.release_id if route.split else None
    assert split == (in_canary[0] if split else None)
