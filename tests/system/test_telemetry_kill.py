"""Real writers and real ticks, killed with -9 again and again: every acknowledged row is counted, none twice."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from promptship.adapters.database import connect, migrate
from promptship.adapters.telemetry import SpoolMeasurements
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
    if number % 20 == 0:
        time.sleep(0.005)
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
print("ticking", flush=True)
while True:
    measurements.ingest()
"""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def kill(process: subprocess.Popen[str]) -> str:
    """Returns what it complained about while it lived."""
    process.send_signal(signal.SIGKILL)
    return process.communicate()[1]


def test_every_acknowledged_row_is_counted_once(tmp_path: Path) -> None:
    dice = random.Random(5)
    url, spool = f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "spool"
    engine = connect(url)
    migrate(engine)
    spool.mkdir()

    def writer(number: int) -> subprocess.Popen[str]:
        return start(WRITER, str(spool), f"v{number}", str(tmp_path / f"acknowledged-{number}"))

    writers = {0: writer(0), 1: writer(1)}
    tickers = [start(TICKER, url, str(spool)) for _ in range(2)]
    complaints, kills = "", 0
    end = time.monotonic() + SECONDS
    started = len(writers)
    try:
        while time.monotonic() < end or not any(spool.rglob("*.jsonl")):
            time.sleep(dice.uniform(0.05, 0.4))
            if started < WRITERS and dice.random() < 0.4:
                oldest = min(writers)
                complaints += kill(writers.pop(oldest))
                writers[started] = writer(started)
                started += 1
            victim = dice.randrange(len(tickers))
            os.set_blocking(tickers[victim].stdout.fileno(), False)  # type: ignore[union-attr]
            if tickers[victim].stdout.read():  # type: ignore[union-attr] # it has begun to tick
                time.sleep(dice.uniform(0, 0.3))
                complaints += kill(tickers[victim])
                kills += 1
                tickers[victim] = start(TICKER, url, str(spool))
    finally:
        complaints += "".join(kill(process) for process in [*writers.values(), *tickers])
    assert complaints == ""
    assert kills >= 2

    measurements = SpoolMeasurements(engine, spool, HandClock(at(0)), bucket_s=1.0)
    while measurements.ingest().observations:
        pass
    total = 0
    for number in range(started):
        path = tmp_path / f"acknowledged-{number}"
        acknowledged = path.stat().st_size if path.exists() else 0
        lines = [
            line
            for one in (spool / "observations").glob("*")
            for line in one.read_bytes().splitlines()
            if b'"v%d-' % number in line
        ]
        found = measurements.baseline(
            f"v{number}", ["error_rate", "feedback:escalated"], as_of=at(1e7), window_s=1e9
        ).rates
        counted = found["error_rate"].requests if found else 0
        # Killed between writing and acknowledging: at most one row more.
        assert acknowledged <= counted == len(lines) <= acknowledged + 1
        if counted > 1:
            assert found["feedback:escalated"].events in {(counted + 6) // 7, (counted + 6) // 7 - 1}
        total += counted
    assert total > 1000
    measurements.close()
    engine.dispose()
