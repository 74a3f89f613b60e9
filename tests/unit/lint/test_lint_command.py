import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from promptship.cli.lint import lint
from promptship.errors import ConfigError, NotFound

GOOD = "name: good\nmodel: any/model\nowner: team\nmessages:\n  - role: user\n    content: Hi\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = {
        "promptship.toml": '[[approvers]]\nname = "mira"\n',
        "prompts/good.yaml": GOOD,
        "prompts/bad.yaml": GOOD.replace("good", "bad").replace("Hi", "Hi {{ name }}"),
        "suites/good.yaml": "",
        "suites/bad.yaml": "",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    app = typer.Typer()
    app.command()(lint)
    return CliRunner().invoke(app, words)


def test_status_1_says_that_there_are_errors(root: Path) -> None:
    result = run()
    assert result.exit_code == 1
    assert "prompts/bad.yaml:6:20: PS201 [error]" in result.output
    assert "Found 1 error in 1 of 3 files." in result.output


def test_status_0_says_that_there_are_none(root: Path) -> None:
    result = run("prompts/good.yaml")
    assert (result.exit_code, result.output) == (0, "No findings in 2 files.\n")


@pytest.mark.parametrize("form", ["json", "github", "sarif"])
def test_every_format_names_the_finding(root: Path, form: str) -> None:
    result = run("prompts", "--format", form)
    assert result.exit_code == 1
    assert "PS201" in result.output
    if form != "github":
        json.loads(result.output)


def test_paths_are_relative_to_where_the_command_runs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "prompts")
    assert run("good.yaml", "--config", "..").exit_code == 0
    assert run("good.yaml", "--config", "../promptship.toml").exit_code == 0
    assert run("../prompts", "--config", "..").exit_code == 1


def test_wrong_input_is_an_error_of_ours_with_status_2(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    missing = run("prompts/nothing.yaml").exception
    assert isinstance(missing, NotFound)
    assert missing.exit_code == 2
    assert isinstance(run(str(tmp_path_factory.mktemp("else"))).exception, NotFound)
    assert isinstance(run("--config", "nowhere.toml").exception, NotFound)
    (root / "promptship.toml").write_text("nonsense = 1")
    assert isinstance(run().exception, ConfigError)
    assert run("--format", "xml").exit_code == 2


def test_lint_starts_without_the_heavy_libraries() -> None:
    heavy = ("prefect", "duckdb", "great_expectations", "sqlalchemy", "slack_sdk", "numpy", "scipy", "httpx")
    program = f"import sys, promptship.cli.lint; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_online_check_that_could_never_have_a_score_is_found(root: Path) -> None:
    checks = "release:\n  online:\n    checks: [{name: tone, assert: {type: llm-rubrik, value: x}}]\n"
    (root / "prompts/good.yaml").write_text(GOOD + checks)
    result = run("prompts/good.yaml")
    assert result.exit_code == 1
    assert "PS601 [error] online.checks[0].assert.type is 'llm-rubrik'" in result.output
    assert "did you mean llm-rubric?" in result.output
