"""`promptship up` under fire: kill -9 of every part while a release runs, the watcher stopped dead; approved by a click in Slack."""

import hashlib
import hmac
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus, urlencode

import httpx
import pytest

from examples.demo import Demo
from promptship.adapters.database import connect
from promptship.adapters.telemetry.tables import TOTAL_MS
from promptship.lifecycle.app import App
from promptship.settings_file import load_settings
from promptship.wiring import build
from tests.support.standin import Asked, Said, stand_in

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.xdist_group("up")]
LEASE_S = 10.0
SLACK_SECRET = "slack-signing-secret-of-the-tests"


class Slack:
    """A stand-in of Slack's Web API: keeps the cards that are posted and edited, and the lines of the thread."""

    def __init__(self) -> None:
        self.posted: list[Any] = []
        self.edited: list[Any] = []
        self.thread: list[str] = []

    def answer(self, asked: Asked) -> Said:
        card, thread = "1700000000.000100", "1700000001.000100"
        if asked.path.endswith("chat.update"):
            if asked.json["ts"] == card:
                self.edited.append(asked)
        elif asked.path.endswith("chat.postMessage"):
            if b"promptship_approve" in asked.body:
                self.posted.append(asked)
                return Said(200, {"ok": True, "channel": "C1", "ts": card})
            self.thread.append(asked.json["text"])
            return Said(200, {"ok": True, "channel": "C1", "ts": thread})
        return Said(200, {"ok": True, "channel": "C1", "ts": card})


class Stack(Demo):
    """The demo's house with Slack, and the tools to hurt it."""

    def connect_slack(self, url: str) -> None:
        mira = 'email = "mira@acorn.example"'
        settings = self.config.read_text().replace(mira, mira + '\nslack = "UMIRA"')
        self.config.write_text(f'{settings}\n[slack]\nchannel = "#releases"\nbase_url = "{url}/api/"\n')

    def click(self, value: str, *, user: str = "UMIRA") -> httpx.Response:
        """What Slack sends when somebody presses Approve."""
        action = {"action_id": "promptship_approve", "value": value}
        payload = {
            "type": "block_actions",
            "user": {"id": user, "name": "m"},
            "actions": [action],
            "response_url": "",
        }
        body = urlencode({"payload": json.dumps(payload)}).encode()
        at = str(int(time.time()))
        mac = hmac.new(SLACK_SECRET.encode(), b"v0:" + at.encode() + b":" + body, hashlib.sha256).hexdigest()
        headers = {
            "X-Slack-Request-Timestamp": at, "X-Slack-Signature": f"v0={mac}",
            "Content-Type": "application/x-www-form-urlencoded",
        }  # fmt: skip
        url = f"http://127.0.0.1:{self.ports['4280']}/slack/interactions"
        return httpx.post(url, content=body, headers=headers, timeout=20)

    def app(self) -> App:
        self.built = build(load_settings(self.config))
        return self.built

    def pid(self, part: str) -> int:
        return int((self.place / f".promptship/logs/{part}.pid").read_text())

    def kill(self, part: str) -> None:
        """kill -9, then wait until the supervisor has started it again."""
        victim = self.pid(part)
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: self.pid(part) != victim, 30, f"{part} to be started again")

    def ask(self, unit: str) -> httpx.Response:
        body = {
            "model": "prompt:support",
            "user": unit,
            "prompt_variables": {"question": "Why was my refund declined?"},
        }
        return httpx.post(f"http://127.0.0.1:{self.ports['4281']}/v1/chat/completions", json=body, timeout=20)

    def arms(self, requests: int = 40) -> dict[str, int]:
        """Which arm serves that many different units now."""
        arms = [self.ask(f"unit-{number}").headers["x-promptship-arm"] for number in range(requests)]
        return {arm: arms.count(arm) for arm in set(arms)}


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.2)


@pytest.fixture
def slack() -> Slack:
    return Slack()


