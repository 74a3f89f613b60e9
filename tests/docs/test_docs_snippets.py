"""Every snippet that claims to be a file of promptship is read by promptship."""

from __future__ import annotations

import json
import random
import re
from datetime import date
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from promptship.adapters.files import WorkingTree
from promptship.cli import app
from promptship.evals.judges.labels import read_labels
from promptship.evals.suite import load_suite
from promptship.lifecycle.lint import lint_tree
from promptship.prompts.lint.catalogue import built_in
from promptship.prompts.load import load
from promptship.prompts.render import render
from promptship.release.plan import Plan, merge
from promptship.settings_file import parse_settings
from tests.docs.markdown import ROOT, WRITTEN, Block, blocks

TODAY = date(2026, 11, 22)
BLOCKS = [block for page in WRITTEN for block in blocks(page)]
PROMPT_LANGUAGES = {"yaml", "markdown", "json", "handlebars", "jinja"}


def kind(block: Block) -> str:
    """What a block claims to be: prompt, suite, settings, promptfoo, labels, fragment (of a prompt), or nothing of ours."""
    if block.language == "toml":
        return "settings"
    if block.language == "yaml":
        keys = yaml.safe_load(block.text).keys()
        if "cases" in keys:
            return "suite"
        if "providers" in keys:
            return "promptfoo"
        return "prompt" if "messages" in keys and block.file else "fragment"
    if block.language == "csv":
        return "labels" if "label" in block.text.splitlines()[0].split(",") else ""
    return "prompt" if block.language in PROMPT_LANGUAGES else ""


def of_kind(wanted: str) -> list[Block]:
    return [block for block in BLOCKS if kind(block) == wanted]


@pytest.mark.parametrize("block", of_kind("prompt"), ids=str)
def test_prompts_are_read_rendered_and_lint_clean(block: Block, tmp_path: Path) -> None:
    assert block.file, f"{block}: say in the paragraph above which file this is"
    loaded = load(block.file, block.text.encode()).prompt
    tree = {
        block.file: block.text,
        f"suites/{loaded.name}.yaml": "cases: []\n",
        "promptship.toml": '[[approvers]]\nname = "a"\n[[approvers]]\nname = "b"\n',
    }
    assert lint(tree, tmp_path) == []
    assert_lasting(loaded.model)
    given = {
        name: v.examples[0] if v.examples else "x"
        for name, v in loaded.variables.items()
        if v.default is None
    }
    assert render(loaded, given).messages


def assert_lasting(model: str | None) -> None:
    """Documentation must not age: its models are known, with their context, and have no end."""
    known = built_in().find(model or "")
    assert known is not None, f"{model} is not in the catalogue"
    assert known.context_tokens is not None
    assert known.retires_on is None


def lint(tree: dict[str, str], root: Path) -> list[str]:
    for path, text in tree.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    settings = parse_settings(tree["promptship.toml"], file="promptship.toml", root=root)
    report = lint_tree(WorkingTree(root), settings, today=TODAY)
    assert len(report.loaded) == 1
    return [f"{finding.path}:{finding.line}: {finding.rule} {finding.message}" for finding in report.findings]


@pytest.mark.parametrize("block", of_kind("suite"), ids=str)
def test_suites_are_read(block: Block, tmp_path: Path) -> None:
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "one.yaml").write_text(block.text, encoding="utf-8")
    suite = load_suite(WorkingTree(tmp_path), "suites", "one")
    if suite.judge is not None:
        assert built_in().find(suite.judge.model) is not None


@pytest.mark.parametrize("block", of_kind("settings"), ids=str)
def test_settings_are_read(block: Block) -> None:
    parse_settings(block.text, file=str(block), root=ROOT)


@pytest.mark.parametrize("block", of_kind("fragment"), ids=str)
def test_fragments_complete_a_prompt(block: Block) -> None:
    """A block without a file name above it shows some keys of a native prompt."""
    values = {"messages": [{"role": "user", "content": "Hi"}], **yaml.safe_load(block.text)}
    prompt = load("prompts/one.yaml", yaml.safe_dump(values).encode()).prompt
    Plan.model_validate(
        merge(Plan().model_dump(mode="json"), {k: v for k, v in prompt.release.items() if k != "plan"})
    )


@pytest.mark.parametrize("block", of_kind("labels"), ids=str)
def test_labels_are_read(block: Block) -> None:
    assert len(read_labels(block.text, str(block))) == len(block.text.splitlines()) - 1


@pytest.mark.parametrize("block", of_kind("promptfoo"), ids=str)
def test_promptfoo_configurations_run(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the files that the page shows; every row passes, and nothing is left out or differs."""
    for other in (
        one for one in BLOCKS if one.page == block.page and one.language in {"yaml", "text", "csv"}
    ):
        assert other.file, f"{other}: say in the paragraph above which file this is"
        (tmp_path / other.file).write_text(other.text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(app, ["eval", "-c", block.file, "-o", "out.json"])
    assert ran.exit_code == 0, ran.output
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["results"]
    assert found["stats"]["successes"] == len(found["results"]) > 1
    assert "compatibility" not in ran.stdout


def test_the_calibration_that_is_shown_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty labels of thirty cases, and a judge that errs in one of ten."""
    chance = random.Random(1)
    lines = ["case,output,label,judge"]
    for number in range(60):
        good = number % 3 != 0
        judged = good if chance.random() < 0.9 else not good
        lines.append(f"c{number // 2},answer {number},{int(good)},{'yes' if judged else 'no'}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "promptship.toml").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(app, ["judge", "calibrate", "labels.csv"])
    assert ran.exit_code == 0, ran.output
    shown = re.sub(r"\d{4}-\d\d-\d\d", "2026-11-22", ran.stdout)
    assert shown in [block.text for block in BLOCKS if block.page.name == "judges.md"]


def test_every_kind_is_there() -> None:
    assert {block.file.rpartition(".")[2] for block in of_kind("prompt")} == {
        "yaml",
        "md",
        "json",
        "prompt",
        "prompty",
    }
    assert of_kind("suite")
    assert of_kind("settings")
    assert of_kind("promptfoo")
    assert of_kind("labels")


def test_the_first_repository_of_the_readme_is_lint_clean(tmp_path: Path) -> None:
    mine = [block for block in BLOCKS if block.page == ROOT / "README.md"]
    tree = {block.file: block.text for block in mine if kind(block) in {"prompt", "suite", "settings"}}
    assert set(tree) == {"prompts/support.yaml", "suites/support.yaml", "promptship.toml"}
    assert lint(tree, tmp_path) == []
    load_suite(WorkingTree(tmp_path), "suites", "support")
