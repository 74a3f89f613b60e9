"""The command line over several environments, and freezes."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from promptship.cli import app as promptship
from promptship.settings_file import load_settings
from promptship.wiring import build
from tests.support.house import PATH, PROMPT, SUITE
from tests.support.repositories import GitMaker

pytestmark = pytest.mark.slow
SETTINGS = """
[repository]
url = "prompts.git"
[environments.staging]
branch = "staging"
[prefect]
port = 1
[[approvers]]
name = "mira"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    (tmp_path / "promptship.toml").write_text(SETTINGS)
    git = GitMaker(tmp_path / "prompts.git", bare=True)
    for text in ("Say hello.", "Say hello kindly."):
        git.commit({PATH: PROMPT.format(text=text).encode(), "suites/support.yaml": SUITE.encode()})
    return tmp_path


def run(place: Path, *words: str, status: int = 0) -> Result:
    result = CliRunner().invoke(promptship, [*words, "--config", str(place / "promptship.toml")])
    assert result.exit_code == status, result.output
    return result


def test_the_same_prompt_in_two_environments(place: Path) -> None:
    assert run(place, "adopt", "--ref", "main~1").stdout.startswith("support ")
    assert run(place, "adopt", "--ref", "main", "-e", "staging").stdout.startswith("staging/support ")
    rows = run(place, "status").stdout.splitlines()
    assert [row.split()[:2] for row in rows[1:]] == [["support", "staging"], ["support", "production"]]
    found: Any = json.loads(run(place, "status", "-e", "staging", "--json").stdout)
    assert [(one["environment"], one["is_killed"], one["release"]) for one in found] == [
        ("staging", False, None)
    ]
    release = run(place, "promote", "support", "--from", "staging", "--to", "production").stdout.strip()
    listed: Any = json.loads(run(place, "release", "list", "-e", "production", "--json").stdout)
    assert [(one["id"], one["prompt"]) for one in listed] == [(release, "support")]
    assert json.loads(run(place, "release", "list", "-e", "staging", "--json").stdout) == []
    assert "adopted" in run(place, "history", "support", "-e", "staging").stdout
    stable = found[0]["serves"]
    killed = run(place, "kill", "support", "-e", "staging", "--to", stable, "--reason", "fire")
    assert killed.stdout.startswith("staging/support serves ")
    refused = run(place, "promote", "support", "--from", "staging", "--to", "production", status=1)
    assert "kill switch" in refused.stderr
    wrong = run(place, "history", "support", "-e", "stagin", status=2)
    assert "environments here: staging, production" in wrong.stderr
    bundle = place / "bundle.json"
    run(place, "client", "export", str(bundle), "-e", "staging")
    assert set(json.loads(bundle.read_text())["table"]["routes"]) == {"support"}


def test_a_freeze_from_beginning_to_end(place: Path) -> None:
    assert run(place, "freeze", "now").stdout == "nothing is frozen\n"
    run(place, "freeze", "on", "--reason", "incident", "-e", "staging", "--for", "2h")
    assert "staging" in run(place, "freeze", "list").stdout
    (one,) = json.loads(run(place, "freeze", "now", "--json", status=1).stdout)
    assert (one["name"], one["reason"], one["environments"]) == ("now", "incident", ["staging"])
    assert one["ends"] == one["until"]
    assert "there is a freeze now already" in run(place, "freeze", "on", "--reason", "x", status=1).stderr
    assert (
        "no length of time" in run(place, "freeze", "on", "--reason", "x", "--for", "soon", status=2).output
    )
    assert run(place, "freeze", "off").stdout == "freeze now is off\n"
    assert run(place, "freeze", "list", "--json").stdout == "[]\n"
    assert run(place, "freeze", "off", status=2).stderr.startswith("error: no freeze now")


def test_a_release_during_a_freeze_needs_an_approver(place: Path) -> None:
    words = ["release", "open", "support", "--ref", "main", "--during-freeze", "--reason", "mends an outage"]
    assert "not a configured approver" in run(place, *words, "--as", "eve", status=1).stderr
    release = run(place, *words, "--as", "mira").stdout.strip()
    app = build(load_settings(place / "promptship.toml"))
    try:
        assert app.release(release).through_freezes == "mira"
    finally:
        app.close()
    run(place, "release", "resume", release, "--during-freeze", "--as", "mira", "--reason", "again")
