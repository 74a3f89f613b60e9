"""What Nunjucks itself makes of these templates, kept in `nunjucks.jsonl`: the first line holds the variables. `nunjucks_files.json`: of several files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from promptship.evals.promptfoo.nunjucks import Nunjucks, TemplateError

_LINES = Path(__file__).with_name("nunjucks.jsonl").read_text(encoding="utf-8").splitlines()
_VARIABLES: dict[str, Any] = json.loads(_LINES[0])["variables"]
_CASES: list[dict[str, Any]] = [json.loads(line) for line in _LINES[1:]]
_JOINED: dict[str, Any] = json.loads(
    Path(__file__).with_name("nunjucks_files.json").read_text(encoding="utf-8")
)
_RENDERER = Nunjucks(env={"HOME": "/h", "X": "1"})


@pytest.mark.parametrize("case", _CASES, ids=[case["template"][:60] for case in _CASES])
def test_a_template_means_what_nunjucks_makes_of_it(case: dict[str, Any]) -> None:
    if case.get("fails"):
        with pytest.raises(TemplateError):
            _RENDERER.render(case["template"], _VARIABLES)
    else:
        assert _RENDERER.render(case["template"], _VARIABLES) == case["renders"]


def test_no_template_changes_the_variables_of_the_next() -> None:
    assert json.loads(_LINES[0])["variables"] == _VARIABLES


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Nunjucks:
    directory = tmp_path_factory.mktemp("templates")
    for name, content in _JOINED["files"].items():
        (directory / name).write_text(content, encoding="utf-8")
    return Nunjucks(files=directory)


@pytest.mark.parametrize("case", _JOINED["cases"], ids=[case["template"][:60] for case in _JOINED["cases"]])
def test_templates_of_several_files_mean_what_nunjucks_makes_of_them(
    case: dict[str, Any], joined: Nunjucks
) -> None:
    if case.get("fails"):
        with pytest.raises(TemplateError):
            joined.render(case["template"], _JOINED["variables"])
    else:
        assert joined.render(case["template"], _JOINED["variables"]) == case["renders"]
