"""`promptship client export`: the file an application carries for the day when it can ask nobody."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from promptship.cli.context import CONFIG, Config, Environment
from promptship.cli.context import app as connect
from promptship.errors import ConfigError, Problem

app = typer.Typer(help="For applications that render prompts by themselves.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """For applications that render prompts by themselves."""


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to write the bundle.")],
    prompt: Annotated[list[str] | None, typer.Option(help="Only this prompt; again for more.")] = None,
    environment: Environment = "",
    gateway: Annotated[
        str,
        typer.Option(help="Ask this gateway, with the key in PROMPTSHIP_APPLICATION_KEY, not the ledger."),
    ] = "",
    config: Config = CONFIG,
) -> None:
    """Write the stable versions into a file for `promptship.client.Client(bundle=...)`."""
    from promptship.client.bundle import make_bundle
    from promptship.client.feed import fetch_table
    from promptship.lifecycle.environments import environment_of
    from promptship.routing.environments import of_environment

    if gateway and environment:
        raise typer.BadParameter("a gateway has the routes of its own environment; leave --environment out")
    if gateway:
        table = fetch_table(gateway, os.environ.get("PROMPTSHIP_APPLICATION_KEY", ""))
    else:
        built = connect(config)
        table = of_environment(built.routes.table(), environment_of(built.settings, environment))
    bundle = make_bundle(table, prompts=prompt or (), at_ms=time.time_ns() // 1_000_000)
    draft = file.with_name(f".{file.name}.{uuid4().hex}")
    try:
        draft.write_bytes(bundle)
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        got = error.strerror or type(error).__name__
        raise ConfigError([Problem(str(file), "", got, "expected a file that can be written")]) from None
    count = len(prompt or [name for name, route in table.routes.items() if route.stable])
    print(f"{file}: {count} {'prompt' if count == 1 else 'prompts'} of revision {table.revision}")
