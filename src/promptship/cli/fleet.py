"""`promptship fleet setup | worker`: several machines that run releases, under a Prefect server of their own."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated

import typer

from promptship.cli.context import CONFIG, Config
from promptship.cli.context import settings as read_settings
from promptship.cli.prefect_environment import fleet_environment, wait_for_prefect
from promptship.errors import Unavailable

app = typer.Typer(help="Run releases on several machines.", no_args_is_help=True)


@app.command()
def setup(config: Config = CONFIG) -> None:
    """Make the work pool, the deployments and the automations in Prefect, or mend them; as often as you like."""
    settings = read_settings(config)
    os.environ.update(fleet_environment(settings, config))
    wait_for_prefect(settings.prefect_api_url)
    for line in _install(settings.prefect.pool):
        print(line)
    print(f"Prefect at {settings.prefect_api_url} is set up for the pool {settings.prefect.pool}")


@app.command()
def worker(
    limit: Annotated[
        int,
        typer.Option(min=2, max=100, help="Runs at a time on this machine; leave one more than you need."),
    ] = 4,
    name: Annotated[str, typer.Option(help="Name of this worker in Prefect; default: one of its own.")] = "",
    config: Config = CONFIG,
) -> None:
    """Set up, then run releases on this machine until SIGTERM. A run that is cut off goes on elsewhere."""
    settings = read_settings(config)
    os.environ.update(fleet_environment(settings, config))
    wait_for_prefect(settings.prefect_api_url)
    for line in _install(settings.prefect.pool):
        print(line, file=sys.stderr, flush=True)
    from promptship.flows.fleet import work

    words = ["--type", "process", "--pool", settings.prefect.pool, "--limit", str(limit)]
    # The same process becomes Prefect's worker: a signal of the supervisor reaches it, and nobody in between.
    work(settings.prefect.pool, settings.prefect_api_url, [*words, *(["--name", name] if name else [])])


def _install(pool: str) -> list[str]:
    """Raises Unavailable: Prefect's server did not take it."""
    import httpx
    from prefect.exceptions import PrefectHTTPStatusError

    from promptship.flows.fleet import install

    try:
        return asyncio.run(install(pool))
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        message = (
            f"Prefect did not take the deployments ({type(error).__name__}); is its version 3.8.8 or newer?"
        )
        raise Unavailable(message) from error
