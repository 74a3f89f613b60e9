"""`promptship doctor`: is every part there, does it work, and what is to be done."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptship.cli.context import CONFIG, Config, Json, print_json
from promptship.cli.context import settings as read_settings
from promptship.cli.start import SCORER_BEAT, WATCHER_BEAT

if TYPE_CHECKING:
    from promptship.adapters.doctor.found import Check, Found
    from promptship.settings import Settings

AUTOMATIONS = ("promptship: a silent run has crashed", "promptship: what ended early is mended")
"""Names that `promptship fleet setup` gives them; a test compares. Importing Prefect would take two seconds."""


def doctor(
    call: Annotated[
        bool,
        typer.Option(
            "--call", help="Also ask one model of every provider for one word; costs next to nothing."
        ),
    ] = False,
    as_json: Json = False,
    config: Config = CONFIG,
) -> None:
    """Check every part of the installation and say what to do. Changes nothing, prints no secrets.

    \b
    Exit status: 0 nothing has failed (warnings are no failures) · 1 something is wrong · 3 something does not answer.
    """
    from promptship.adapters.doctor.found import exit_status

    found = examine(config, call=call)
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        print("\n".join(table(found)))
    raise typer.Exit(exit_status(found))


def examine(config: Path, *, call: bool) -> list[Found]:
    """Every check, side by side; in the order of the table."""
    from promptship.adapters.doctor.found import examined, ok
    from promptship.render.redact import keep_secret, named_secrets

    read: list[Settings] = []

    def settings_file() -> Iterable[Found]:
        read.append(read_settings(config))
        yield ok("settings", str(config.resolve()))

    found = examined("settings", settings_file)
    if not read:
        return found  # nothing else is known without them
    keep_secret(*named_secrets(read[0], os.environ))
    with ThreadPoolExecutor(max_workers=8) as pool:
        for lines in pool.map(lambda one: examined(*one), _checks(read[0], call=call)):
            found += lines
    return found


def table(found: Iterable[Found]) -> list[str]:
    """`part  state  what`, and below what is not ok: what to do."""
    found = list(found)
    from promptship.render.table import aligned

    lines = aligned([(one.part, one.state.value, " ".join(one.said.split())) for one in found])
    told = []
    for one, line in zip(found, lines, strict=True):
        told.append(line)
        if one.advice and one.state.value != "ok":
            told.append(f"    -> {one.advice}")
    return told


def _checks(settings: Settings, *, call: bool) -> list[tuple[str, Check]]:
    from promptship.adapters.doctor import local, outside, services
    from promptship.adapters.otel import headers_of

    env = os.environ
    headers = (
        headers_of(settings.otel.headers_env, env.get(settings.otel.headers_env, ""))
        if settings.otel.endpoint
        else {}
    )
    beat_s = max(3 * settings.watcher.every, 15.0)
    return [
        ("data directory", partial(local.data_directory, settings)),
        ("repository", partial(local.repository, settings)),
        ("ledger", partial(_ledger, settings)),
        ("watcher here", partial(local.heartbeat, settings.data, WATCHER_BEAT, silent_s=beat_s)),
        ("scorer here", partial(local.heartbeat, settings.data, SCORER_BEAT, silent_s=30.0)),
        ("scorer", partial(local.scorer, settings)),
        ("control plane", partial(services.control_plane, settings)),
        ("Prefect", partial(services.prefect, settings, AUTOMATIONS)),
        ("OpenTelemetry", partial(services.collector, settings, headers)),
        ("approvers", partial(outside.people, settings, env)),
        ("providers", partial(outside.providers, settings, env, call=call)),
        ("hosts", partial(outside.hosts, settings, env)),
    ]


def _ledger(settings: Settings) -> Iterable[Found]:
    """The ledger, and what can only be judged with it: spool and gateway."""
    from promptship.adapters.doctor import ledger, local, services
    from promptship.adapters.doctor.found import examined

    found, facts = ledger.examine(settings)
    yield from found
    revision, taken_in = (facts.revision, facts.read) if facts else (None, None)
    if taken_in is not None:
        yield from examined("spool", partial(local.spool, settings, taken_in))
    yield from examined("gateway", partial(services.gateway, settings, revision))
