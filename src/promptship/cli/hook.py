"""`promptship hook install` and what the installed hook calls."""

from __future__ import annotations

import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from promptship.cli.context import CONFIG, Config
from promptship.cli.context import settings as read_settings

app = typer.Typer(help="Release on `git push` to a plain Git repository.", no_args_is_help=True)


@app.command()
def install(
    repository: Annotated[Path, typer.Argument(help="The repository that is pushed to, usually bare.")],
    config: Config = CONFIG,
) -> None:
    """Install a post-receive hook that announces pushes to the control plane."""
    from promptship.adapters.hooks import install_post_receive

    read_settings(config)  # a broken file is reported now, not at the first push
    command = f"{shlex.quote(sys.executable)} -m promptship.cli"
    path = install_post_receive(repository, command=command, config=config)
    print(f"installed {path}")


@app.command("post-receive", hidden=True)
def post_receive(config: Config = CONFIG) -> None:
    """Read `before after ref` lines from Git and announce them. Never fails: the push has already happened."""
    from promptship.adapters.hooks import announce, push_payload
    from promptship.adapters.secrets import Secrets
    from promptship.errors import PromptshipError

    try:
        settings = read_settings(config)
        key = Secrets(settings.data, os.environ).signing_key
        for push in push_payload(sys.stdin.read().splitlines()):
            for line in announce(settings.server_url, key, push, now=datetime.now(UTC)):
                print(line, flush=True)
    except PromptshipError as error:
        print(f"promptship: not released: {error}", flush=True)
