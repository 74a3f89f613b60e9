"""`promptship history` and `promptship rollback`: which version served when, and back to the one before."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from promptship.cli.context import CONFIG, Config, Json, Reason, actor, print_json
from promptship.cli.context import app as connect

PromptName = Annotated[str, typer.Argument(help="Name of the prompt.")]


def history(prompt: PromptName, json: Json = False, config: Config = CONFIG) -> None:
    """Which versions of a prompt served, since when, and by whose decision."""
    from dataclasses import asdict

    from promptship.render.history import history_table

    app = connect(config)
    records = app.routes.history(prompt)
    if json:
        print_json([asdict(record) for record in records])
    else:
        print(history_table(prompt, records))


def rollback(
    prompt: PromptName,
    reason: Reason,
    to: Annotated[
        str,
        typer.Option(help="An earlier stable version (the beginning of its digest), not the one before."),
    ] = "",
    config: Config = CONFIG,
) -> None:
    """Serve the previous version at once: ends a running canary, or undoes the last promotion. Needs no Prefect."""
    from promptship.lifecycle.ending import roll_back_prompt

    app = connect(config)
    release_id = roll_back_prompt(app, prompt, actor=actor(), reason=reason, to=to)
    route = app.routes.get(prompt)
    stable = (route.stable or "")[:12] if route else ""
    print(f"{prompt} serves {stable} to everybody; rolled back release {release_id}")
    if route is not None and route.killed is not None:
        print(f"not yet: its kill switch is on and serves {route.killed[:12]}", file=sys.stderr)
