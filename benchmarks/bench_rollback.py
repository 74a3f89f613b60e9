"""How long a rollback takes: bad feedback on the disk -> ledger -> every gateway and every client serves stable. Real processes.

A control plane, a watcher, three gateways, a client library and an OFREP client, each its own process; Prefect is down.

Run: python benchmarks/bench_rollback.py [--rounds 20]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web
from rich.console import Console
from rich.table import Table

from promptship.adapters.clock import SystemClock
from promptship.adapters.telemetry import SpoolWriter
from promptship.lifecycle import steps
from promptship.lifecycle.adopting import adopt
from promptship.lifecycle.app import App
from promptship.lifecycle.opening import open_release
from promptship.routing.observation import Feedback
from promptship.routing.split import takes_candidate
from promptship.settings_file import load_settings
from promptship.wiring import build

SECRETS = {"PROMPTSHIP_TOKEN": "a token", "PROMPTSHIP_SIGNING_KEY": "a key of the bench, long enough"}
SETTINGS = """
[repository]
url = "."
[prefect]
port = 1
[server]
port = {control}
[gateway]
port = {port}
[watcher]
every = "{every}"
[providers.sim]
base_url = "{provider}/v1"
[models.sim-1]
provider = "sim"
context_tokens = 8000
[[approvers]]
name = "mira"
[plans.default.canary]
stages = [{{share = 0.5}}]
lease = "10m"
[[plans.default.canary.guardrails]]
metric = "error_rate"
[[plans.default.canary.guardrails]]
metric = "feedback:escalated"
stop_at = 3
"""
PROMPT = (
    "name: support\nowner: team@example.org\nmodel: sim-1\nmessages:\n  - {{role: system, content: {text}}}\n"
)
SUITE = "cases: [{id: hello, assert: [{type: icontains, value: hello}]}]\n"
CLIENT = """
import json, sys, threading, time
from promptship.client.client import Client
unit = "nobody"
def listen():
    global unit
    for line in sys.stdin:
        unit = line.strip()
threading.Thread(target=listen, daemon=True).start()
with Client(sys.argv[1], cache=None, wait_s=30.0) as client:
    last = None
    while True:
        asked = unit
        found = (asked, client.get("support").choose(asked).version)
        if found != last:
            print(json.dumps([time.time(), *found]), flush=True)
            last = found
        time.sleep(0.001)
"""
OFREP = """
import json, sys, threading, time
import httpx
unit, last = "nobody", None
lock = threading.Lock()
http = httpx.Client(base_url=sys.argv[1], timeout=None, trust_env=False)
def evaluate():
    global last
    with lock:
        asked = unit
        said = http.post("/ofrep/v1/evaluate/flags/support", json={"context": {"targetingKey": asked}}).json()
        found = (asked, said["value"]["version"])
        if found != last:
            print(json.dumps([time.time(), *found]), flush=True)
            last = found
def listen():
    global unit
    for line in sys.stdin:
        unit = line.strip()
        evaluate()
threading.Thread(target=listen, daemon=True).start()
while True:
    with httpx.stream("GET", sys.argv[1] + "/ofrep/v1/events", timeout=None, trust_env=False) as events:
        evaluate()
        for line in events.iter_lines():
            if line.startswith("data:"):
                evaluate()
