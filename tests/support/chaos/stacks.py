"""What is hurt: `promptship up` on one machine, or a fleet on PostgreSQL and Redis; both with customers, both under a supervisor."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from examples.demo import Demo
from promptship.adapters.prefect_api import PrefectOrchestrator
from promptship.cli.supervisor import Part
from promptship.lifecycle.adopting import adopt
from promptship.lifecycle.app import App
from promptship.settings_file import load_settings
from promptship.wiring import build
from tests.support.chaos.story import LEASE_S, write_house
from tests.support.fleet import ROOT, Fleet, redis_server, wait_for
from tests.support.online_stack import free_ports
from tests.support.postgres import postgres_database, postgres_server

UNWATCHED_S = LEASE_S + 4.0
"""How long the watcher is held still when it is to be missed: the lease, and time enough to see that nobody gets the candidate."""


class House(Demo):
    """The demo's repository and model with prompts of our own, customers who keep a diary, and ways to hurt the processes."""

    app: App
    logs: Path
    runners: tuple[str, ...] = ("runner",)
    parts: tuple[str, ...] = ("prefect", "server", "watcher", "gateway", "runner")

    def settle(self, prompts: list[str]) -> None:
        """A fresh workspace, with these prompts in production."""
        self.prepare()
        write_house(self.clone, self.config, prompts)
        self._commit("the desks as production serves them")

    def open_shop(self, prompts: list[str], *, rate: float, seed: int) -> None:
        """Adopt what is in production; install the hook; let customers in."""
        adopt(self.app, [], ref="main", actor="person:chaos")
        self.ship("hook", "install", str(self.bare))
        words = ["-m", "tests.support.chaos.traffic", "--gateway", self.url("4281"), "--rate", f"{rate:g}"]
        self._spawn("traffic", *words, "--seed", str(seed), "--log", str(self.log), *prompts)

    def _spawn(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        # The customers are a module of this repository, wherever the workspace stands.
        environment = {**os.environ, "PYTHONPATH": str(ROOT)} if name == "traffic" else None
        with (self.place / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *words], cwd=self.place, stdout=log, stderr=log, env=environment
            )
        self.running.append(process)
        return process

    def customers_leave(self) -> None:
        """Stop asking, and wait for the last answers."""
        traffic = self.running.pop()
        traffic.send_signal(signal.SIGTERM)
        traffic.wait(60)

    def url(self, usual: str) -> str:
        """Address of the part whose usual port this is."""
        return f"http://127.0.0.1:{self.ports[usual]}"

    def part_pid(self, part: str) -> int | None:
        """Process id of a part; None while it is not there."""
        try:
            return int((self.logs / f"{part}.pid").read_text())
        except (OSError, ValueError):
            return None

    def flow_runs(self) -> list[int]:
        """Processes that run a flow now: what was started, or forked, below a runner, and has no helper's name."""
        parents = _parents()
        found = []
        for runner in filter(None, map(self.part_pid, self.runners)):
            for child in (pid for pid, parent in parents.items() if parent == runner):
                command = _command(child)
                if "multiprocessing.forkserver" in command:
                    found += [pid for pid, parent in parents.items() if parent == child]
                elif "resource_tracker" not in command:
                    found.append(child)
        return found

    def kinds(self) -> dict[str, Callable[[], float | None]]:
        """Every way to hurt this stack: does it, returns when (Unix time); None: there was nothing to hurt."""
        hurts: dict[str, Callable[[], float | None]] = {
            part: partial(self._kill, part) for part in self.parts
        }
        return {**hurts, "flow run": self._kill_flow_run, "watcher held still": self._hold_watcher}

    def _kill(self, part: str) -> float | None:
        victim = self.part_pid(part)
        if victim is None:
            return None
        at = time.time()
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: self.part_pid(part) not in {None, victim}, f"{part} to be started again", 90)
        return at

    def _kill_flow_run(self) -> float | None:
        for pid in self.flow_runs():
            try:
                at = time.time()
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            return at
        return None

    def _hold_watcher(self) -> float | None:
        victim = self.part_pid("watcher")
        if victim is None:
            return None
        at = time.time()
        os.kill(victim, signal.SIGSTOP)
        try:
            time.sleep(UNWATCHED_S)
        finally:
            os.kill(victim, signal.SIGCONT)
        return at

    def answers(self, part: str) -> bool:
        """Whether a part that serves HTTP does."""
        path = {
            "prefect": self.url("4200") + "/api",
            "server": self.url("4280"),
            "gateway": self.url("4281"),
        }[part]
        try:
            return httpx.get(path + ("/health" if part == "prefect" else "/healthz"), timeout=3).is_success
        except httpx.HTTPError:
            return False


