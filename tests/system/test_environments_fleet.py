"""Two environments from one repository: a push to `staging`, its promotion there, the release that this opens in production.

Git, hook, command line, control plane and two gateways are real and processes of their own; only Prefect is left out, whose steps the
test takes.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson
import pytest

from promptship.lifecycle.app import App
from promptship.release.phase import OPEN
from promptship.settings_file import load_settings
from promptship.wiring import build
from tests.support.environments import run_flow
from tests.support.gateway import completion
from tests.support.gateway_process import Gateway, gateway, until
from tests.support.house import PATH, PROMPT, SUITE
from tests.support.loopback import Loopback, raw, says
from tests.support.repositories import ENVIRONMENT, GitMaker, git

pytestmark = pytest.mark.system
SECONDS = 30.0
"""Far beyond what it takes: nothing is timed here."""
SETTINGS = """
[repository]
url = "prompts.git"
[environments.staging]
branch = "staging"
plan = "quick"
[environments.production]
after = "staging"
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
[plans.quick.experiment]
allowed = false
[plans.default.canary]
stages = [{{share = 0.5}}]
lease = "10m"
"""
ANSWERS = says(raw("200 OK", completion(), "content-type: application/json"))


@dataclass
class Fleet:
    root: Path
    app: App
    url: str
    source: GitMaker
    staging: Gateway
    production: Gateway

    def commit(self, text: str, branch: str) -> None:
        files = {PATH: PROMPT.format(text=text), "suites/support.yaml": SUITE}
        content = {name: body.encode() for name, body in files.items()}
        settings = (self.root / "promptship.toml").read_bytes()
        self.source.commit({**content, "promptship.toml": settings}, branch=branch)

    def push(self, *refs: str) -> str:
        """What the hook says to whoever pushes."""
        command = ["git", "-C", str(self.source.path), "push", str(self.root / "prompts.git"), *refs]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
        return done.stderr

    async def promptship(self, *words: str, status: int = 0) -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "promptship.cli", *words, "--config", str(self.root / "promptship.toml"),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment(),
        )  # fmt: skip
        said, wrong = await process.communicate()
        assert process.returncode == status, wrong.decode()
        return said.decode() or wrong.decode()

    def open_in(self, route: str) -> list[str]:
        return [one.id for one in self.app.ledger.summaries(prompt=route, phases=OPEN)]

    def stable(self, route: str) -> str | None:
        found = self.app.routes.get(route)
        return found.stable if found else None


def environment() -> dict[str, str]:
    return {**os.environ, **ENVIRONMENT, "PROMPTSHIP_TOKEN": "tok"}


async def serves(one: Gateway, version: str | None) -> None:
    """Until this gateway answers with that version."""

    async def so() -> bool:
        answer = await one.ask(user="somebody", prompt_variables={})
        return answer.is_success and answer.headers["x-promptship-version"] == version

    await until(so, SECONDS)


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = tmp_path / "promptship.toml"
    config.write_text(SETTINGS.format(port=port))
    GitMaker(tmp_path / "prompts.git", bare=True)
    source = GitMaker(tmp_path / "source", bare=False)
    app = build(load_settings(config))
    async with AsyncExitStack() as stack:
        stack.callback(app.close)
        provider = await stack.enter_async_context(Loopback(ANSWERS))
        await stack.enter_async_context(plane(config, port))
        url, found = f"http://127.0.0.1:{port}", []
        for name in ("staging", "production"):
            (tmp_path / name).mkdir()
            found.append(
                await stack.enter_async_context(gateway(tmp_path / name, url, provider.url, environment=name))
            )
        fleet = Fleet(tmp_path, app, url, source, *found)
        await fleet.promptship("hook", "install", str(tmp_path / "prompts.git"))
        yield fleet


@asynccontextmanager
async def plane(config: Path, port: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "promptship.cli", "server", "--config", str(config),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, env=environment(),
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


async def test_a_push_to_staging_is_promoted_there_and_goes_on_to_production(fleet: Fleet) -> None:
    fleet.commit("Say hello.", "main")
    assert "refs/heads/main is not released, only pushes to staging are" in fleet.push("main")
    for place in ("staging", "production"):
        await fleet.promptship("adopt", "--ref", "main", "--environment", place)
    first = fleet.stable("support")
    assert fleet.stable("staging/support") == first
    await serves(fleet.staging, first)
    await serves(fleet.production, first)

    git(fleet.source.path, "branch", "staging", "main")
    fleet.commit("Say hello kindly.", "staging")
    said = fleet.push("staging")
    (release,) = fleet.open_in("staging/support")
    assert f"opened release {release}" in said
    assert fleet.open_in("support") == []
    run_flow(fleet.app, release)
    await fleet.promptship("approve", release, "--as", "mira")
    run_flow(fleet.app, release)

    second = fleet.app.release(release).version
    assert fleet.stable("staging/support") == second != first
    (onward,) = fleet.open_in("support")
    assert onward != release
    await serves(fleet.staging, second)
    await serves(fleet.production, first)
    assert await routes(fleet, "staging") == {"support": second}
    assert await routes(fleet, "production") == {"support": first}
    assert await routes(fleet, "") == {"support": first}
    run_flow(fleet.app, onward)
    status = orjson.loads(await fleet.promptship("status", "--json"))
    assert [(one["environment"], one["serves"], one["candidate"]) for one in status] == [
        ("staging", second, None),
        ("production", first, second),
    ]
    async with http(fleet) as client:
        wrong = await client.get("/api/routes", params={"environment": "stagin"})
    assert wrong.is_client_error
    assert "environments here: staging, production" in wrong.text
    assert onward in await fleet.promptship("release", "list", "support", "--open")
    await fleet.promptship("rollback", "support", "--reason", "it is enough")
    await serves(fleet.production, first)
    await serves(fleet.staging, second)


def http(fleet: Fleet) -> httpx.AsyncClient:
    headers = {"Authorization": "Bearer tok"}
    return httpx.AsyncClient(base_url=fleet.url, headers=headers, trust_env=False)


async def routes(fleet: Fleet, environment: str) -> dict[str, str]:
    """What a gateway of the environment is told, by prompt."""
    async with http(fleet) as client:
        answer = await client.get("/api/routes", params={"environment": environment})
    table = answer.raise_for_status().json()
    assert set(table["versions"]) == {route["stable"] for route in table["routes"].values()}
    return {name: route["stable"] for name, route in table["routes"].items()}
