"""`promptship up`: everything on one machine, on loopback, and down again with Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from promptship.cli.context import CONFIG, Config
from promptship.cli.context import settings as read_settings
from promptship.cli.prefect_environment import prefect_environment
from promptship.cli.start import SCORER_BEAT, WATCHER_BEAT
from promptship.cli.supervisor import Part, Supervisor
from promptship.errors import ConfigError, Problem

if TYPE_CHECKING:
    from promptship.settings import Settings

START_S_MAX = 120.0
"""Prefect's server takes 9 s on a quiet machine and 30 s on a busy one; the first start also makes its database."""


def up(config: Config = CONFIG) -> None:
    """Start Prefect, control plane, gateway, watcher, scorer and runner on this machine; Ctrl-C stops them."""
    settings = read_settings(config)
    _ports_are_free(settings, config)
    from promptship.wiring import build, secrets

    app = build(settings)  # migrates the ledger once, and reports a wrong setting before anything is started
    _ = secrets(app.settings).token, secrets(app.settings).signing_key
    app.close()
    began = time.time()
    supervisor = Supervisor(
        parts=_parts(settings, config, began),
        logs=settings.data / "logs",
        environment={**os.environ, **prefect_environment(settings, config)},
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop.set())
    failed = False
    try:
        if _start(supervisor):
            _greet(settings)
            supervisor.keep_running()
        failed = not supervisor.stop.is_set()
    finally:
        supervisor.say("stopping")
        supervisor.stop_all()
    if failed:
        raise typer.Exit(3)


def _start(supervisor: Supervisor) -> bool:
    for part in supervisor.parts:
        supervisor.start(part)
    for part in supervisor.parts:
        if not supervisor.wait_ready(part, timeout_s=START_S_MAX):
            if supervisor.stop.is_set():
                return False
            log = supervisor.logs / f"{part.name}.log"
            supervisor.say(f"{part.name} did not start; the end of {log}:\n{_tail(log)}")
            return False
        supervisor.say(f"{part.name} is ready")
    return True


def _greet(settings: Settings) -> None:
    print(f"gateway        {settings.gateway_url}/v1   (model: prompt:<name>)")
    print(f"control plane  {settings.server_url}")
    print(f"Prefect        http://{settings.prefect.host}:{settings.prefect.port}")
    print(f"logs           {settings.data / 'logs'}", flush=True)


def _parts(settings: Settings, config: Path, began: float) -> list[Part]:
    def part(name: str, is_ready: Callable[[], bool]) -> Part:
        return Part(
            name, [sys.executable, "-m", "promptship.cli", name, "--config", str(config.resolve())], is_ready
        )

    beat, scores = settings.data / WATCHER_BEAT, settings.data / SCORER_BEAT
    deployment = f"{settings.prefect_api_url}/deployments/name/release/release"
    return [
        part("prefect", lambda: _answers(f"{settings.prefect_api_url}/health")),
        part("server", lambda: _answers(f"{settings.server_url}/healthz")),
        part("watcher", lambda: beat.exists() and beat.stat().st_mtime >= began),
        part("scorer", lambda: scores.exists() and scores.stat().st_mtime >= began),
        part("gateway", lambda: _answers(f"{settings.gateway_url}/healthz")),
        part("runner", lambda: _answers(deployment)),
    ]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own http addresses
            return bool(answer.status == 200)  # noqa: PLR2004 - OK
    except OSError:
        return False


def _ports_are_free(settings: Settings, config: Path) -> None:
    problems = []
    for section in ("prefect", "server", "gateway"):
        place = getattr(settings, section)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((place.host, place.port))
            except OSError as error:
                got = f"{place.port}, which cannot be used on {place.host} ({error.strerror})"
                advice = "stop what listens there, or choose another port"
                problems.append(Problem(str(config), f"{section}.port", got, "a free port is needed", advice))
    if problems:
        raise ConfigError(problems)


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
