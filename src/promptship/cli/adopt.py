"""`promptship adopt`: begin with what production serves today."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from promptship.cli.context import CONFIG, Config, actor
from promptship.cli.context import app as connect


def adopt(
    prompts: Annotated[
        list[str] | None, typer.Argument(help="Names; default: every prompt of the commit.")
    ] = None,
    ref: Annotated[str, typer.Option(help="Branch, tag or commit that production serves today.")] = "HEAD",
    config: Config = CONFIG,
) -> None:
    """Make prompts as they are at a commit the stable versions, once, without a release."""
    from promptship.lifecycle.adopting import adopt as take_over

    adopted = take_over(connect(config), prompts or [], ref=ref, actor=actor())
    for name, version in adopted:
        print(f"{name} {version[:12]}")
    if not adopted:
        print("nothing to adopt: every prompt has a stable version already", file=sys.stderr)
