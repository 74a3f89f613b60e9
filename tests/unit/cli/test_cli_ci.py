"""Workflows for pull requests: valid YAML, commands that exist, and their shell does what it says."""

from __future__ import annotations

import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from promptship.cli import app
from tests.support.repositories import ENVIRONMENT, GitMaker, git

SETTINGS = """\
[providers.openai]
base_url = "https://api.openai.com/v1"
api_key_env = "OPENAI_API_KEY"
[models.gpt-x]
provider = "openai"
"""
PROMPT = "name: {name}\nmodel: gpt-x\nmessages:\n  - {{role: user, content: {text}}}\n"


@pytest.fixture
def place(tmp_path: Path) -> GitMaker:
    maker = GitMaker(tmp_path / "repo", bare=False)
    files = {f"prompts/{one}.yaml": PROMPT.format(name=one, text="hi").encode() for one in ("a", "b", "c")}
    maker.commit({"promptship.toml": SETTINGS.encode(), "suites/b.yaml": b"cases: []", **files})
    maker.commit(
        {"prompts/a.yaml": PROMPT.format(name="a", text="hello").encode(), "suites/b.yaml": b"cases: [1]"}
    )
    git(maker.path, "reset", "--quiet", "--hard")
    return maker


def run(place: GitMaker, *words: str) -> Any:
    return CliRunner().invoke(app, ["ci", *words, "--config", str(place.path / "promptship.toml")])


def commands(value: Any) -> list[str]:
    """Every command of ours in a workflow."""
    if isinstance(value, dict):
        return [one for item in value.values() for one in commands(item)]
    if isinstance(value, list):
        return [one for item in value for one in commands(item)]
    found = re.findall(r"^\s*(promptship [^|>&\n]+)", value, re.MULTILINE) if isinstance(value, str) else []
    return [one.split("<")[0].strip() for one in found]


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_a_workflow_is_yaml_whose_commands_exist(place: GitMaker, kind: str) -> None:
    workflow = yaml.safe_load(run(place, kind).output)
    found = commands(workflow)
    assert {tuple(one.split()[1:2]) for one in found} == {("lint",), ("ci",), ("eval",)}
    for line in found:
        command: Any = get_command(app)
        words = shlex.split(line)[1:]
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, line


def test_githubs_workflow_runs_on_pull_requests_with_the_providers_keys(place: GitMaker) -> None:
    workflow = yaml.safe_load(run(place, "github").output)
    assert "pull_request" in workflow[True], "YAML reads `on` as true; GitHub does not"
    assert workflow["permissions"] == {"contents": "read"}
    (suites,) = [step for step in workflow["jobs"]["prompts"]["steps"] if step.get("name") == "Suites"]
    assert suites["env"]["OPENAI_API_KEY"] == "${{ secrets.OPENAI_API_KEY }}"


def test_gitlabs_job_keeps_junit(place: GitMaker) -> None:
    job = yaml.safe_load(run(place, "gitlab").output)["prompts"]
    assert job["artifacts"]["reports"]["junit"] == "reports/*.xml"
    assert job["artifacts"]["when"] == "always"


def test_changed_names_prompts_by_file_and_by_suite(place: GitMaker) -> None:
    assert run(place, "changed", "--since", "HEAD~1").output.split() == ["a", "b"]
    assert run(place, "changed", "--since", "HEAD").output == ""


def test_a_file_that_is_there_is_never_overwritten(place: GitMaker, tmp_path: Path) -> None:
    target = tmp_path / "new" / "prompts.yml"
    assert run(place, "github", "--write", str(target)).exit_code == 0
    before = target.read_text()
    assert run(place, "gitlab", "--write", str(target)).exit_code == 2
    assert target.read_text() == before


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["github", "gitlab"])
@pytest.mark.parametrize("status", [0, 1])
def test_the_shell_of_a_workflow_runs_every_changed_prompt_and_keeps_the_worst_status(
    place: GitMaker, tmp_path: Path, kind: str, status: int
) -> None:
    workflow = yaml.safe_load(run(place, kind).output)
    steps = workflow["jobs"]["prompts"]["steps"] if kind == "github" else []
    (script,) = [
        text
        for text in (*(step.get("run", "") for step in steps), *workflow.get("prompts", {}).get("script", ()))
        if "ci changed" in text
    ]
    program = tmp_path / "bin" / "promptship"
    program.parent.mkdir()
    program.write_text(f"""#!/bin/sh
if [ "$1" = eval ]; then cat; echo "$2" >> "$ASKED"; test "$2" != a || exit {status}; exit 0; fi
exec {shlex.quote(sys.executable)} -m promptship.cli "$@"
""")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    asked = tmp_path / "asked"
    environment = {**ENVIRONMENT, "BASE": "HEAD~1", "ASKED": str(asked)}
    environment["PATH"] = f"{program.parent}:{environment['PATH']}"
    done = subprocess.run(["bash", "-e", "-c", script], cwd=place.path, env=environment, check=False)
    assert done.returncode == status
    assert asked.read_text().split() == ["a", "b"]
