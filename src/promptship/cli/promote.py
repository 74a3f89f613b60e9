"""`promptship promote` and `promptship status`: versions in several environments."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from promptship.cli.context import CONFIG, Config, Environment, Json, Reason, actor, print_json
from promptship.cli.context import app as connect


def promote(
    prompt: Annotated[str, typer.Argument(help="Name of the prompt.")],
    source: Annotated[
        str, typer.Option("--from", metavar="ENVIRONMENT", help="Where the version is stable.")
    ],
    target: Annotated[str, typer.Option("--to", metavar="ENVIRONMENT", help="Where it is to be released.")],
    again: Annotated[
        bool, typer.Option("--again", help="Retry a commit whose release there ended without a verdict.")
    ] = False,
    reason: Reason = "",
    config: Config = CONFIG,
) -> None:
    """Release in one environment what is stable in another: lint, suites, canary and approval as always."""
    from promptship.lifecycle.onward import promote_between

    app = connect(config)
    opened = promote_between(
        app, prompt, source=source, target=target, actor=actor(), reason=reason, again=again
    )
    if opened is None:
        print(f"{target} serves the same version of {prompt} already", file=sys.stderr)
        return
    if not opened.created:
        print("that commit has a release there already:", file=sys.stderr)
    print(opened.release_id)


def status(
    prompt: Annotated[str, typer.Argument(help="Only this prompt.")] = "",
    environment: Environment = "",
    json: Json = False,
    config: Config = CONFIG,
) -> None:
    """Show what every environment serves of every prompt, since when, and what is being released there."""
    from promptship.cli.environment_tables import status_data, status_table
    from promptship.lifecycle.environments import called, environment_of
    from promptship.lifecycle.onward import standings

    app = connect(config)
    only = called(app.settings, environment_of(app.settings, environment)) if environment else ""
    found = [
        one for one in standings(app) if prompt in {"", one.prompt} and only in {"", one.environment}
    ]  # fmt: skip
    if json:
        print_json([status_data(one) for one in found])
    else:
        print(status_table(found))
