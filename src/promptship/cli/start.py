"""`promptship server | gateway | watcher | scorer | runner | prefect`: each part of `promptship up`, alone."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from typing import Annotated

import typer

from promptship.cli.context import CONFIG, Config, Json
from promptship.cli.context import app as connect
from promptship.cli.context import settings as read_settings
from promptship.cli.prefect_environment import prefect_environment, wait_for_prefect

STOP_TELLING_S_MAX = 5.0
"""How long the watcher waits, when it is stopped, for what it is telling somebody."""
WATCHER_BEAT = "watcher.alive"
"""File in the data directory that the watcher touches after every turn."""
SCORER_BEAT = "scorer.alive"
"""The same of the scorer."""


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
    listens = logging.getLogger("promptship.gateway").info
    run(
        settings, token=kept.gateway_token, secret=kept.signing_key,
        ready=lambda address: listens("listens at %s/v1 (model: prompt:<name>)", address),
    )  # fmt: skip


def watcher(config: Config = CONFIG) -> None:
    """Start the watcher: telemetry, looks at canaries, automatic rollback; and tell webhooks, Prefect and traces of releases."""
    from promptship.lifecycle.announcing import start_following
    from promptship.lifecycle.pushes import start_looking
    from promptship.watcher import watch
    from promptship.wiring import sinks

    _log_to_stderr()
    app = connect(config)
    told = sinks(app)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    telling = start_following(app, told, stop)
    start_looking(app, stop)
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


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("promptship").setLevel(logging.INFO)