"""


@dataclass
class Follower:
    """A client process: what it serves to the unit it was told of, as it changes."""

    process: asyncio.subprocess.Process
    heard: list[tuple[float, str, str]] = field(default_factory=list)

    def follow(self, unit: str) -> None:
        """Ask for this unit from now on."""
        assert self.process.stdin is not None  # noqa: S101
        self.process.stdin.write(f"{unit}\n".encode())

    async def listen(self) -> None:
        """Take down what it says."""
        assert self.process.stdout is not None  # noqa: S101
        async for line in self.process.stdout:
            at, unit, version = json.loads(line)
            self.heard.append((at, unit, version))

    def serves(self, unit: str, version: str | None) -> float | None:
        """Since when it has served that, if it does now."""
        last = self.heard[-1] if self.heard else (0.0, "", "")
        return last[0] if last[1:] == (unit, version) else None


@dataclass
class Fleet:
    """Everything that runs."""

    root: Path
    app: App
    gateways: list[httpx.AsyncClient]
    followers: list[Follower]

    async def canary(self, text: str) -> tuple[str, str, str]:
        """Push and bring into the canary, served by everybody; returns release, candidate, and a unit that gets it."""
        await asyncio.to_thread(commit, self.root, text)
        release = open_release(self.app, prompt="support", ref="main", actor="person:mira").release_id
        steps.lint(self.app, release)
        route = self.app.routes.get("support")
        assert route is not None  # noqa: S101
        steps.record_evaluation(
            self.app, release, stable=route.stable, verdict={"suites": []}, passes=True, because=""
        )
        steps.start_canary(self.app, release)
        unit = next(f"u{n}" for n in range(1000) if takes_candidate(release, f"u{n}", 0.5))
        candidate = self.app.release(release).version
        assert candidate is not None  # noqa: S101
        for follower in self.followers:
            follower.follow(unit)
        await self.everywhere(unit, candidate)
        return release, candidate, unit

    async def served(self, gateway: httpx.AsyncClient, unit: str) -> str:
        """By one gateway."""
        body = {"model": "prompt:support", "user": unit, "prompt_variables": {}}
        answer = await gateway.post("/v1/chat/completions", json=body)
        return answer.headers.get("x-promptship-version", f"{answer.status_code}")

    async def since(self, gateway: httpx.AsyncClient, unit: str, version: str | None) -> float:
        """When the first request that got it was answered, asking one after the other."""
        while await self.served(gateway, unit) != version:  # noqa: ASYNC110 - other processes have no event for us
            await asyncio.sleep(0.002)
        return time.time()

    async def everywhere(self, unit: str, version: str | None) -> float:
        """When the last process began to serve a version to a unit."""
        async with asyncio.timeout(60):
            times = list(await asyncio.gather(*(self.since(one, unit, version) for one in self.gateways)))
            for follower in self.followers:
                while (at := follower.serves(unit, version)) is None:  # noqa: ASYNC110 - the same
                    await asyncio.sleep(0.002)
                times.append(at)
        return max(times)

    async def committed(self, revision: int) -> float:
        """When the routing table in the ledger left a revision behind."""
        async with asyncio.timeout(60):
            while await asyncio.to_thread(lambda: self.app.routes.table().revision) == revision:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        return time.time()


def commit(root: Path, text: str) -> None:
    """Put a new text of the prompt on main, in a repository that is made if need be."""
    subprocess.run(["git", "init", "-q", "-b", "main", root], check=True)
    for name, content in (("prompts/support.yaml", PROMPT.format(text=text)), ("suites/support.yaml", SUITE)):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(content)
    who = ("-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", root, "add", "prompts", "suites", "promptship.toml"], check=True)
    subprocess.run(["git", "-C", root, *who, "commit", "-qm", text], check=True)


async def answer(_: web.Request) -> web.Response:
    """What the provider says to everything."""
    said = {"role": "assistant", "content": "Hello."}
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    choice = {"index": 0, "message": said, "finish_reason": "stop"}
    return web.json_response(
        {"id": "a", "object": "chat.completion", "model": "sim-1", "choices": [choice], "usage": usage}
    )


@asynccontextmanager
async def process(*words: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that ends with the bench."""
    with log.open("wb") as told:
        it = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=told,
            env=dict(os.environ) | SECRETS,
        )  # fmt: skip
    try:
        yield it
    finally:
        with suppress(ProcessLookupError):
            it.send_signal(signal.SIGKILL)
        await it.wait()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Poll for at most a minute and a half."""
    async with asyncio.timeout(90):
        while True:
            with suppress(httpx.HTTPError):
                if await condition():
                    return
            await asyncio.sleep(0.05)


def free_port() -> int:
    """One that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@asynccontextmanager
async def fleet(root: Path, every: str) -> AsyncIterator[Fleet]:
    """All processes, the first version adopted and served everywhere."""
    async with AsyncExitStack() as stack:
        provider_app = web.Application()
        provider_app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(provider_app, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        provider = free_port()
        await web.TCPSite(runner, "127.0.0.1", provider).start()
        values: dict[str, Any] = {
            "control": free_port(),
            "every": every,
            "provider": f"http://127.0.0.1:{provider}",
        }
        homes = {root: 0} | {root / name: free_port() for name in ("one", "two", "three")}
        for home, port in homes.items():
            home.mkdir(exist_ok=True)
            text = SETTINGS.format(port=port or free_port(), **values)
            (home / "promptship.toml").write_text(text)
        app = build(load_settings(root / "promptship.toml"))
        stack.callback(app.close)
        await asyncio.to_thread(commit, root, "Say hello.")
        adopt(app, [], ref="main", actor="person:mira")
        for command in ("server", "watcher"):
            words = ("-m", "promptship.cli", command, "--config", str(root / "promptship.toml"))
            await stack.enter_async_context(process(*words, log=root / f"{command}.log"))
        gateways = []
        for home, port in list(homes.items())[1:]:
            words = ("-m", "promptship.cli", "gateway", "--config", str(home / "promptship.toml"))
            await stack.enter_async_context(process(*words, log=root / f"{home.name}.log"))
            limits = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30.0, trust_env=False)
            gateways.append(await stack.enter_async_context(limits))
        made = Fleet(root, app, gateways, [])
        for one in gateways:

            async def ready(one: httpx.AsyncClient = one) -> bool:
                return len(await made.served(one, "somebody")) == 64  # a digest

            await until(ready)
        for number, code in enumerate((CLIENT, OFREP)):
            words = ("-c", code, str(gateways[number].base_url).rstrip("/"))
            log = root / f"client-{number}.log"
            follower = Follower(await stack.enter_async_context(process(*words, log=log)))
            listening = asyncio.create_task(follower.listen())
            stack.callback(listening.cancel)
            made.followers.append(follower)
        beat = app.settings.data / "watcher.alive"

        async def watched() -> bool:
            return beat.exists()

        await until(watched)
        yield made


