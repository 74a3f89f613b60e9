"""`promptship kill`: one fixed safe version for everybody, at once."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from promptship.cli.context import CONFIG, Config, Environment, Reason, actor
from promptship.cli.context import app as connect


def kill(
    prompt: Annotated[str, typer.Argument(help="Name of the prompt.")],
    reason: Reason,
    undo: Annotated[
        bool, typer.Option("--undo", help="Turn the switch off: serve again what serves without it.")
    ] = False,
    to: Annotated[str, typer.Option(help="A version that has served before, instead of the safe one.")] = "",
    environment: Environment = "",
    config: Config = CONFIG,
) -> None:
    """Serve a prompt's safe version to everybody at once, and end its open releases. Needs the ledger only."""
    from promptship.lifecycle import kill as switch
    from promptship.lifecycle.environments import route_in

    if undo and to:
        raise typer.BadParameter("--undo goes back to what serves without the switch; leave --to out")
    app = connect(config)
    prompt = route_in(app.settings, environment, prompt)
    if undo:
        switched = switch.undo(app, prompt, actor=actor(), reason=reason)
        print(f"{prompt} serves {switched.serves[:12]} again; the kill switch is off")
    else:
        switched = switch.kill(app, prompt, actor=actor(), reason=reason, to=to)
        print(f"{prompt} serves {switched.serves[:12]} to everybody; the kill switch is on")
    for release_id in switched.ended:
        print(f"ended release {release_id}")
    sys.stdout.flush()  # it is done; the telling may take a moment
    switch.tell(app, switched)
