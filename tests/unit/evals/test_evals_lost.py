"""Endpoints that cannot answer: what was answered is kept and shown, and no verdict is made of a part."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from promptship.adapters.memory.models import ScriptedModels
from promptship.chat import ChatRequest
from promptship.errors import Refused, Unavailable
from promptship.evals.calls import Limits
from promptship.evals.native import matrix
from promptship.evals.regression import regress
from promptship.evals.rows import Arm, Row
from promptship.evals.score import Scored
from promptship.evals.suite_run import Means, lost, run_suite, silent
from promptship.prompts.model import Prompt
from promptship.release.plan import Regression
from tests.support.services import FakeScripts
from tests.support.suites import prompt_of, suite_of

SUITE = """\
judge: {model: judge}
cases:
  - {id: a, vars: {question: one}, assert: [{type: contains, value: one}]}
  - {id: b, vars: {question: two}, trials: 1, assert: [{type: contains, value: two}]}
  - {id: c, vars: {question: three}, assert: [{type: contains, value: three}, {type: llm-rubric, value: kind}]}
"""
ARMS: dict[Arm, Prompt] = {"candidate": prompt_of(), "stable": prompt_of("Say: {{ question }}")}


def echo(request: ChatRequest) -> str:
    if request.model == "judge":
        return '{"pass": true}'
    return str(request.messages[-1]["content"])


async def no_pause(seconds: float) -> None:
    await asyncio.sleep(0)


def plan(**changes: Any) -> Regression:
    return Regression(**{"margin": 0.5, "trials": 1, **changes})


@pytest.mark.parametrize(
    ("error", "says"),
    [(Refused("judges say: 401"), "judges say: 401"), (Unavailable("503"), "")],
)
async def test_a_judge_that_refuses_leaves_no_verdict_and_one_that_is_down_costs_its_rows(
    error: Exception, says: str
) -> None:
    suite = suite_of(SUITE.replace("{id: c,", "{id: c, trials: 1,"))
    means = Means(
        models=ScriptedModels(lambda request: error if request.model == "judge" else echo(request)),
        scripts=FakeScripts(), limits=Limits(concurrency=3, attempts=1), pause=no_pause,
    )  # fmt: skip
    rows: list[Row] = []
    done = await regress(suite, ARMS, plan(unscored_max=0.5), means, on_row=rows.append)
    assert len(rows) == len(done.ran.rows) == 6, "what was answered is there for the report"
    assert sum(isinstance(row.score, Scored) for row in rows) == 4
    assert (done.verdict.outcome == "unscored") == bool(says)
    assert ([str(one) for one in lost(done.ran).values()] == [says]) == bool(says)
    assert done.verdict.because == says or not says


async def test_a_verdict_is_never_made_of_the_part_before_everything_went_down() -> None:
    suite = suite_of(
        "cases:\n"
        + "".join(
            f"  - {{vars: {{question: q{n}}}, assert: [{{type: contains, value: q}}]}}\n" for n in range(99)
        )
    )
    asked = iter(range(1000))
    models = ScriptedModels(lambda _: "q" if next(asked) < 80 else Unavailable("down"))
    limits = Limits(concurrency=1, attempts=1, down_max=1)
    means = Means(models=models, scripts=FakeScripts(), limits=limits, pause=no_pause)
    done = await regress(suite, ARMS, plan(unscored_max=0.5), means)
    assert (done.verdict.outcome, done.verdict.passes) == ("unscored", False)
    assert "1 call of m in a row got no answer" in done.verdict.because.replace("calls", "call")


async def test_a_column_of_a_matrix_without_any_score_is_named_with_its_reason() -> None:
    def moody(request: ChatRequest) -> str | Exception:
        return Unavailable("503 from b") if request.model == "b" else echo(request)

    rows: list[Row] = []
    arms = matrix({"p": prompt_of()}, ["a", "b"])
    for others, expected in (
        (arms, {"p@b": "the provider did not answer: 503 from b"}),
        ({"p@a": arms["p@a"]}, {}),
    ):
        rows.clear()
        means = Means(
            models=ScriptedModels(moody), scripts=FakeScripts(), limits=Limits(concurrency=1, attempts=1), pause=no_pause
        )  # fmt: skip
        _, result = await run_suite(suite_of(SUITE), others, means, trials=1, on_row=rows.append)
        assert {arm: str(error) for arm, error in silent(result, rows).items()} == expected
