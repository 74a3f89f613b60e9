"""How a suite's verdict looks in text and in Markdown. `make golden` rewrites the files; read the diff."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from promptship.evals.compare import compare
from promptship.evals.reports.markdown import to_markdown
from promptship.evals.reports.text import to_text
from promptship.evals.rows import SuiteRun
from promptship.evals.suite import suite_schema
from promptship.evals.verdict import SuiteVerdict
from tests.support.suite_runs import run_of

HERE = Path(__file__).parent


def judged(run: SuiteRun) -> SuiteVerdict:
    return compare(run, margin=0.05, alpha=0.05, unscored_max=0.05, pass_rate_min=0.0)


VERDICTS = {
    "passed": judged(run_of(["+++"] * 70 + ["++-"], ["+++"] * 71)),
    "too_small": judged(run_of(["+++"] * 8, ["+++"] * 8)),
    "regressed": judged(
        run_of({**{f"ok-{n}": "+++" for n in range(20)}, "pi|pe_[x](y)": "---", "<b>": "+--", "refund": "---", "won": "+++", "lost": "-?-"},
               {**{f"ok-{n}": "+++" for n in range(20)}, "pi|pe_[x](y)": "+++", "<b>": "+++", "refund": "++-", "won": "---"},
               blocking=["refund"])
    ),
    "first": judged(run_of({"a": "+++", "b": "+--", "c": "---"})),
    "unscored": judged(run_of(["+++", "???"], ["+++", "+++"])),
}  # fmt: skip


@pytest.mark.parametrize("ending", ["txt", "md"])
@pytest.mark.parametrize("name", VERDICTS)
def test_reports_look_as_kept(name: str, ending: str) -> None:
    render = to_text if ending == "txt" else to_markdown
    path = HERE / f"{name}.{ending}"
    if os.environ.get("PROMPTSHIP_UPDATE_GOLDEN"):
        path.write_text(render(VERDICTS[name]), encoding="utf-8")
    assert path.read_text(encoding="utf-8") == render(VERDICTS[name])


def test_every_kind_of_part_in_the_schema_has_a_description_or_a_name_that_says_it() -> None:
    definitions = suite_schema()["$defs"]
    assert {"AssertionSpec", "CaseFile", "JudgeSettings"} <= set(definitions)
    assert all(definition.get("description") for definition in definitions.values())