@pytest.fixture
def stack(tmp_path: Path, slack: Slack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-of-the-tests")
    monkeypatch.setenv("SLACK_SIGNING_SECRET", SLACK_SECRET)
    stack = Stack(tmp_path)
    stack.prepare()
    with stand_in(slack.answer) as server:
        stack.connect_slack(server.url)
        try:
            stack.start()
            yield stack
        finally:
            stack.built.close()
            stack.stop()


def lines_in(place: Path) -> int:
    return sum(1 for file in place.glob("*.jsonl") for line in file.read_bytes().splitlines() if line)


def refusals(app: App, release: str) -> int:
    return [event.fact.kind for event in app.ledger.events(release)].count("approval_refused")


def test_a_release_survives_kill_9_of_every_part(stack: Stack, slack: Slack) -> None:
    app = stack.app()
    (release,) = stack.push("1-better", "support: answer in numbered steps")
    stack.kill("runner")
    wait_for(
        lambda: app.release(release).phase == "canary", 120, "the canary to start after the runner was killed"
    )

    dead_mans_switch(stack)

    for part in ("server", "gateway", "watcher"):
        stack.kill(part)
    wait_for(lambda: app.release(release).phase == "awaiting_approval", 150, "the canary to be judged")
    wait_for(lambda: bool(slack.posted), 60, "the card in Slack")
    stack.kill("prefect")
    value = button_value(slack.posted[0].body.decode())
    assert stack.click(value, user="USTRANGER").status_code == 200
    wait_for(lambda: refusals(app, release) == 1, 30, "the stranger's click to be refused")
    assert app.release(release).phase == "awaiting_approval"
    assert stack.click(value).status_code == 200
    wait_for(lambda: app.release(release).phase == "promoted", 120, "promotion after Prefect was killed")

    kinds = [event.fact.kind for event in app.ledger.events(release)]
    once = ["requested", "linted", "evaluated", "approval_requested", "approved", "promoted"]
    assert [kind for kind in kinds if kind in once] == once
    assert kinds.count("stage_started") == 2
    assert kinds.count("approval_refused") == 1
    wait_for(lambda: bool(slack.edited), 60, "the card to be edited")
    wait_for(
        lambda: "promptship_approve" not in slack.edited[-1].body.decode(), 60, "the card to lose its buttons"
    )
    assert len(slack.posted) == 1
    wait_for(
        lambda: any(line.startswith("promoted") for line in slack.thread), 60, "the thread to tell the end"
    )
    assert app.ledger.verify().problems == ()
    no_request_lost_or_doubled(stack)


def button_value(body: str) -> str:
    """The value of the card's buttons, however the body is encoded."""
    found = re.search(r'\{\\*"release_id.*?\}', unquote_plus(body))
    assert found is not None, body
    return found.group(0).replace("\\", "")


def dead_mans_switch(stack: Stack) -> None:
    """A watcher that is silent for longer than the lease costs the candidate its traffic, until it watches again."""
    watcher = stack.pid("watcher")
    os.kill(watcher, signal.SIGSTOP)
    try:
        time.sleep(LEASE_S + 2)
        assert stack.arms() == {"stable": 40}
    finally:
        os.kill(watcher, signal.SIGCONT)
    wait_for(lambda: "candidate" in stack.arms(), 30, "the candidate to get traffic again")


def no_request_lost_or_doubled(stack: Stack) -> None:
    """Every answer a customer got is one line in the spool, and every line is counted once."""
    traffic = stack.running.pop()
    traffic.send_signal(signal.SIGTERM)
    traffic.wait(30)
    acknowledged = sum("status" in json.loads(line) for line in stack.log.read_text().splitlines())
    spool = stack.place / ".promptship/spool/observations"
    written = lines_in(spool)
    assert written >= acknowledged
    engine = connect(f"sqlite:///{stack.place / '.promptship/ledger.db'}")

    def counted() -> int:
        with engine.connect() as connection:
            return int(
                connection.exec_driver_sql(
                    f"select sum(requests) from traffic where start_ms <> {TOTAL_MS}"
                ).scalar()
                or 0
            )

    wait_for(lambda: counted() == lines_in(spool), 30, "every line to be counted")
    engine.dispose()
