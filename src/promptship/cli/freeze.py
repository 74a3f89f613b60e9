"""`promptship freeze list | now | on | off`: times in which nothing gets more traffic."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from promptship.cli.context import CONFIG, Config, Json, Reason, actor, print_json
from promptship.cli.context import app as connect

if TYPE_CHECKING:
    from promptship.lifecycle.app import App
    from promptship.release.history import Release

app = typer.Typer(help="Times in which nothing gets more traffic.", no_args_is_help=True)

DuringFreeze = Annotated[
    bool, typer.Option("--during-freeze", help="Let it go on in freezes; needs an approver and a reason.")
]
Approver = Annotated[
    str, typer.Option("--as", help="Approver's configured name or e-mail. Default: your Git e-mail.")
]
Name = Annotated[str, typer.Option(help="What the freeze is called.")]
_AD_HOC = "now"


def go_on(app: App, release_id: str, *, who: str, reason: str) -> Release:
    """Let a release go on in freezes, in the name of an approver."""
    from promptship.cli.approve import git_email
    from promptship.lifecycle.freezes import override

    return override(app, release_id, who=who or git_email(), reason=reason)


@app.command("list")
def list_(json: Json = False, config: Config = CONFIG) -> None:
    """List every freeze: those of the settings, and those that a person began."""
    from promptship.cli.environment_tables import freeze_data, freeze_table
    from promptship.lifecycle.freezes import freezes

    built = connect(config)
    found = freezes(built)
    print_json([freeze_data(one) for one in found]) if json else print(freeze_table(found))


@app.command()
def now(json: Json = False, config: Config = CONFIG) -> None:
    """Say which freezes are in force. Exit status 1: there is one."""
    from promptship.cli.environment_tables import freeze_data, freeze_table
    from promptship.lifecycle.freezes import in_force

    found = in_force(connect(config))
    if json:
        print_json([{**freeze_data(one.freeze), "ends": one.until} for one in found])
    else:
        print(freeze_table([one.freeze for one in found]) if found else "nothing is frozen")
    raise typer.Exit(1 if found else 0)


@app.command()
def on(
    reason: Reason,
    name: Name = _AD_HOC,
    environment: Annotated[
        list[str] | None, typer.Option("--environment", "-e", help="Only here; again for more. Default: all.")
    ] = None,
    prompt: Annotated[
        list[str] | None, typer.Option(help="Glob of prompts; again for more. Default: all.")
    ] = None,
    lasts: Annotated[str, typer.Option("--for", help="How long: 2h, 3d. Default: until `freeze off`.")] = "",
    config: Config = CONFIG,
) -> None:
    """Begin a freeze now."""
    from promptship.lifecycle.freezes import Freeze, begin

    built = connect(config)
    until = built.clock.now() + _length(lasts) if lasts else None
    freeze = Freeze(
        name=name, reason=reason, environments=tuple(environment or ()), prompts=tuple(prompt or ()), until=until
    )  # fmt: skip
    begin(built, freeze, actor=actor())
    ends = f"until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if until else "until `promptship freeze off`"
    print(f"freeze {name} is on, {ends}")


@app.command()
def off(name: Name = _AD_HOC, reason: Reason = "", config: Config = CONFIG) -> None:
    """End a freeze that a person began; releases that waited go on."""
    from promptship.lifecycle.freezes import end_freeze

    woken = end_freeze(connect(config), name, actor=actor(), reason=reason)
    print(f"freeze {name} is off")
    if woken:
        print(f"{woken} waiting {'release goes' if woken == 1 else 'releases go'} on", file=sys.stderr)


def _length(text: str) -> timedelta:
    from pydantic import TypeAdapter, ValidationError

    from promptship.release.duration import Duration

    try:
        seconds: float = TypeAdapter(Duration).validate_python(text)
        datetime.now(UTC) + timedelta(seconds=seconds)
    except (ValidationError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no length of time; expected one such as 90m, 2h or 3d"
        ) from None
    if not seconds:
        raise typer.BadParameter("--for must be longer than nothing")
    return timedelta(seconds=seconds)
