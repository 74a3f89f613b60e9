"""Real writers, ticks and compactions, killed with -9 again and again: every acknowledged row is counted, none twice."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from promptship.adapters.database import connect, migrate, reading
from promptship.adapters.telemetry import History, Lake, SpoolMeasurements
from promptship.adapters.telemetry.manifest import files
from tests.support.ledger_stores import HandClock
from tests.support.telemetry import at

pytestmark = [pytest.mark.system, pytest.mark.slow]

WRITERS = 6
SECONDS = 12.0

WRITER = """
import os, sys, time
from datetime import UTC, datetime
from pathlib import Path
from promptship.adapters.telemetry import SpoolWriter

class Clock:
    def now(self):
        return datetime.now(UTC)

spool, version, acknowledged = Path(sys.argv[1]), sys.argv[2], os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
writer = SpoolWriter(spool, clock=Clock(), segment_bytes_max=200_000)
for number in range(10_000_000):
    row = {"id": f"{version}-{number}", "at_ms": 1772366400000 + number, "prompt": "p", "version": version, "arm": "stable",
           "release": None, "stage": None, "latency_ms": 1.5, "status": 200, "error": False}
    if writer.write(row):
        os.write(acknowledged, b".")
    if number % 7 == 0:
        words = {"id": f"f-{version}-{number}", "at_ms": row["at_ms"] + 5, "request": row["id"], "request_at_ms": row["at_ms"],
                 "prompt": "p", "version": version, "arm": "stable", "release": None, "stage": None, "kind": "escalated", "value": True}
        writer.write(words)
    if number % 5 == 0:
        score = {"id": f"s-{version}-{number}", "at_ms": row["at_ms"] + 5, "request": row["id"], "request_at_ms": row["at_ms"],
                 "prompt": "p", "version": version, "arm": "stable", "release": None, "stage": None, "unit": None, "name": "tone",
                 "value": 0.5, "passed": number % 10 == 0}
        writer.write(score)
    if number % 20 == 0:
        time.sleep(0.005)
"""

COMPACTOR = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from promptship.adapters.database import connect
from promptship.adapters.telemetry import SpoolMeasurements

class Clock:
    def now(self):
        return datetime.now(UTC)

measurements = SpoolMeasurements(connect(sys.argv[1]), Path(sys.argv[2]), Clock(), bucket_s=1.0, keep_history_s=1e10)
Path(sys.argv[3]).touch()
while True:
    measurements.tidy()
"""

TICKER = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from promptship.adapters.database import connect
from promptship.adapters.telemetry import SpoolMeasurements

class Clock:
    def now(self):
        return datetime.now(UTC)

measurements = SpoolMeasurements(connect(sys.argv[1]), Path(sys.argv[2]), Clock(), bucket_s=1.0)
Path(sys.argv[3]).touch()
while True:
    measurements.ingest()
"""


class Crew:
    """Two writers and two tickers at any time; the dice say who dies next."""

    def __init__(self, directory: Path, url: str) -> None:
        self.complaints = ""
        self.kills = 0
        self.started = 0
        self._directory = directory
        self._url = url
        self._dice = random.Random(5)
        self._writers = [self._writer(), self._writer()]
        self._tickers = [self._ticker(), self._ticker()]
        self._compactor = self._ticker(COMPACTOR)
        self.compactions = 0

    def work(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end or (self.kills < 3 and time.monotonic() < end + 30):
            time.sleep(self._dice.uniform(0.05, 0.4))
            if self.started < WRITERS and self._dice.random() < 0.3:
                self._kill(self._writers.pop(0)[0])
                self._writers.append(self._writer())
            process, ticking = self._tickers[0]
            if ticking.exists():
                time.sleep(self._dice.uniform(0, 0.3))
                self._kill(process)
                self.kills += 1
                self._tickers = [self._tickers[1], self._ticker()]
            process, compacting = self._compactor
            if compacting.exists() and self._dice.random() < 0.4:
                self._kill(process)
                self.compactions += 1
                self._compactor = self._ticker(COMPACTOR)

    def stop(self) -> None:
        for process, _ in [*self._writers, *self._tickers, self._compactor]:
            self._kill(process)
        self._writers, self._tickers = [], []

    def acknowledged(self, writer: int) -> int:
        path = self._directory / f"acknowledged-{writer}"
        return path.stat().st_size if path.exists() else 0

    def _writer(self) -> tuple[subprocess.Popen[str], Path]:
        acknowledged = self._directory / f"acknowledged-{self.started}"
        process = self._start(WRITER, self._directory / "spool", f"v{self.started}", acknowledged)
        self.started += 1
        return process, acknowledged

    def _ticker(self, code: str = TICKER) -> tuple[subprocess.Popen[str], Path]:
        ticking = self._directory / f"ticking-{uuid4().hex}"
        return self._start(code, self._url, self._directory / "spool", ticking), ticking

    def _start(self, code: str, *arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)], stderr=subprocess.PIPE, text=True
        )

    def _kill(self, process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGKILL)
        self.complaints += process.communicate()[1]


def test_every_acknowledged_row_is_counted_once(tmp_path: Path) -> None:
    url, spool = f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "spool"
    engine = connect(url)
    migrate(engine)
    crew = Crew(tmp_path, url)
    try:
        crew.work(SECONDS)
    finally:
        crew.stop()
    assert crew.complaints == ""
    assert crew.kills >= 3
    assert crew.compactions >= 1

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
    for writer in range(crew.started):
        version = f"v{writer}"
        ask = ["error_rate", "feedback:escalated", "check:tone"]
        found = measurements.baseline(version, ask, as_of=at(1e7), window_s=1e9).rates
        counted = found["error_rate"].requests if found else 0
        # Killed between writing and acknowledging: at most one row more.
        assert crew.acknowledged(writer) <= counted <= crew.acknowledged(writer) + 1
        assert counted == first["observations"].get(version, 0)
        if counted > 1:
            assert found["feedback:escalated"].events in {(counted + 6) // 7, (counted + 6) // 7 - 1}
            assert found["feedback:escalated"].events == first["feedback"][version]
            assert found["check:tone"].requests in {(counted + 4) // 5, (counted + 4) // 5 - 1}
            assert found["check:tone"].requests == first["scores"][version]
    assert sum(first["observations"].values()) > 1000
    measurements.tidy()
    assert first == {kind: kept(f"select version, count(*) from {kind} group by version") for kind in kinds}
    with reading(engine) as connection:
        assert files(connection) != []
    measurements.close()
    engine.dispose()
