"""Only what did not pass in an earlier run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from promptship.cli.eval_filters import filters_of, variables_of
from promptship.errors import ConfigError, Unavailable
from promptship.evals.promptfoo.run import Options
from tests.support.promptfoo import held, written

TESTS = [
    {"description": "lists", "vars": {"text": ["good", "bad"]}, "assert": [{"type": "contains", "value": "good"}]},
    {"description": "data", "vars": {"text": "bad", "more": '{"a": 1}'}, "assert": [{"type": "contains", "value": "good"}]},
    {"description": "fine", "vars": {"text": "good"}, "assert": [{"type": "contains", "value": "good"}]},
    {"description": "same words", "vars": {"text": "bad"}, "assert": [{"type": "contains", "value": "bad"}]},
    {"vars": {"text": "down"}},
]  # fmt: skip


def answer(prompt: str, _: object) -> object:
    return Unavailable("no answer") if prompt == "down" else prompt


@pytest.mark.parametrize("ending", ["json", "jsonl"])
@pytest.mark.parametrize(
    ("which", "marks"),
    [
        ("failing", ["fail", "fail", "error"]),
        ("failing-only", ["fail", "fail"]),
        ("errors-only", ["error"]),
    ],
)
async def test_the_rows_of_an_earlier_run_that_did_not_pass(
    which: str, marks: list[str], ending: str, tmp_path: Path
) -> None:
    written(tmp_path, tests=TESTS)
    before = await held(tmp_path, says=answer)
    path = tmp_path / f"before.{ending}"
    results = before.results["results"]["results"]
    lines = "\n".join(map(json.dumps, results))
    path.write_text(lines if ending == "jsonl" else json.dumps(before.results))
    options = Options(filters=filters_of((f"{which}={path}",)))
    run = await held(tmp_path, says=answer, options=options)
    assert [mark for _, _, mark in run.marks] == marks
    assert [test for test, _, _ in run.marks] == list(range(len(marks)))


@pytest.mark.parametrize("content", [None, "", "{}", "[1]", "no json"])
def test_a_file_without_results_is_refused(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    if content is not None:
        path.write_text(content)
    if content == "":
        assert filters_of((f"failing={path}",)).earlier is not None  # JSONL of a run without rows
        return
    with pytest.raises(ConfigError, match="that an earlier run wrote with -o"):
        filters_of((f"failing={path}",))


def test_variables_of_the_command_line_are_texts() -> None:
    assert variables_of(("n=5", "yes=true", "list=[1]", "empty=")) == {
        "n": "5", "yes": "true", "list": "[1]", "empty": "",
    }  # fmt: skip
