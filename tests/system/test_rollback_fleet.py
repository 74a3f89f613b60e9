"""`promptship rollback` and `promptship kill` against a fleet: a control plane, two gateways, a client library; no Prefect, no watcher."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from promptship.client.client import Client
from promptship.errors import NotFound
from promptship.lifecycle import steps
from promptship.lifecycle.adopting import adopt
from promptship.lifecycle.app import App
from promptship.lifecycle.kill import name_safe
from promptship.lifecycle.opening import open_release
from promptship.release import events as e
from promptship.release.phase import Phase
from promptship.routing.split import takes_candidate
from promptship.settings_file import load_settings
from promptship.wiring import build
from tests.support.gateway import completion
from tests.support.gateway_process import Gateway, gateway, until
from tests.support.house import PATH, PROMPT, SUITE
from tests.support.loopback import Loopback, raw, says
from tests.support.repositories import GitMaker

pytestmark = pytest.mark.system
SECONDS = 15.0
"""Far beyond the second that is promised: this machine may be busy, and nothing is timed here."""
SETTINGS = """
[repository]
url = "prompts.git"
[prefect]
port = 1
[server]
port = {port}
[providers.sim]
base_url = "http://127.0.0.1:1/v1"
[models.sim-1]
provider = "sim"
context_tokens = 8000
[[approvers]]
name = "mira"
[plans.default.canary]
stages = [{{share = 0.5}}]
lease = "10m"
"""
ANSWERS = says(raw("200 OK", completion(), "content-type: application/json"))


@dataclass
class Fleet:
    root: Path
    app: App
    git: GitMaker
    gateways: list[Gateway]
    client: Client

    async def promptship(self, *words: str) -> str:
        """A command line of its own; nothing but the ledger is there for it."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "promptship.cli", *words, "--config", str(self.root / "promptship.toml"),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=self.environment(),
        )  # fmt: skip
        said, wrong = await process.communicate()
        assert process.returncode == 0, wrong.decode()
        return said.decode()

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PROMPTSHIP_TOKEN": "tok", "GIT_CONFIG_GLOBAL": "/dev/null"}

    def commit(self, text: str, path: str = PATH) -> None:
        files = {path: PROMPT.format(text=text), "suites/support.yaml": SUITE}
        settings = (self.root / "promptship.toml").read_bytes()
        content = {name: body.encode() for name, body in files.items()}
        self.git.commit({**content, "promptship.toml": settings})

    async def canary(self, text: str) -> str:
        """Push and bring into the canary; returns the release's id. What the flow would do."""
        self.commit(text)
        release = open_release(self.app, prompt="support", ref="main", actor="person:mira").release_id
        steps.lint(self.app, release)
        route = self.app.routes.get("support")
        assert route is not None
        steps.record_evaluation(
            self.app, release, stable=route.stable, verdict={"suites": []}, passes=True, because=""
        )
        steps.start_canary(self.app, release)
        assert self.app.release(release).phase is Phase.CANARY, self.app.release(release).reason
        return release

    async def served(self, unit: str) -> set[str]:
        """Versions that this unit gets from everybody."""
        heard = [await one.ask(user=unit, prompt_variables={}) for one in self.gateways]
        assert {one.status_code for one in heard} == {200}
        versions = {one.headers["x-promptship-version"] for one in heard}
        return versions | {self.client.get("support").choose(unit).version}

    async def everybody_knows(self) -> None:
        """Until the prompt that was just adopted has reached every gateway and, through one of them, the client."""

        async def so() -> bool:
            heard = [await one.ask(user="somebody", prompt_variables={}) for one in self.gateways]
            with suppress(NotFound):
                self.client.get("support").choose("somebody")
                return all(one.status_code == HTTPStatus.OK for one in heard)
            return False

        await until(so, SECONDS)

    async def everybody_gets(self, version: str | None, unit: str) -> None:
        async def so() -> bool:
            return await self.served(unit) == {version}

        await until(so, SECONDS)
        for _ in range(20):  # and nobody goes back
            assert await self.served(unit) == {version}


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "promptship.toml").write_text(SETTINGS.format(port=port))
    git = GitMaker(tmp_path / "prompts.git", bare=True)
    app = build(load_settings(tmp_path / "promptship.toml"))
    async with AsyncExitStack() as stack:
        stack.callback(app.close)
        provider = await stack.enter_async_context(Loopback(ANSWERS))
        fleet = Fleet(tmp_path, app, git, [], Client("http://127.0.0.1:1", cache=None))
        await stack.enter_async_context(plane(fleet, port))
        for name in ("one", "two"):
            root = tmp_path / name
            root.mkdir()
            control = f"http://127.0.0.1:{port}"
            fleet.gateways.append(await stack.enter_async_context(gateway(root, control, provider.url)))
        fleet.client = stack.enter_context(Client(fleet.gateways[0].address, cache=None, wait_s=SECONDS))
        fleet.commit("Say hello.")
        adopt(app, [], ref="main", actor="person:mira")
        await fleet.everybody_knows()
        yield fleet


