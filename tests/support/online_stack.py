"""Control plane, gateway, watcher and scorer as real processes over one repository with two prompts and a model that is made up."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from promptship.adapters.memory.orchestrator import MemoryOrchestrator
from promptship.lifecycle import steps
from promptship.lifecycle.adopting import adopt
from promptship.lifecycle.app import App
from promptship.lifecycle.opening import open_for_push
from promptship.settings_file import load_settings
from promptship.wiring import build
from tests.support.standin import Asked, Said, StandIn, stand_in

PROMPT = (
    "name: {name}\nowner: a@b.example\nmodel: sim-1\nmessages:\n  - role: system\n    content: {text}\n{more}"
)
SUITE = "cases: [{id: hello, assert: [{type: icontains, value: hello}]}]"
TOML = """
[server]
port = {server}
[gateway]
port = {gateway}
[telemetry]
bucket = "1s"
[watcher]
every = "500ms"
[providers.sim]
base_url = "{url}/v1"
[models.sim-1]
provider = "sim"
context_tokens = 8000
[models.judge-1]
provider = "sim"
context_tokens = 8000
price_in = 1.0
price_out = 1.0

[[approvers]]
name = "mira"

[plans.default.canary]
requests_min = 20
lease = "20s"
stages = [{{share = 0.5, dwell = "2m", cap = "1h", margin = 1.0}}]
[plans.default.online.judge]
model = "judge-1"
"""


def chat(text: str) -> Said:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 20, "completion_tokens": 10}
    return Said(200, {"id": "c-1", "model": "sim-1", "choices": [choice], "usage": usage})


@dataclass
class Stack:
    """Everything that runs, and what a test does to it."""

    place: Path
    app: App
    config: Path
    gateway_url: str
    upstream: StandIn
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    asking: list[threading.Thread] = field(default_factory=list)

    def start(self, name: str) -> None:
        with (self.place / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "promptship.cli", name, "--config", str(self.config)],
                stdout=log, stderr=log, cwd=self.place, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            )  # fmt: skip

    def kill(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait(10)

    def end(self) -> None:
        self.quiet()
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                process.kill()
            process.wait(10)

    def commit(self, texts: dict[str, tuple[str, str]], message: str) -> None:
        """Prompts by name: their system message, and the rest of the file."""
        for name, (text, more) in texts.items():
            (self.place / f"prompts/{name}.yaml").write_text(PROMPT.format(name=name, text=text, more=more))
        git(self.place, "add", ".")
        git(self.place, "commit", "--quiet", "-m", message)

    def release(self) -> dict[str, str]:
        """Open what the last commit changed and bring it to its canary; id of the release by prompt."""
        resolve = self.app.repository.resolve
        opened = open_for_push(
            self.app, before=resolve("main~1").id, after=resolve("main").id, actor="push:t"
        )
        for one in opened:
            assert steps.lint(self.app, one.release_id) is steps.Standing.GO_ON, self.app.release(
                one.release_id
            )
            route = self.app.routes.get(one.prompt)
            steps.record_evaluation(
                self.app, one.release_id, stable=route.stable if route else None, verdict={"suites": []}, passes=True,
                because="made up",
            )  # fmt: skip
            assert steps.start_canary(self.app, one.release_id) is steps.Standing.PARKED
        return {one.prompt: one.release_id for one in opened}

    def traffic(self, prompts: list[str], threads: int = 4) -> None:
        """Ask until `quiet`, each request for another user."""
        numbers = itertools.count()

        def ask() -> None:
            with httpx.Client(base_url=self.gateway_url, timeout=10) as client:
                while not self.stop.is_set():
                    number = next(numbers)
                    body = {"model": f"prompt:{prompts[number % len(prompts)]}", "user": f"user-{number}"}
                    body["messages"] = [
                        {"role": "user", "content": f"My mail is secret-{number}@mail.example"}
                    ]  # type: ignore[assignment]
                    client.post("/v1/chat/completions", json=body)
                    time.sleep(0.02)

        for _ in range(threads):
            asking = threading.Thread(target=ask, daemon=True)
            asking.start()
            self.asking.append(asking)

    def quiet(self) -> None:
        """No more traffic; every question that was asked has its answer."""
        self.stop.set()
        for asking in self.asking:
            asking.join(20)

    def lines(self, kind: str) -> list[dict[str, Any]]:
        paths = sorted((self.place / ".promptship/spool" / kind).glob("*.jsonl"))
        return [orjson.loads(line) for path in paths for line in path.read_bytes().splitlines()]


def git(place: Path, *words: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@t.example", *words], cwd=place, check=True
    )


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def online_stack(
    place: Path, answer: Callable[[Asked], Said], stable: dict[str, tuple[str, str]]
) -> Iterator[Stack]:
    """All four processes, with these prompts adopted."""
    server, gateway = free_ports(2)
    with stand_in(answer) as upstream:
        (place / "prompts").mkdir()
        (place / "suites").mkdir()
        for name in stable:
            (place / f"suites/{name}.yaml").write_text(SUITE)
        config = place / "promptship.toml"
        config.write_text(TOML.format(server=server, gateway=gateway, url=upstream.url))
        git(place, "init", "--quiet", "--initial-branch=main")
        real = build(load_settings(config))
        fields = {name: getattr(real, name) for name in App.__slots__}
        app = App(**{**fields, "orchestrator": MemoryOrchestrator()})
        stack = Stack(place, app, config, f"http://127.0.0.1:{gateway}", upstream)
        stack.commit(stable, "stable")
        adopt(app, [], ref="HEAD", actor="person:test")
        try:
            for name in ("server", "gateway", "watcher", "scorer"):
                stack.start(name)
            until(lambda: answers(f"{stack.gateway_url}/healthz"), 30, "the gateway")
            yield stack
        finally:
            stack.end()
            app.close()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
