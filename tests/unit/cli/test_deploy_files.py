"""deploy/: what the files start exists, and they are what their tools take."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from promptship.cli import app

pytestmark = pytest.mark.slow
DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = {name: one for name, one in COMPOSE["services"].items() if one["image"] == "promptship"}


class Unit(configparser.RawConfigParser):
    """A unit file; keys may be there twice, their case matters."""

    def __init__(self, path: Path) -> None:
        super().__init__(strict=False)
        self.read(path)

    def optionxform(self, optionstr: str) -> str:
        return optionstr


COMMANDS: Any = get_command(app)


def accept(words: list[str]) -> None:
    """Parse a command line without running it; an unknown command or option is an error."""
    name, command = "promptship", COMMANDS
    context = command.context_class(command, info_name=name)
    while hasattr(command, "commands"):
        name, command, words = command.resolve_command(context, words)
    command.make_context(name, words, parent=context)


def test_every_unit_starts_a_command_of_ours() -> None:
    commands = {unit.stem: Unit(unit)["Service"]["ExecStart"].split() for unit in UNITS}
    assert set(commands) == {
        f"promptship-{name}" for name in ("prefect", "server", "watcher", "scorer", "gateway", "worker")
    }
    for words in commands.values():
        assert words[0] == "/opt/promptship/bin/promptship"
        accept(words[1:])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_units_come_back_stop_on_sigterm_and_may_do_little(unit: Path) -> None:
    service = Unit(unit)["Service"]
    assert service["Type"] == "exec"
    assert (service["Restart"], service["KillSignal"], service["KillMode"]) == (
        "always",
        "SIGTERM",
        "control-group",
    )
    assert service["ProtectSystem"] == "strict"
    assert service["NoNewPrivileges"] == "true"
    assert service["EnvironmentFile"] == "/etc/promptship/fleet.env"


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    program = str(Path(sys.executable).with_name("promptship"))
    for unit in UNITS:
        text = unit.read_text().replace("/opt/promptship/bin/promptship", program)
        (tmp_path / unit.name).write_text(text)
    copies = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run(["systemd-analyze", "verify", *copies], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "promptship" in line]
    assert not said, done.stderr


def test_every_service_of_compose_starts_a_command_of_ours() -> None:
    assert set(OURS) == {"prefect", "server", "watcher", "scorer", "worker", "gateway"}
    for service in OURS.values():
        assert service["init"] is True
        accept([str(word) for word in service["command"]])


def test_compose_is_whole() -> None:
    volumes = set(COMPOSE["volumes"])
    for name, service in COMPOSE["services"].items():
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"]), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            known = source in volumes or source == "./promptship.toml" or (DEPLOY / source).exists()
            assert known, volume
    assert COMPOSE["services"]["worker"]["deploy"]["replicas"] >= 2


def test_the_example_environment_has_what_prefects_server_needs_and_no_secret() -> None:
    lines = (DEPLOY / "systemd/fleet.env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))
    assert given["PREFECT_MESSAGING_BROKER"] == given["PREFECT_MESSAGING_CACHE"] == "prefect_redis.messaging"
    assert given["PREFECT_SERVER_EVENTS_CAUSAL_ORDERING"] == "prefect_redis.ordering"
    for name in (
        "PROMPTSHIP_TOKEN",
        "PROMPTSHIP_SIGNING_KEY",
        "PGPASSWORD",
        "PREFECT_API_AUTH_STRING",
        "SLACK_BOT_TOKEN",
    ):
        assert given[name] == ""
    for service in OURS.values():
        assert set(service["environment"]) <= {*given, "PGPASSWORD"}


def test_the_example_settings_can_be_read(tmp_path: Path) -> None:
    from promptship.settings_file import load_settings

    place = tmp_path / "promptship.toml"
    shutil.copy(DEPLOY / "promptship.toml.example", place)
    settings = load_settings(place)
    assert settings.data == Path("/var/lib/promptship")
    assert settings.prefect.pool == "releases"


def test_the_file_with_the_secrets_gets_neither_into_an_image_nor_into_git() -> None:
    (kept,) = COMPOSE["x-promptship"]["env_file"]
    root = DEPLOY.parent
    ignored = {name: (root / name).read_text().splitlines() for name in (".dockerignore", ".gitignore")}
    assert kept.endswith(".env")
    assert {"**/*.env", "**/.*"} <= set(ignored[".dockerignore"]), "`COPY . .` copies everything else"
    assert "/deploy/*.env" in ignored[".gitignore"]