def bad_news(writer: SpoolWriter, release: str, candidate: str, stable: str) -> float:
    """Forty requests of each arm, three of the candidate's escalated; returns when the last line was on the disk."""
    now_ms = int(time.time() * 1000)
    for number in range(80):
        arm, version = (("stable", stable), ("candidate", candidate))[number % 2]
        writer.write({
            "id": f"{release}-{number}", "at_ms": now_ms, "prompt": "support", "version": version, "arm": arm, "release": release,
            "stage": 0, "unit": f"{number:016x}", "model": "sim-1", "latency_ms": 5.0, "ttft_ms": None, "tokens_in": 5, "tokens_out": 2,
            "cost_usd": None, "status": 200, "error": False, "error_type": "", "refusal": False, "streamed": False, "decision": "in",
        })  # fmt: skip
    for number in (1, 3, 5):
        writer.write(Feedback(
            id=f"f-{release}-{number}", at_ms=now_ms + 1, request=f"{release}-{number}", request_at_ms=now_ms, prompt="support",
            version=candidate, arm="candidate", release=release, stage=0, kind="escalated", value=True, unit=f"{number:016x}",
        ))  # fmt: skip
    writer.maintain()
    return time.time()


async def promptship(root: Path, *words: str) -> None:
    """A command line of its own."""
    arguments = ("-m", "promptship.cli", *words, "--config", str(root / "promptship.toml"))
    run = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.DEVNULL)
    assert await run.wait() == 0, words  # noqa: S101


async def measure(rounds: int, every: str) -> dict[str, list[float]]:
    """Seconds, by what was measured."""
    found: dict[str, list[float]] = {}

    def note(what: str, seconds: float) -> None:
        found.setdefault(what, []).append(seconds)

    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        async with fleet(root, every) as running:
            route = running.app.routes.get("support")
            assert route is not None  # noqa: S101
            stable = str(route.stable)
            with SpoolWriter(running.app.settings.spool, clock=SystemClock(), writer="bench") as writer:
                for number in range(rounds):
                    release, candidate, unit = await running.canary(f"Say hello {number} times.")
                    revision = running.app.routes.table().revision
                    on_disk = bad_news(writer, release, candidate, stable)
                    at, last = await asyncio.gather(
                        running.committed(revision), running.everywhere(unit, stable)
                    )
                    note("watcher: last bad line on disk -> ledger", at - on_disk)
                    note("watcher: ledger -> last process on stable", last - at)
            for number in range(max(3, rounds // 4)):
                for words in (("rollback", "support"),):
                    _, _, unit = await running.canary(f"Say goodbye {number} times after {words[0]}.")
                    revision = running.app.routes.table().revision
                    began = time.time()
                    _, at, last = await asyncio.gather(
                        promptship(root, *words, "--reason", "bench"),
                        running.committed(revision),
                        running.everywhere(unit, stable),
                    )
                    note(f"promptship {words[0]}: command -> ledger", at - began)
                    note(f"promptship {words[0]}: ledger -> last process on stable", last - at)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--every", default="1s", help="`watcher.every`")
    given = parser.parse_args()
    found = asyncio.run(measure(given.rounds, given.every))
    title = f"rollback: control plane, watcher (every {given.every}), 3 gateways, 2 clients; no Prefect"
    table = Table("what", "times", "p50", "p95", "max", title=title)
    for what, seconds in found.items():
        cuts = statistics.quantiles(seconds, n=20, method="inclusive")
        shown = (f"{1000 * value:,.0f} ms" for value in (statistics.median(seconds), cuts[18], max(seconds)))
        table.add_row(what, str(len(seconds)), *shown)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
