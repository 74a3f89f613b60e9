"""`promptship server | gateway | watcher | scorer | runner | prefect`: each part of `promptship up`, alone."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptship.cli.context import CONFIG, Config, Json
from promptship.cli.context import app as connect
from promptship.cli.context import settings as read_settings
from promptship.errors import Unavailable

if TYPE_CHECKING:
    from promptship.settings import Settings

PREFECT_S_MAX = 180.0
"""How long the runner waits for Prefect's server."""
STOP_TELLING_S_MAX = 5.0
"""How long the watcher waits, when it is stopped, for what it is telling somebody."""
WATCHER_BEAT = "watcher.alive"
"""File in the data directory that the watcher touches after every turn."""
SCORER_BEAT = "scorer.alive"
"""The same of the scorer."""
QUIET_S = {
    "LATE_RUNS": "30",
    "PAUSE_EXPIRATIONS": "60",
    "CLEANUP_RECONCILER": "60",
    "CANCELLATION_CLEANUP": "60",
    "REPOSSESSOR": "60",
    "FOREMAN": "60",
    "SCHEDULER_RECENT_DEPLOYMENTS": "30",
}
"""Seconds between rounds of services of Prefect's server that mend what we mend ourselves, or only label runs: by default they
take most of what an idle installation uses. Runs begin and are cancelled as fast as before."""


def server(config: Config = CONFIG) -> None:
    """Start the control plane: hooks, approvals, routes for gateways, web page."""
    from promptship.server import serve
    from promptship.wiring import secrets

    _log_to_stderr()
    app = connect(config)
    kept = secrets(app.settings)
    asyncio.run(serve(app, token=kept.token, secret=kept.signing_key))


def gateway(config: Config = CONFIG) -> None:
    """Start the gateway: the OpenAI-compatible endpoint that applications call."""
    from promptship.adapters.secrets import Secrets
    from promptship.gateway.serve import run

    _log_to_stderr()
    settings = read_settings(config)
    kept = Secrets(settings.data, os.environ)
    run(settings, token=kept.gateway_token, secret=kept.signing_key)


def watcher(config: Config = CONFIG) -> None:
    """Start the watcher: telemetry, looks at canaries, automatic rollback; and tell webhooks, Prefect and traces of releases."""
    from promptship.lifecycle.announcing import start_following
    from promptship.watcher import watch
    from promptship.wiring import sinks

    _log_to_stderr()
    app = connect(config)
    told = sinks(app)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    telling = start_following(app, told, stop)
    watch(app, stop=stop, on_turn=(app.settings.data / WATCHER_BEAT).touch)
    for thread in telling:
        thread.join(STOP_TELLING_S_MAX)


def scorer(
    config: Config = CONFIG,
    status: Annotated[
        bool, typer.Option("--status", help="Only say how scoring goes on this machine.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Start the scorer: judges sampled answers by the online checks of the plans.

    \b
    Exit status of --status: 0 it is at work · 3 it is silent, or never ran.
    """
    if status:
        from promptship.cli.scoring import show

        show(read_settings(config).data, as_json=as_json)
        return
    from promptship.evals.online.serve import run

    _log_to_stderr()
    app = connect(config)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run(app, stop=stop, on_turn=(app.settings.data / SCORER_BEAT).touch)


def runner(config: Config = CONFIG) -> None:
    """Start the runner: registers the flows with Prefect and runs them."""
    settings = read_settings(config)
    os.environ.update(prefect_environment(settings, config))
    from promptship.flows.runner import run

    wait_for_prefect(settings.prefect_api_url)
    run(settings.prefect_api_url)


def prefect(config: Config = CONFIG) -> None:
    """Start Prefect's server on SQLite in the data directory (laptop; a fleet brings its own)."""
    settings = read_settings(config)
    os.environ.update(prefect_environment(settings, config))
    address = ["--host", settings.prefect.host, "--port", str(settings.prefect.port)]
    os.execv(sys.executable, [sys.executable, "-m", "prefect", "server", "start", *address])  # noqa: S606 - our own words


def prefect_environment(settings: Settings, config: Path) -> dict[str, str]:
    """Environment of everything that imports Prefect. What the user has set already wins."""
    wanted = {
        "PROMPTSHIP_CONFIG": str(config.resolve()),
        "PREFECT_API_URL": settings.prefect_api_url,
        "PREFECT_HOME": str(settings.data / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_CLI_PROMPT": "false",
        **{f"PREFECT_SERVER_SERVICES_{name}_LOOP_SECONDS": seconds for name, seconds in QUIET_S.items()},
    }
    return {name: os.environ.get(name, value) for name, value in wanted.items()}


def fleet_environment(settings: Settings, config: Path) -> dict[str, str]:
    """The same for workers: their runs give signs of life as often as the automations of `promptship fleet setup` expect."""
    wanted = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30", "PREFECT_WORKER_QUERY_SECONDS": "2"}
    return {
        **prefect_environment(settings, config),
        **{name: os.environ.get(name, text) for name, text in wanted.items()},
    }


def wait_for_prefect(api_url: str) -> None:
    """Wait for Prefect's server, which starts beside us and takes longer. Raises Unavailable when it does not come."""
    deadline = time.monotonic() + PREFECT_S_MAX
    while True:
        try:
            with urllib.request.urlopen(f"{api_url}/health", timeout=2):  # noqa: S310 - an http address from the settings
                return
        except OSError as error:
            if time.monotonic() > deadline:
                message = f"Prefect does not answer at {api_url}: {error}"
                raise Unavailable(message) from None
        time.sleep(0.2)


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("promptship").setLevel(logging.INFO)
