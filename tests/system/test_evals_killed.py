"""A run that is killed with -9 goes on: what was answered is not paid again, and the totals are those of the rows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from promptship.evals.session import ROWS, rows_of, run_ids

pytestmark = pytest.mark.system

CASES = 120
PARALLEL = 8


class Till(ThreadingHTTPServer):
    """A provider that counts what it was asked, and calls back before each answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.victim: subprocess.Popen[str] | None = None
        self.kill_at = 0

    def count(self, question: str) -> None:
        with self.lock:
            self.asked[question] += 1
            if self.victim is not None and self.asked.total() == self.kill_at:
                os.kill(self.victim.pid, signal.SIGKILL)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = body["messages"][-1]["content"]
        till: Any = self.server
        till.count(question)
        choice = {"index": 0, "message": {"role": "assistant", "content": question}, "finish_reason": "stop"}
        content = json.dumps({"model": "m", "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def till() -> Iterator[Till]:
    server = Till()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def started(till: Till, data: Path, cache: str) -> subprocess.Popen[str]:
    words = [str(data), f"http://127.0.0.1:{till.server_port}/v1", str(CASES), cache]
    command = [sys.executable, "-m", "tests.support.eval_process", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("cache", ["cache", "no-cache"])
def test_killed_again_and_again_it_ends_with_every_row_once_and_pays_only_what_was_under_way_twice(
    till: Till, tmp_path: Path, cache: str
) -> None:
    kills = 0
    for after in (10, 25, 20, 0):
        with till.lock:
            # Starting up takes a while: the victim is known before its first question.
            till.victim = process = started(till, tmp_path, cache)
            till.kill_at = till.asked.total() + after if after else -1
        out, _ = process.communicate(timeout=60)
        if after:
            assert process.returncode == -signal.SIGKILL
            kills += 1
    assert process.returncode == 0
    rows, passed, reused = (int(word) for word in out.split())
    assert (rows, passed) == (CASES, CASES)
    assert len(till.asked) == CASES
    assert max(till.asked.values()) <= 1 + kills
    assert till.asked.total() - CASES <= kills * PARALLEL
    assert reused >= 10 + 25 + 20 - kills * PARALLEL
    assert len(run_ids(tmp_path)) == 1
    kept = list(rows_of(tmp_path))
    assert len(kept) == len({row.key for row in kept}) == CASES
    lines = (tmp_path / "runs" / run_ids(tmp_path)[0] / ROWS).read_text().count("\n")
    assert CASES <= lines <= CASES + kills
