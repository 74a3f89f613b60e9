"""`promptship history` and `promptship rollback`: which version served when, and back to the one before."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from promptship.cli.context import CONFIG, Config, Environment, Json, Reason, actor, print_json
from promptship.cli.context import app as connect

PromptName = Annotated[str, typer.Argument(help="Name of the prompt.")]


def history(
    prompt: PromptName, environment: Environment = "", json: Json = False, config: Config = CONFIG
) -> None:
    """Which versions of a prompt served, since when, and by whose decision."""
    from dataclasses import asdict

    from promptship.lifecycle.environments import route_in
    from promptship.render.history import history_table

    app = connect(config)
    prompt = route_in(app.settings, environment, prompt)
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
    only: Annotated[
        bool, typer.Option("--only", help="Leave what was promoted together with it as it is.")
    ] = False,
    environment: Environment = "",
    config: Config = CONFIG,
) -> None:
    """Serve the previous version at once: ends a running canary, or undoes the last promotion. Needs no Prefect."""
    from promptship.lifecycle.ending import roll_back_prompt
    from promptship.lifecycle.environments import route_in
    from promptship.lifecycle.groups import going_along, left_behind
    from promptship.render.facts import PHASE_WORDS

    app = connect(config)
    prompt = route_in(app.settings, environment, prompt)
    release_id = roll_back_prompt(app, prompt, actor=actor(), reason=reason, to=to, alone=only)
    others = going_along(app, release_id)
    route = app.routes.get(prompt)
    stable = (route.stable or "")[:12] if route else ""
    print(f"{prompt} serves {stable} to everybody; rolled back release {release_id}")
    for one in others:
        print(f"{one.prompt} went back with it: release {one.id} is {PHASE_WORDS[one.phase]}")
    if only and (left := left_behind(app, release_id)):
        print(f"left as they are, although they were released together: {', '.join(left)}", file=sys.stderr)
    if route is not None and route.killed is not None:
        print(f"not yet: its kill switch is on and serves {route.killed[:12]}", file=sys.stderr)
