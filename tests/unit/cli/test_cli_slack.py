"""`promptship slack manifest`: what Slack is told fits what the control plane listens to."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from promptship.cli import app
from promptship.server.slack import ROUTES

DOCS = Path(__file__).parents[3] / "docs/slack.md"


def manifest(*arguments: str) -> Any:
    answer = CliRunner().invoke(app, ["slack", "manifest", *arguments])
    assert answer.exit_code == 0, answer.output
    return yaml.safe_load(answer.stdout)


def test_over_http_every_address_is_one_of_ours() -> None:
    made = manifest("--url", "https://ship.example.com/")
    command, settings = made["features"]["slash_commands"][0], made["settings"]
    assert settings["socket_mode_enabled"] is False
    paths = {route.path for route in ROUTES}
    for address in (command["url"], settings["interactivity"]["request_url"]):
        assert address.removeprefix("https://ship.example.com") in paths
    assert made == json.loads(
        CliRunner()
        .invoke(app, ["slack", "manifest", "--url", "https://ship.example.com", "--format", "json"])
        .stdout
    )


def test_socket_mode_names_no_address() -> None:
    made = manifest("--socket")
    assert made["settings"]["socket_mode_enabled"] is True
    assert "http" not in json.dumps(made)
    assert made["settings"]["interactivity"]["is_enabled"] is True


def test_every_scope_is_explained() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for scope in manifest("--socket")["oauth_config"]["scopes"]["bot"]:
        assert f"`{scope}`" in text


@pytest.mark.parametrize(
    "arguments",
    [[], ["--socket", "--url", "https://x.example"], ["--url", "http://x.example"], ["--url", "x"], ["--url", "https://["]],
)  # fmt: skip
def test_a_wrong_address_is_one_clear_error(arguments: list[str]) -> None:
    answer = CliRunner().invoke(app, ["slack", "manifest", *arguments])
    assert answer.exit_code == 2
    assert "error: command line" in answer.output
