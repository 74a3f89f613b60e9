"""`promptship experiment`: several arms, and the short word for a release's intervals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from promptship.cli import app

RUN = CliRunner()
NAMES = {"intervals", "show", "list", "start", "approve", "grow", "stop", "promote"}


def test_every_command_is_there_and_helps() -> None:
    from typer.main import get_command

    group: Any = get_command(app)
    commands = group.commands["experiment"].commands
    assert set(commands) == NAMES
    assert all(command.help for command in commands.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--share", "0"], "--share is 0; expected above 0, at most 1"),
        (["--share", "1.2"], "--share is 1.2; expected above 0, at most 1"),
        (["--until", "soon"], "--until is soon; expected a duration such as"),
        (["--until", "0s"], "--until is 0s; expected a time above 0"),
    ],
)
def test_what_cannot_be_ends_with_2_and_says_what_to_do(tmp_path: Path, words: list[str], said: str) -> None:
    (tmp_path / "promptship.toml").write_text("", encoding="utf-8")
    asked = ["experiment", "start", "support", "--arm", "a=stable", *words]
    ran = RUN.invoke(app, [*asked, "--config", str(tmp_path / "promptship.toml")])
    assert ran.exit_code == 2
    assert said in ran.output


def test_an_empty_ledger_is_an_answer_and_a_release_may_be_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "promptship.toml").write_text("", encoding="utf-8")
    config = ["--config", str(tmp_path / "promptship.toml")]
    assert json.loads(RUN.invoke(app, ["experiment", "list", "--json", *config]).stdout) == []
    for words in (["r-41"], ["--alpha", "0.1", "r-41", "--json"]):
        ran = RUN.invoke(app, ["experiment", *words, *config])
        assert (ran.exit_code, "no release r-41" in ran.output) == (2, True)


@pytest.mark.parametrize("words", [["x-41"], ["--alpha", "0.1", "x-41"], ["x-41", "--output", "r.svg"]])
def test_an_experiment_with_several_arms_may_be_named_at_once_too(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "promptship.toml").write_text("", encoding="utf-8")
    ran = RUN.invoke(app, ["experiment", *words, "--config", str(tmp_path / "promptship.toml")])
    assert (ran.exit_code, "no experiment x-41" in ran.output) == (2, True)
