"""`promptship slack manifest`: what makes the app in Slack."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

import typer

from promptship.cli.context import print_json
from promptship.errors import ConfigError, Problem

app = typer.Typer(help="Set up Slack (docs/slack.md).", no_args_is_help=True)


class Form(StrEnum):
    """How the manifest is written."""

    YAML = "yaml"
    JSON = "json"


@app.command()
def manifest(
    url: Annotated[str, typer.Option(help="Public https address of the control plane: Slack calls it.")] = "",
    socket: Annotated[
        bool,
        typer.Option("--socket", help="Socket Mode: the control plane calls Slack; needs no public address."),
    ] = False,
    form: Annotated[Form, typer.Option("--format", help="Slack's page takes both.")] = Form.YAML,
) -> None:
    """Print the manifest for api.slack.com/apps, Create New App, From a manifest."""
    if bool(url) == socket:
        given = "both" if socket else "neither"
        advice = "--url https://... when Slack can reach the control plane, --socket when it cannot"
        raise ConfigError(
            [Problem("command line", "--url or --socket", given, "expected one of them", advice)]
        )
    if url and not _is_public(url):
        expected = "expected an address such as https://promptship.example.com"
        raise ConfigError(
            [Problem("command line", "--url", repr(url[:200]), expected, "Slack calls https only")]
        )
    from promptship.adapters.slack.manifest import manifest as build

    made = build(None if socket else url)
    if form is Form.JSON:
        print_json(made)
    else:
        import yaml

        print(yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=110), end="")


def _is_public(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and bool(parts.hostname) and not parts.query and not parts.fragment
    except ValueError:
        return False
