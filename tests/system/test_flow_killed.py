"""kill -9 of the flow after every event it writes: the release ends as it would have, nothing lost, nothing doubled, nothing paid twice."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from promptship.lifecycle.app import App
from promptship.lifecycle.approval import approve
from promptship.lifecycle.opening import open_release
from promptship.lifecycle.stages import ask_for
from tests.support.git_place import git_place

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """
[providers.sim]
base_url = "http://127.0.0.1:{port}/v1"
[models.sim-1]
provider = "sim"
context_tokens = 8000
[[approvers]]
name = "mira"
[plans.default.regression]
trials = 2
"""
SUITE = "cases: [{id: a, assert: [{type: contains, value: hello}]}, {id: b, assert: [{type: icontains, value: Hello}]}]"


class _Provider(BaseHTTPRequestHandler):
    """Answers hello, and counts what it was paid for."""

    calls = 0

    def do_POST(self) -> None:
        type(self).calls += 1
        self.rfile.read(int(self.headers["content-length"]))
        choice = {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
        body = json.dumps(
            {"id": "x", "object": "chat.completion", "model": "sim-1", "choices": [choice]}
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def provider() -> Iterator[tuple[int, type[_Provider]]]:
    class Counting(_Provider):
        calls = 0

    server = ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1], Counting
    server.shutdown()
    server.server_close()
    thread.join()


def repository(place: Path, port: int) -> tuple[Path, App]:
    """A Git repository with two versions of a prompt, the first adopted."""

    files = {"suites/greet.yaml": SUITE, "promptship.toml": SETTINGS.format(port=port)}
    return git_place(place, files, ["Say hello.", "Say hello, please."])


def run_flow(config: Path, release_id: str, kill_after: int = 0) -> int:
    words = [sys.executable, "-m", "tests.support.flow_process", str(config), release_id, str(kill_after)]
    return subprocess.run(words, cwd=ROOT, check=False, capture_output=True, timeout=60).returncode


def through(config: Path, app: App, *, killed: bool) -> list[str]:
    """Take the release to its end, the flow killed after every single write or never; returns the kinds of its events."""
    release_id = open_release(app, prompt="greet", ref="main", actor="person:test").release_id

    def until_parked() -> None:
        # Every run dies after one write, so each event of the flow is once the last thing it did.
        for _ in range(12):
            if run_flow(config, release_id, kill_after=1 if killed else 0) == 0:
                return
        pytest.fail("the flow never came to its end")

    until_parked()
    release = app.release(release_id)
    assert release.phase == "canary"
    # What the watcher does at the end of the last stage, without waiting for traffic.
    request = ask_for(app, release, "promote", "no guardrail objects")
    app.ledger.append(release_id, [request], expected_seq=release.seq, actor="watcher", at=app.clock.now())
    until_parked()
    approve(app, release_id, who="mira", via="cli")
    until_parked()
    assert app.release(release_id).phase == "promoted"
    return [event.fact.kind for event in app.ledger.events(release_id)]


def test_killed_after_every_event_the_release_ends_the_same(
    tmp_path: Path, provider: tuple[int, type[_Provider]]
) -> None:
    port, paid = provider
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    calm.mkdir()
    wild.mkdir()
    config, app = repository(calm, port)
    expected = through(config, app, killed=False)
    app.close()
    calls = paid.calls
    config, app = repository(wild, port)
    assert through(config, app, killed=True) == expected
    assert paid.calls == 2 * calls, "an answer was paid twice"
    assert app.ledger.verify().problems == ()
    route = app.routes.get("greet")
    app.close()
    assert route is not None
    assert route.split is None
    assert expected == [
        "requested", "linted", "evaluated", "stage_started", "approval_requested", "approval_asked",
        "approval_given", "approved", "promoted", "concluded",
    ]  # fmt: skip
