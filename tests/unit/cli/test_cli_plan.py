"""`promptship plan simulate`, `release replay` and `experiment` from the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from promptship.cli import app as promptship
from promptship.cli.plan import numbers
from promptship.cli.report_files import check_files
from promptship.errors import ConfigError

SETTINGS = """\
[repository]
url = "."
[plans.default.canary]
stages = [{share = 0.5, margin = 1.0, dwell = "1m", cap = "1h"}]
guardrails = [{metric = "error_rate"}]
"""
PROMPT = 'name: support\nmodel: gpt-4.1\nmessages:\n  - {role: system, content: "Be kind."}\n'
GIVEN = ("--base-rate", "error_rate=0.1", "--runs", "50")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "promptship.toml").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "prompts" / "support.yaml").write_text(PROMPT, encoding="utf-8")
    return tmp_path


def run(root: Path, *words: str) -> Result:
    return CliRunner().invoke(promptship, [*words, "--config", str(root / "promptship.toml")])


def test_a_plan_is_simulated_before_there_is_a_commit_and_written_in_every_format(root: Path) -> None:
    files = [root / name for name in ("plan.md", "plan.svg", "plan.json")]
    words = [word for file in files for word in ("--output", str(file))]
    ran = run(root, "plan", "simulate", "support", "--rps", "20", *GIVEN, *words, "--json")
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    assert found["prompt"] == "support"
    assert found["unchanged"]["passes"] > 0.8
    assert json.loads(files[2].read_text(encoding="utf-8")) == found
    assert files[0].read_text(encoding="utf-8").startswith("## support")
    assert files[1].read_text(encoding="utf-8").startswith("<svg")


def test_a_plan_that_cannot_decide_is_a_no(root: Path) -> None:
    ran = run(root, "plan", "simulate", "support", "--rps", "0.02", *GIVEN)
    assert ran.exit_code == 1
    assert "cannot decide" in ran.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "simulate", "suport", "--rps", "1", *GIVEN),
        ("release", "replay", "r-none"),
        ("experiment", "r-none"),
    ],
)
def test_wrong_input_is_one_clear_error(root: Path, words: tuple[str, ...]) -> None:
    ran = run(root, *words)
    assert ran.exit_code == 2, ran.output
    assert ran.stderr.startswith("error: ")
    assert ran.stdout == ""


def test_traffic_is_above_nothing(root: Path) -> None:
    ran = run(root, "plan", "simulate", "support", "--rps", "0")
    assert ran.exit_code == 2
    assert "above 0" in ran.stderr


def test_every_option_that_is_no_number_is_named() -> None:
    assert numbers("--base-rate", ["error_rate=0.1", "feedback:escalated=2e-3"]) == {
        "error_rate": 0.1,
        "feedback:escalated": 0.002,
    }
    with pytest.raises(ConfigError) as refused:
        numbers("--base-rate", ["error_rate", "error_rate=many", "=0.1"])
    assert len(refused.value.problems) == 3


def test_files_that_cannot_be_written_are_all_named_before_any_work(tmp_path: Path, root: Path) -> None:
    good, bad = tmp_path / "plan.md", tmp_path / "plan.png"
    with pytest.raises(ConfigError) as refused:
        check_files("plan simulate", [good, bad, tmp_path / "none" / "plan.md"])
    assert [problem.got for problem in refused.value.problems] == [
        str(bad),
        str(tmp_path / "none" / "plan.md"),
    ]
    ran = run(root, "plan", "simulate", "support", "--output", str(good), "--output", str(bad))
    assert (ran.exit_code, good.exists()) == (2, False)
    assert f"plan simulate: --output is {bad}" in ran.stderr
    assert "--rps" not in ran.stderr  # nothing was asked of the ledger yet


def test_a_hard_stop_that_stable_reaches_too_is_a_no(root: Path) -> None:
    settings = SETTINGS.replace('metric = "error_rate"', 'metric = "error_rate", stop_at = 3')
    (root / "promptship.toml").write_text(settings, encoding="utf-8")
    ran = run(root, "plan", "simulate", "support", "--rps", "20", *GIVEN)
    assert ran.exit_code == 1, ran.output
    assert "WARNING: an unchanged prompt is stopped by error_rate in 100% of releases" in " ".join(
        ran.stdout.split()
    )
