"""Real writers, ticks and compactions, killed with -9 at seeded moments: every acknowledged row is there once, counted once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from promptship.adapters.database import connect, migrate, reading
from promptship.adapters.telemetry import History, Lake, SpoolMeasurements
from promptship.adapters.telemetry.manifest import files
from tests.support.ledger_stores import HandClock
from tests.support.telemetry import at

pytestmark = [pytest.mark.system, pytest.mark.slow]

KILLS = 20
"""Of ticks and compactions; writers are killed beside them."""
WRITERS = 6

NURSERY = """
import json, os, signal, sys, time
from datetime import UTC, datetime
from pathlib import Path
import duckdb
from promptship.adapters.database import connect
from promptship.adapters.telemetry import SpoolMeasurements, SpoolWriter

class Clock:
    def now(self):
        return datetime.now(UTC)

def write(spool, version, acknowledged, begun):
    told = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    writer = SpoolWriter(Path(spool), clock=Clock(), segment_bytes_max=100_000)
    about = {"prompt": "p", "version": version, "arm": "stable", "release": None, "stage": None}
    for number in range(10_000_000):
        row = about | {"id": f"{version}-{number}", "at_ms": 1772366400000 + number, "latency_ms": 1.5, "status": 200, "error": False}
        if writer.write(row):
            os.write(told, b".")
        later = about | {"at_ms": row["at_ms"] + 5, "request": row["id"], "request_at_ms": row["at_ms"]}
        if number % 7 == 0:
            writer.write(later | {"id": f"f-{version}-{number}", "kind": "escalated", "value": True})
        if number % 5 == 0:
            writer.write(later | {"id": f"s-{version}-{number}", "unit": None, "name": "tone", "value": 0.5, "passed": number % 10 == 0})
        if number % 20 == 0:
            Path(begun).touch()
            time.sleep(0.005)

def work(url, spool, begun, what):
    measurements = SpoolMeasurements(connect(url), Path(spool), Clock(), bucket_s=1.0, keep_history_s=1e10)
    Path(begun).touch()
    while True:
        getattr(measurements, what)()

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    name, *arguments = json.loads(line)
    born = os.fork()
    if not born:
        {"write": write, "work": work}[name](*arguments)
    print(born, flush=True)
"""
"""Imports everything once and forks: a process that is killed within a second must not take a second to start."""


class Crew:
    """Two writers, two ticks and two compactions at any time; the dice say who dies next, and when."""

    def __init__(self, directory: Path, url: str, nursery: subprocess.Popen[str]) -> None:
        self.writers = 0
        self.killed = {"ingest": 0, "tidy": 0, "write": 0}
        self._directory = directory
        self._url = url
        self._nursery = nursery
        self._dice = random.Random(5)
        self._alive = [self._start(what) for what in ("write", "ingest", "tidy") for _ in range(2)]

    def work(self) -> None:
        end = time.monotonic() + 90
        while self.killed["ingest"] + self.killed["tidy"] < KILLS and time.monotonic() < end:
            what, process, begun = self._alive.pop(self._dice.randrange(len(self._alive)))
            while not begun.exists() and time.monotonic() < end:
                time.sleep(0.005)
            time.sleep(self._dice.uniform(0, 0.25))
            if what != "write" or self.writers < WRITERS:
                os.kill(process, signal.SIGKILL)
                self.killed[what] += 1
                self._alive.append(self._start(what))
            else:
                self._alive.append((what, process, begun))

    def stop(self) -> None:
        for _, process, _ in self._alive:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for _, process, _ in self._alive:
            while Path(f"/proc/{process}").exists():
                time.sleep(0.005)

    def acknowledged(self, writer: int) -> int:
        path = self._directory / f"acknowledged-{writer}"
        return path.stat().st_size if path.exists() else 0

    def _start(self, what: str) -> tuple[str, int, Path]:
        begun = self._directory / f"begun-{uuid4().hex}"
        spool = str(self._directory / "spool")
        if what == "write":
            acknowledged = str(self._directory / f"acknowledged-{self.writers}")
            said = ["write", spool, f"v{self.writers}", acknowledged, str(begun)]
            self.writers += 1
        else:
            said = ["work", self._url, spool, str(begun), what]
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(json.dumps(said) + "\n")
        self._nursery.stdin.flush()
        return what, int(self._nursery.stdout.readline()), begun


@contextmanager
def nursery() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_every_acknowledged_row_is_counted_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    engine = connect(url)
    migrate(engine)
    with nursery() as mother:
        crew = Crew(tmp_path, url, mother)
        try:
            crew.work()
        finally:
            crew.stop()
        mother.kill()
        assert mother.communicate()[1] == ""
    assert crew.killed["ingest"] + crew.killed["tidy"] == KILLS
    assert min(crew.killed.values()) >= 3

    compare(crew, engine, tmp_path)
    engine.dispose()


def compare(crew: Crew, engine: Engine, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    measurements = SpoolMeasurements(engine, spool, HandClock(at(0)), bucket_s=1.0, keep_history_s=1e9)
    for _ in range(10):
        measurements.ingest()
    history = History(engine, spool, Lake(str(tmp_path / "history")))

    def kept(sql: str) -> dict[str, int]:
        with history.select(sql) as answer:
            return {str(version): int(rows) for version, rows in answer.rows}

    kinds = ("observations", "scores", "feedback")
    first = {kind: kept(f"select version, count(*) from {kind} group by version") for kind in kinds}
    assert first == {
        kind: kept(f"select version, count(distinct id) from {kind} group by version") for kind in kinds
    }
    for writer in range(crew.writers):
        version = f"v{writer}"
        ask = ["error_rate", "feedback:escalated", "check:tone"]
        found = measurements.baseline(version, ask, as_of=at(1e7), window_s=1e9).rates
        counted = found["error_rate"].requests if found else 0
        # Killed between writing and acknowledging: at most one row more.
        assert crew.acknowledged(writer) <= counted <= crew.acknowledged(writer) + 1
        assert counted == first["observations"].get(version, 0)
        sql = f"select id, count(*) from observations where version = '{version}' group by id"
        assert kept(sql) == {f"{version}-{number}": 1 for number in range(counted)}, "these, and no others"
        if counted > 1:
            assert found["feedback:escalated"].events in {(counted + 6) // 7, (counted + 6) // 7 - 1}
            assert found["feedback:escalated"].events == first["feedback"][version]
            assert found["check:tone"].requests in {(counted + 4) // 5, (counted + 4) // 5 - 1}
            assert found["check:tone"].requests == first["scores"][version]
    assert sum(first["observations"].values()) > 200
    measurements.tidy()
    assert first == {kind: kept(f"select version, count(*) from {kind} group by version") for kind in kinds}
    with reading(engine) as connection:
        assert files(connection) != []
    measurements.close()
