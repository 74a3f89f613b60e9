"""`promptship adopt`: begin with what production serves today."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from promptship.cli.context import CONFIG, Config, Environment, actor
from promptship.cli.context import app as connect


def adopt(
    prompts: Annotated[
        list[str] | None, typer.Argument(help="Names; default: every prompt of the commit.")
    ] = None,
    ref: Annotated[str, typer.Option(help="Branch, tag or commit that production serves today.")] = "HEAD",
    safe_for: Annotated[
        str,
        typer.Option(
            metavar="PROMPT",
            help="Keep the one prompt named here (or its file) as what the kill switch of PROMPT serves.",
        ),
    ] = "",
    environment: Environment = "",
    config: Config = CONFIG,
) -> None:
    """Make prompts as they are at a commit the stable versions, once, without a release."""
    if safe_for:
        _name_safe(config, prompts or [], safe_for, ref, environment)
        return
    from promptship.lifecycle.adopting import adopt as take_over

    adopted = take_over(connect(config), prompts or [], ref=ref, actor=actor(), environment=environment)
    for name, version in adopted:
        print(f"{name} {version[:12]}")
    if not adopted:
        print("nothing to adopt: every prompt has a stable version already", file=sys.stderr)


def _name_safe(config: Path, prompts: list[str], safe_for: str, ref: str, environment: str) -> None:
    from promptship.lifecycle.environments import route_in
    from promptship.lifecycle.kill import name_safe

    if len(prompts) != 1:
        raise typer.BadParameter("--safe-for takes exactly one prompt, by its name or file")
    app = connect(config)
    route = route_in(app.settings, environment, safe_for)
    digest = name_safe(app, route, prompts[0], ref=ref, actor=actor())
    print(f"{route} {digest[:12]}")
    print(f"`promptship kill {route}` serves it; nothing else has changed", file=sys.stderr)
