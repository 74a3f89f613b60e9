"""The composition root: settings -> adapters behind ports. The only place that knows which technology is behind what."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

from promptship.adapters.announcing import PrefectEvents, ReleaseTraces, Webhook
from promptship.adapters.clock import SystemClock
from promptship.adapters.database import connect, migrate
from promptship.adapters.git import GitRepository
from promptship.adapters.git_propose import GitProposals
from promptship.adapters.hosts import hosts_for, remote_for
from promptship.adapters.ledger.sql_journal import SqlJournal
from promptship.adapters.ledger.sql_ledger import SqlLedger
from promptship.adapters.ledger.sql_outbox import SqlOutbox
from promptship.adapters.ledger.sql_routes import SqlRoutes
from promptship.adapters.otel import headers_of
from promptship.adapters.prefect_api import PrefectOrchestrator
from promptship.adapters.providers import HttpModels
from promptship.adapters.providers.catalogue import HttpCatalogue
from promptship.adapters.secrets import Secrets, private_directory
from promptship.adapters.slack import approvals_for, client_for, thread_for
from promptship.adapters.telemetry import History, Lake, SpoolMeasurements
from promptship.errors import ConfigError, Problem
from promptship.lifecycle.announcing import Sink
from promptship.lifecycle.app import App
from promptship.render.redact import keep_secret, named_secrets
from promptship.settings import Settings
from promptship.settings_file import load_settings

RELEASES_SERVICE = "promptship"
"""`service.name` of the traces of releases."""
CONFIG_VARIABLE = "PROMPTSHIP_CONFIG"
"""Environment variable that names promptship.toml for processes that are started without arguments, such as flow runs."""


def build(settings: Settings) -> App:
    """Connect everything a process of the control side needs; migrates the ledger first.

    Raises:
        ConfigError: something named in the settings is not there.
        Unavailable: the ledger's database does not answer.
    """
    keep_secret(*named_secrets(settings, os.environ))
    clock = SystemClock()
    private_directory(settings.data)
    engine = connect(settings.ledger_url)
    migrate(engine)
    measurements = SpoolMeasurements(
        engine, settings.spool, clock, bucket_s=settings.telemetry.bucket, history=settings.history, docs=settings.data / "telemetry-docs",
        keep_history_s=settings.telemetry.keep_history, keep_spool_s=settings.telemetry.keep_spool,
    )  # fmt: skip

    def close() -> None:
        measurements.close()
        engine.dispose()

    return App(
        settings=settings,
        ledger=SqlLedger(engine),
        journal=SqlJournal(engine),
        outbox=SqlOutbox(engine),
        routes=SqlRoutes(engine, clock),
        measurements=measurements,
        models=HttpModels(settings.providers, settings.models, os.environ),
        approvals=approvals_for(settings, os.environ),
        repository=GitRepository(settings.clone, remote=remote_for(settings, os.environ)),
        orchestrator=PrefectOrchestrator(settings.prefect_api_url),
        clock=clock,
        catalogue=HttpCatalogue(settings.providers, os.environ),
        proposals=_proposals(settings),
        hosts=hosts_for(settings, os.environ),
        close=close,
    )


def sinks(app: App) -> list[Sink]:
    """Everybody outside who is told of what happens to releases.

    Raises:
        ConfigError: a webhook's key is not in the environment, or the variable with a collector's headers does not hold headers.
    """
    settings, env = app.settings, os.environ
    here = settings.server_url
    found: list[Sink] = thread_for(app, client_for(settings, env))
    if settings.prefect.events:
        found.append(PrefectEvents(settings.prefect_api_url, server_url=here))
    if settings.otel.endpoint:
        found.append(
            ReleaseTraces(
                settings.otel.endpoint,
                headers=headers_of(settings.otel.headers_env, env.get(settings.otel.headers_env, "")),
                service=RELEASES_SERVICE,
                history=lambda release_id: app.ledger.events(release_id, looks=False),
                timeout_s=settings.otel.timeout,
            )
        )
    missing = [one for one in settings.webhooks if one.secret_env and not env.get(one.secret_env)]
    if missing:
        advice = "put the key there, or leave secret_env out to send unsigned"
        raise ConfigError(
            [
                Problem("environment", one.secret_env, "not set", f"webhook {one.name} is signed", advice)
                for one in missing
            ]
        )
    found += [Webhook(one, secret=env.get(one.secret_env, ""), server_url=here) for one in settings.webhooks]
    return found


def _proposals(settings: Settings) -> GitProposals | None:
    """None: the repository is a mirror, and nothing may be pushed to what it mirrors."""
    mirrored = remote_for(settings, os.environ)
    if mirrored is not None and not settings.retest.remote:
        return None
    return GitProposals(settings.clone, remote=mirrored or settings.retest.remote)


@contextmanager
def history(settings: Settings) -> Iterator[History]:
    """SQL over the telemetry. Raises as `build`."""
    engine = connect(settings.ledger_url)
    try:
        migrate(engine)
        yield History(engine, settings.spool, Lake(settings.history))
    finally:
        engine.dispose()


_in_use: ContextVar[App | None] = ContextVar("_in_use", default=None)


def app() -> App:
    """The app of this process, from the file that `PROMPTSHIP_CONFIG` names (or ./promptship.toml), unless `use` gave another."""
    return _in_use.get() or _of_this_process()


@lru_cache(maxsize=1)
def _of_this_process() -> App:
    return build(load_settings(config_path()))


@contextmanager
def use(other: App) -> Iterator[App]:
    """Inside the block, `app()` is `other`; for those who run flows in their own process with ports of their own."""
    token = _in_use.set(other)
    try:
        yield other
    finally:
        _in_use.reset(token)


def config_path() -> Path:
    """Where promptship.toml is expected."""
    return Path(os.environ.get(CONFIG_VARIABLE, "promptship.toml"))


def secrets(settings: Settings) -> Secrets:
    """The API token and the signing key of this installation: from the environment, or made once in the data directory."""
    return Secrets(settings.data, os.environ)
