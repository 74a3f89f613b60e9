"""A fleet started by hand: Prefect's server on PostgreSQL and Redis, workers, the watcher, the ledger on PostgreSQL too."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from examples.demo import Demo
from promptship.adapters.prefect_api import PrefectOrchestrator
from promptship.cli.supervisor import Part, Supervisor
from promptship.lifecycle.app import App
from promptship.settings_file import load_settings
from promptship.wiring import build
from tests.support.postgres import postgres_database, postgres_server

ROOT = Path(__file__).resolve().parents[2]


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 150) -> Any:
    """The condition's value as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.2)
    return value


class Fleet(Demo):
    """The demo's repository and model, and processes under a supervisor, as systemd would run them."""

    workers = ("one", "two")
    prefect_database = ""
    """URL of Prefect's own database."""

    def start_fleet(self, *, ledger: str, prefect: str, redis: int) -> None:
        """Everything but a gateway; the caller stops it with `stop_fleet`."""
        self._settle(ledger)
        self._spawn("simulator", str(ROOT / "examples/simulator.py"), "--port", str(self.ports["4290"]))
        self.supervisor = Supervisor(
            parts=self._parts(),
            logs=self.place / "logs",
            environment=self._environment(prefect, redis),
            say=lambda _: None,
        )
        for part in self.supervisor.parts:
            self.supervisor.start(part)
        self.keeping = threading.Thread(target=self.supervisor.keep_running, daemon=True)
        self.keeping.start()
        self.app: App = build(load_settings(self.config))
        self.prefect = httpx.Client(base_url=self.app.settings.prefect_api_url, trust_env=False, timeout=30)

    def stop_fleet(self) -> None:
        """Stop everything and give connections back."""
        self.supervisor.stop_all()
        self.keeping.join()
        assert isinstance(self.app.orchestrator, PrefectOrchestrator)
        self.app.orchestrator.close()
        self.app.close()
        self.prefect.close()
        self.stop()

    def _settle(self, ledger: str) -> None:
        text = self.config.read_text(encoding="utf-8")
        self.config.write_text(f'{text}\n[ledger]\nurl = "{ledger}"\n', encoding="utf-8")

    def _environment(self, prefect: str, redis: int) -> dict[str, str]:
        """As in deploy/systemd/fleet.env.example, with this machine's addresses."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith("PREFECT_")}
        return {
            **kept,
            "PREFECT_API_DATABASE_CONNECTION_URL": prefect.replace("postgresql://", "postgresql+asyncpg://"),
            "PREFECT_MESSAGING_BROKER": "prefect_redis.messaging",
            "PREFECT_MESSAGING_CACHE": "prefect_redis.messaging",
            "PREFECT_REDIS_MESSAGING_HOST": "127.0.0.1",
            "PREFECT_REDIS_MESSAGING_PORT": str(redis),
            "PREFECT_REDIS_MESSAGING_DB": "0",
            "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
            "PREFECT_SERVER_DOCKET_URL": f"redis://127.0.0.1:{redis}/1",
        }

    def _parts(self) -> list[Part]:
        def part(name: str, *words: str) -> Part:
            command = [sys.executable, "-m", "promptship.cli", *words, "--config", str(self.config)]
            return Part(name, command, lambda: True)

        workers = [
            part(f"worker-{name}", "fleet", "worker", "--limit", "2", "--name", name) for name in self.workers
        ]
        return [part("prefect", "prefect"), part("watcher", "watcher"), *workers]

    def lose_prefect_database(self) -> None:
        """Drop Prefect's database and make an empty one; kill -9 its server, which starts again."""
        url = make_url(self.prefect_database)
        server = url.set(drivername="postgresql+psycopg", database="postgres")
        engine = create_engine(server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {url.database} WITH (FORCE)"))
            self.kill("prefect")
            connection.execute(text(f"CREATE DATABASE {url.database}"))
        engine.dispose()

    # -- looking ---------------------------------------------------------------------------------------------------------

    def pid(self, part: str) -> int:
        """Process id of a part."""
        return int((self.place / "logs" / f"{part}.pid").read_text())

    def kill(self, part: str) -> None:
        """kill -9; the supervisor starts it again."""
        os.kill(self.pid(part), signal.SIGKILL)

    def online(self) -> set[str]:
        """Names of the workers that poll."""
        try:
            answer = self.prefect.post("/work_pools/releases/workers/filter", json={})
        except httpx.HTTPError:
            return set()
        if not answer.is_success:
            return set()
        return {worker["name"] for worker in answer.json() if worker["status"] == "ONLINE"}

    def runs(self, release_id: str, *types: str) -> list[dict[str, Any]]:
        """The release's runs in Prefect, in any state or in these."""
        wanted: dict[str, Any] = {"name": {"any_": [release_id]}}
        if types:
            wanted["state"] = {"type": {"any_": list(types)}}
        found: list[dict[str, Any]] = self.prefect.post(
            "/flow_runs/filter", json={"flow_runs": wanted}
        ).json()
        return found

    def flow_processes(self) -> list[int]:
        """Processes that run a flow of this fleet now: everything below the workers."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                except OSError:
                    continue
                children.setdefault(parent, []).append(int(entry.name))
        return [child for name in self.workers for child in children.get(self.pid(f"worker-{name}"), [])]

    def cancel_as_the_page_does(self, run_id: str) -> None:
        """What the Cancel button of Prefect's page sends."""
        state = {"state": {"type": "CANCELLING"}}
        self.prefect.post(f"/flow_runs/{run_id}/set_state", json=state).raise_for_status()

    def in_phase(self, release_id: str, *phases: str) -> bool:
        """Whether the release stands there."""
        return self.app.release(release_id).phase in phases


@contextmanager
def redis_server(place: Path, port: int) -> Iterator[int]:
    """A Redis of our own; skips the test when there is none."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no Redis here: install Debian's redis-server")
    words = [
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(place),
    ]
    process = subprocess.Popen([binary, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def fleet(place: Path, redis: int) -> Iterator[Fleet]:
    """A fleet in this directory."""
    with (
        postgres_server() as server,
        postgres_database(server) as ledger,
        postgres_database(server) as prefect,
        redis_server(place, redis),
    ):
        stack = Fleet(place / "fleet")
        stack.prefect_database = prefect
        stack.prepare()
        stack.start_fleet(ledger=ledger, prefect=prefect, redis=redis)
        try:
            yield stack
        finally:
            stack.stop_fleet()