class UpHouse(House):
    """`promptship up`."""

    @property
    def logs(self) -> Path:  # type: ignore[override]
        """Where process ids stand."""
        return self.place / ".promptship/logs"

    def begin(self) -> None:
        """Model and all six processes."""
        self._spawn("simulator", str(ROOT / "examples/simulator.py"), "--port", str(self.ports["4290"]))
        up = self._spawn("up", "-m", "promptship.cli", "up")
        log = self.place / "up.log"
        wait_for(lambda: up.poll() is not None or "logs " in log.read_text(), "promptship up", 200)
        self.app = build(load_settings(self.config))


@contextmanager
def up_house(place: Path, prompts: list[str]) -> Iterator[UpHouse]:
    """One machine; torn down at the end, whatever happened."""
    house = UpHouse(place / "up")
    house.settle(prompts)
    try:
        house.begin()
        yield house
    finally:
        if hasattr(house, "app"):
            close(house.app)
        house.stop()


class FleetHouse(House, Fleet):
    """A fleet with gateway and control plane, whose databases restart, too."""

    runners = ("worker-one", "worker-two")
    parts = ("prefect", "server", "watcher", "gateway", *runners)
    redis_port = 0

    def _parts(self) -> list[Part]:
        def part(name: str) -> Part:
            return Part(
                name,
                [sys.executable, "-m", "promptship.cli", name, "--config", str(self.config)],
                lambda: True,
            )

        return [*Fleet._parts(self), part("server"), part("gateway")]

    def kinds(self) -> dict[str, Callable[[], float | None]]:
        """As of one machine, and the two servers behind it."""
        return {**super().kinds(), "PostgreSQL": self._restart_postgres, "Redis": self._restart_redis}

    def _restart_postgres(self) -> float | None:
        engine = create_engine(make_url(self.prefect_database).set(drivername="postgresql+psycopg"))
        with engine.connect() as connection:
            data = connection.execute(text("SHOW data_directory")).scalar_one()
        engine.dispose()
        binary = max(Path("/usr/lib/postgresql").glob("*/bin")) / "pg_ctl"
        user = "nobody" if os.geteuid() == 0 else None
        at = time.time()
        words = [
            str(binary),
            "-D",
            data,
            "-m",
            "immediate",
            "-w",
            "-l",
            str(Path(data).parent / "log"),
            "restart",
        ]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd=Path(data).parent, user=user)
        return at

    def _restart_redis(self) -> float | None:
        binary = shutil.which("redis-cli") or "redis-cli"
        asked = [binary, "-p", str(self.redis_port), "info", "server"]
        told = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
        pid = next(int(line.split(":")[1]) for line in told.splitlines() if line.startswith("process_id:"))
        at = time.time()
        os.kill(pid, signal.SIGKILL)
        server = shutil.which("redis-server") or "redis-server"
        words = ["--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        for _ in range(20):  # until the port is free
            process = subprocess.Popen([server, *words], cwd=self.place, stdout=subprocess.DEVNULL)
            try:
                process.wait(1)
            except subprocess.TimeoutExpired:
                self.running.insert(0, process)
                return at
        return None


@contextmanager
def fleet_house(place: Path, prompts: list[str]) -> Iterator[FleetHouse]:
    """A fleet; torn down at the end, whatever happened."""
    (redis,) = free_ports(1)
    with (
        postgres_server() as server,
        postgres_database(server) as ledger,
        postgres_database(server) as prefect,
        redis_server(place, redis),
    ):
        house = FleetHouse(place / "fleet")
        house.prefect_database, house.redis_port = prefect, redis
        house.settle(prompts)
        house.logs = house.place / "logs"
        house.start_fleet(ledger=ledger, prefect=prefect, redis=redis)
        try:
            wait_for(lambda: house.online() == set(Fleet.workers), "both workers to poll")
            wait_for(
                lambda: house.answers("gateway") and house.answers("server"), "gateway and control plane"
            )
            yield house
        finally:
            house.stop_fleet()


def close(app: App) -> None:
    """Give connections back."""
    assert isinstance(app.orchestrator, PrefectOrchestrator)
    app.orchestrator.close()
    app.close()


def _parents() -> dict[int, int]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