@asynccontextmanager
async def plane(fleet: Fleet, port: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "promptship.cli", "server", "--config", str(fleet.root / "promptship.toml"),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, env=fleet.environment(),
    )  # fmt: skip

    async def answers() -> bool:
        with suppress(httpx.HTTPError):
            async with httpx.AsyncClient(trust_env=False) as http:
                return (await http.get(f"http://127.0.0.1:{port}/healthz")).is_success
        return False

    try:
        await until(answers, 60.0)
        yield
    finally:
        process.kill()
        await process.wait()


def someone(release: str, *, inside: bool) -> str:
    units = (f"user-{number}" for number in range(1000))
    return next(unit for unit in units if takes_candidate(release, unit, 0.5) == inside)


def stable_of(fleet: Fleet) -> str | None:
    route = fleet.app.routes.get("support")
    return route.stable if route else None


async def test_a_rollback_reaches_every_gateway_and_client_from_a_canary_and_after_promotion(
    fleet: Fleet,
) -> None:
    first = stable_of(fleet)
    release = await fleet.canary("Say hello twice.")
    unit = someone(release, inside=True)
    candidate = fleet.app.release(release).version
    await fleet.everybody_gets(candidate, unit)
    assert release in await fleet.promptship("rollback", "support", "--reason", "wrong refunds")
    await fleet.everybody_gets(first, unit)

    second = await fleet.canary("Say hello three times.")
    ended = fleet.app.release(second)
    fleet.app.ledger.append(
        second,
        [e.Approved(approvers=("mira",))],
        expected_seq=ended.seq,
        actor="test",
        at=fleet.app.clock.now(),
    )
    steps.promote(fleet.app, second)
    await fleet.everybody_gets(ended.version, someone(second, inside=False))
    assert second in await fleet.promptship(
        "rollback", "support", "--to", (first or "")[:12], "--reason", "fire"
    )
    await fleet.everybody_gets(first, unit)
    assert fleet.app.ledger.verify().problems == ()


async def test_the_kill_switch_reaches_every_gateway_and_client_and_back(fleet: Fleet) -> None:
    first = stable_of(fleet)
    safe = "prompts/support-safe.yaml"
    fleet.git.commit(
        {
            safe: PROMPT.format(text="A person will answer.")
            .replace("name: support", "name: support-safe")
            .encode()
        }
    )
    named = name_safe(fleet.app, "support", safe, ref="main", actor="person:mira")
    release = await fleet.canary("Say hello twice.")
    unit = someone(release, inside=True)
    await fleet.everybody_gets(fleet.app.release(release).version, unit)
    assert "kill switch is on" in await fleet.promptship("kill", "support", "--reason", "it insults people")
    await fleet.everybody_gets(named, unit)
    assert fleet.app.release(release).phase is Phase.ROLLED_BACK
    assert "kill switch on: it insults people" in await fleet.promptship("history", "support")
    await fleet.promptship("kill", "support", "--undo", "--reason", "mended")
    await fleet.everybody_gets(first, unit)
