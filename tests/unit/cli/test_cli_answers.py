"""Every command's no: the exit status, one clear text about what is wrong and what to do, and nothing changed."""

import json
import socket
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from promptship.cli import app as promptship
from promptship.lifecycle import steps
from promptship.lifecycle.app import App
from promptship.release.phase import Phase
from promptship.settings_file import load_settings
from promptship.wiring import build
from tests.support.house import PATH, PROMPT, SUITE
from tests.support.repositories import GitMaker

pytestmark = pytest.mark.slow

SETTINGS = """
[repository]
url = "prompts.git"
[prefect]
port = 1
[server]
port = 1
[providers.sim]
base_url = "http://127.0.0.1:1/v1"
[models.sim-1]
provider = "sim"
context_tokens = 8000
[[approvers]]
name = "mira"
email = "mira@example.org"
"""


@dataclass
class Installation:
    """promptship.toml, a bare Git repository and a SQLite ledger in one directory; nothing runs."""

    root: Path
    git: GitMaker
    built: list[App] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.root / "promptship.toml"

    def commit(self, text: str) -> str:
        files = {PATH: PROMPT.format(text=text), "suites/support.yaml": SUITE}
        return self.git.commit({path: body.encode() for path, body in files.items()})

    def run(self, *words: str, stdin: str = "") -> Result:
        return CliRunner().invoke(promptship, [*words, "--config", str(self.config)], input=stdin)

    def refuses(self, *words: str, status: int) -> str:
        """Run a command that must say no; returns its one error."""
        result = self.run(*words)
        assert result.exit_code == status, result.output
        assert result.stdout == ""
        error = result.stderr.strip()
        assert error.startswith("error: ")
        assert "Traceback" not in error
        assert len(error.splitlines()) == 1, error
        return error.removeprefix("error: ")

    def app(self) -> App:
        self.built.append(build(load_settings(self.config)))
        return self.built[-1]

    def opened(self, text: str) -> str:
        """Commit and open; returns the release's id."""
        self.commit(text)
        result = self.run("release", "open", "support", "--ref", "main")
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    def asked_about(self, text: str) -> str:
        """A first version that waits for approval."""
        release, app = self.opened(text), self.app()
        steps.lint(app, release)
        steps.record_evaluation(app, release, stable=None, verdict={"suites": []}, passes=True, because="")
        steps.start_canary(app, release)
        assert app.release(release).phase is Phase.AWAITING_APPROVAL
        return release


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    (tmp_path / "promptship.toml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.delenv("PROMPTSHIP_CONFIG", raising=False)
    installation = Installation(tmp_path, GitMaker(tmp_path / "prompts.git", bare=True))
    yield installation
    for app in installation.built:
        app.close()


COMMANDS = [
    ("lint",), ("release", "list"), ("release", "show", "r-1"), ("history", "support"), ("up",), ("adopt",),
    ("audit", "verify"), ("approve", "r-1", "--as", "mira"), ("rollback", "support", "--reason", "x"), ("kill", "support", "--reason", "x"),
    ("server",), ("gateway",), ("watcher",), ("runner",), ("prefect",),
]  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_without_promptship_toml_every_command_says_where_it_looked(
    here: Installation, words: tuple[str, ...]
) -> None:
    here.config.unlink()
    if words == ("lint",):
        result = CliRunner().invoke(promptship, [*words, "--config", str(here.config)])
        assert (result.exit_code, "promptship.toml" in result.stderr) == (2, True)
        return
    error = here.refuses(*words, status=2)
    assert str(here.config) in error
    assert "--config" in error
    assert not (here.root / ".promptship").exists()


def test_a_wrong_setting_is_named_with_its_line(here: Installation) -> None:
    here.config.write_text(SETTINGS + "[watcher]\nevery = true\n")
    error = here.refuses("release", "list", status=2)
    assert "watcher.every" in error
    assert f"promptship.toml:{len(SETTINGS.splitlines()) + 2}" in error


@pytest.mark.parametrize("words", [("show",), ("watch",), ("cancel", "--reason", "x")], ids=" ".join)
def test_an_unknown_release_is_not_found(here: Installation, words: tuple[str, ...]) -> None:
    command, *rest = words
    assert here.refuses("release", command, "r-nothing", *rest, status=2) == "no release r-nothing"


def test_an_ambiguous_prefix_names_what_it_could_be(here: Installation) -> None:
    first, second = here.opened("Say hello."), here.opened("Say hello twice.")
    error = here.refuses("release", "show", "r-", status=2)
    assert first in error
    assert second in error
    assert "type more of it" in error


def test_a_release_of_an_unknown_prompt_names_the_known_ones(here: Installation) -> None:
    here.commit("Say hello.")
    error = here.refuses("release", "open", "suport", "--ref", "main", status=2)
    assert "no prompt suport" in error
    assert "prompts there: support" in error
    assert "nowhere" in here.refuses("release", "open", "support", "--ref", "nowhere", status=2)
    assert json.loads(here.run("release", "list", "--json").stdout) == []


def test_the_same_release_twice_is_one_and_says_so(here: Installation) -> None:
    release = here.opened("Say hello.")
    again = here.run("release", "open", "support", "--ref", "main")
    assert (again.exit_code, again.stdout.strip()) == (0, release)
    assert "has a release already" in again.stderr


def test_a_stranger_cannot_approve(here: Installation) -> None:
    release = here.asked_about("Say hello.")
    error = here.refuses("approve", release, "--as", "eve", status=1)
    assert error == "eve is not a configured approver"
    assert here.refuses("reject", release, "--as", "eve", "--reason", "no", status=1) == error
    assert here.app().release(release).phase is Phase.AWAITING_APPROVAL


def test_who_does_not_say_who_he_is_is_told_how(here: Installation) -> None:
    release = here.asked_about("Say hello.")
    assert "--as NAME" in here.refuses("approve", release, status=1)


def test_without_git_nobody_is_anybody(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    release = here.asked_about("Say hello.")
    monkeypatch.setenv("PATH", str(here.root))
    assert "--as NAME" in here.refuses("approve", release, status=1)


def test_an_approver_is_believed_once(here: Installation) -> None:
    release = here.asked_about("Say hello.")
    result = here.run("approve", release[:6], "--as", "MIRA@example.org")
    assert (result.exit_code, result.stdout) == (0, f"{release} of support is promoted\n")
    assert "nothing to decide" in here.refuses("approve", release, "--as", "mira", status=1)


def test_there_is_nothing_to_go_back_to(here: Installation) -> None:
    here.commit("Say hello.")
    error = here.refuses("rollback", "support", "--reason", "fire", status=2)
    assert error == "no prompt support is being served"
    assert here.run("adopt", "--ref", "main").exit_code == 0
    error = here.refuses("rollback", "support", "--reason", "fire", status=2)
    assert error == "prompt support has no earlier version to go back to"


def test_the_kill_switch_says_what_it_needs_and_what_it_did(here: Installation) -> None:
    here.commit("Say hello.")
    assert "is not served" in here.refuses("kill", "support", "--reason", "fire", status=2)
    assert here.run("adopt", "--ref", "main").exit_code == 0
    assert "--safe-for support" in here.refuses("kill", "support", "--reason", "fire", status=2)
    assert "is off" in here.refuses("kill", "support", "--undo", "--reason", "mended", status=1)
    named = here.run("adopt", "support", "--safe-for", "support", "--ref", "main")
    assert (named.exit_code, named.stdout.split()[0]) == (0, "support")
    done = here.run("kill", "support", "--reason", "fire")
    assert (done.exit_code, "kill switch is on" in done.stdout) == (0, True)
    assert "kill switch on: fire" in here.run("history", "support").stdout
    assert here.run("audit", "verify").exit_code == 0
    undone = here.run("kill", "support", "--undo", "--reason", "mended")
    assert (undone.exit_code, "off" in undone.stdout) == (0, True)
    assert here.run("kill", "support", "--undo", "--to", "abcdef", "--reason", "x").exit_code == 2
    assert here.run("adopt", "--safe-for", "support").exit_code == 2
    error = here.refuses("rollback", "support", "--to", "abcdef", "--reason", "fire", status=2)
    assert "no version to go back to begins with 'abcdef'" in error


def test_a_prompt_is_adopted_once(here: Installation) -> None:
    here.commit("Say hello.")
    assert here.run("adopt", "--ref", "main").stdout.startswith("support ")
    again = here.run("adopt", "--ref", "main")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "nothing to adopt" in again.stderr
    error = here.refuses("adopt", "support", "--ref", "main", status=1)
    assert "stable version there already: support" in error
    assert "no prompt nobody" in here.refuses("adopt", "nobody", "--ref", "main", status=2)


def test_what_has_ended_cannot_be_cancelled(here: Installation) -> None:
    release = here.opened("Say hello.")
    cancelled = here.run("release", "cancel", release, "--reason", "not today")
    assert (cancelled.exit_code, cancelled.stdout) == (0, f"{release} of support is cancelled\n")
    assert "ended already" in here.refuses("release", "cancel", release, "--reason", "x", status=1)
    assert here.run("release", "watch", release).exit_code == 1


def test_audit_verify_sees_what_was_changed(here: Installation) -> None:
    release = here.opened("Say hello.")
    intact = here.run("audit", "verify")
    assert intact.exit_code == 0
    assert "1 events of 1 releases: intact" in intact.stdout
    with sqlite3.connect(here.root / ".promptship" / "ledger.db") as database:
        for (trigger,) in database.execute(
            "select name from sqlite_master where type = 'trigger'"
        ).fetchall():
            database.execute(f"drop trigger {trigger}")
        database.execute("update events set actor = 'person:nobody'")
    database.close()
    broken = here.run("audit", "verify")
    assert broken.exit_code == 1
    assert release in broken.stdout
    assert "BROKEN" in broken.stdout
    report = here.run("audit", "verify", "--json")
    assert report.exit_code == 1
    assert json.loads(report.stdout)["problems"]


def test_every_read_prints_json(here: Installation) -> None:
    release = here.asked_about("Say hello.")
    (listed,) = json.loads(here.run("release", "list", "--json").stdout)
    assert (listed["id"], listed["phase"]) == (release, "awaiting_approval")
    events = json.loads(here.run("release", "show", release, "--json").stdout)
    assert [event["fact"]["kind"] for event in events] == [
        "requested",
        "linted",
        "evaluated",
        "approval_requested",
    ]
    assert json.loads(here.run("audit", "verify", "--json").stdout)["problems"] == []
    assert json.loads(here.run("history", "support", "--json").stdout) == []
    here.run("release", "cancel", release, "--reason", "x")
    here.run("adopt", "--ref", "main")
    assert json.loads(here.run("history", "support", "--json").stdout)[0]["revision"] == 1


def test_texts_are_for_people(here: Installation) -> None:
    release = here.asked_about("Say hello.")
    for words in (("release", "list"), ("release", "show", release)):
        shown = here.run(*words)
        assert shown.exit_code == 0
        assert release in shown.stdout
    assert here.run("history", "support").exit_code == 0


ZEROS = "0" * 40


def test_the_hook_says_in_one_line_that_nobody_is_there_and_lets_the_push_be(here: Installation) -> None:
    push = f"{ZEROS} {here.commit('Say hello.')} refs/heads/main\n"
    result = here.run("hook", "post-receive", stdin=push)
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    assert line.startswith("promptship: your push is stored")
    assert line.count("promptship: ") == 1
    assert "`promptship release open <prompt>`" in line


def test_the_hook_of_a_broken_installation_lets_the_push_be(here: Installation) -> None:
    here.config.write_text("[server\n")
    result = here.run("hook", "post-receive", stdin=f"{ZEROS} {'1' * 40} refs/heads/main\n")
    assert result.exit_code == 0
    assert result.stdout.startswith("promptship: not released: ")
    assert "promptship.toml" in result.stdout


def test_up_does_not_start_on_ports_that_are_taken(here: Installation) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        here.config.write_text(SETTINGS.replace("[server]\nport = 1", f"[server]\nport = {port}"))
        result = here.run("up")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"server.port is {port}" in result.stderr
    assert "choose another port" in result.stderr
    assert not (here.root / ".promptship").exists(), "nothing was started"
