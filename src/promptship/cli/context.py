"""What every command shares: where the settings are, how to get the ports, and how JSON is printed."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptship.errors import ConfigError, Problem

if TYPE_CHECKING:
    from promptship.lifecycle.app import App
    from promptship.settings import Settings

Config = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="PROMPTSHIP_CONFIG", help="promptship.toml of the prompt repository."
    ),
]
CONFIG = Path("promptship.toml")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Environment = Annotated[
    str, typer.Option("--environment", "-e", help="Environment; default: the default one, `production`.")
]
Reason = Annotated[str, typer.Option("--reason", "-m", help="Why; kept in the ledger.")]


_in_use: list[App] = []


def settings(config: Path) -> Settings:
    """Settings from the file. ConfigError names the file that is missing."""
    from promptship.settings_file import load_settings

    if not config.exists():
        advice = "run in the prompt repository, or name the file with --config"
        raise ConfigError(
            [Problem(str(config), "", "there is no such file", "a promptship.toml is needed", advice)]
        )
    return load_settings(config)


def app(config: Path) -> App:
    """The ports of this installation, until the command ends."""
    from promptship.wiring import build

    built = build(settings(config))
    _in_use.append(built)
    return built


def close() -> None:
    """Give back what the command has used."""
    while _in_use:
        _in_use.pop().close()


def actor() -> str:
    """Who runs this command, for the ledger: the login name."""
    try:
        return f"person:{getpass.getuser()}"
    except (KeyError, OSError):
        return "person:unknown"


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, indent=2, default=str, ensure_ascii=False))
