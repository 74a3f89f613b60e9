"""`promptship deliveries`: what webhooks, Prefect, traces and Slack threads could not be told of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from promptship.cli.context import CONFIG, Config, Json, print_json
from promptship.cli.context import app as connect

if TYPE_CHECKING:
    from promptship.ports import DeadLetter


def deliveries(
    to: Annotated[
        str | None, typer.Option("--to", help="Only of this receiver, as the list names it.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Tell them again, now.")] = False,
    json: Json = False,
    config: Config = CONFIG,
) -> None:
    """List events of releases that a receiver did not take (dead letters), the newest first; or tell them again.

    \b
    Exit status: 0 there is none · 1 there are some.
    """
    from dataclasses import asdict

    from promptship.lifecycle.announcing import tell_again
    from promptship.wiring import sinks

    app = connect(config)
    if retry:
        tell_again(app, sinks(app), to=to)
    letters = app.outbox.dead_letters(to)
    if json:
        print_json([asdict(letter) for letter in letters])
    else:
        print(_table(letters))
    if letters:
        raise typer.Exit(1)


def _table(letters: Sequence[DeadLetter]) -> str:
    from promptship.numbers import moment
    from promptship.render.table import aligned

    if not letters:
        return "everybody was told of everything"
    rows = [(one.sink, one.release_id, str(one.seq), moment(one.at), one.error) for one in letters]
    return "\n".join(aligned([("RECEIVER", "RELEASE", "EVENT", "GIVEN UP", "WHY"), *rows]))
