"""A limit in USD is kept, or the run ends: at the first answer whose cost nobody knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from promptship.chat import ChatAnswer, ChatRequest
from promptship.errors import Refused, Unavailable
from promptship.evals.calls import COST_UNKNOWN, Calls, Limits, unanswered
from promptship.evals.native import native_groups
from promptship.evals.rows import Row
from promptship.evals.score import Scored, Unscored
from promptship.evals.suite_run import Means, run_suite
from promptship.evals.verdict import ArmSummary, Rules, SuiteOutcome, SuiteVerdict
from promptship.tasks.evaluation import concluded
from tests.support.services import FakeScripts
from tests.support.suites import prompt_of, suite_of

SUITE = suite_of(
    "cases:\n"
    + "".join(
        f"  - {{vars: {{question: q{n}}}, assert: [{{type: contains, value: q}}]}}\n" for n in range(20)
    )
)
ARMS = {"candidate": prompt_of()}


class Priced:
    """Models whose answers cost a cent; from the n-th on nobody knows."""

    def __init__(self, known: int) -> None:
        self.known, self.asked = known, 0

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        self.asked += 1
        cost = 0.01 if self.asked <= self.known else None
        return ChatAnswer(text=str(request.messages[-1]["content"]), cost_usd=cost, model="m-1")


async def ran(models: Any, finished: tuple[Row, ...] = (), **limits: Any) -> list[Row]:
    rows: list[Row] = []
    means = Means(models=models, scripts=FakeScripts(), limits=Limits(concurrency=1, **limits))
    await run_suite(SUITE, ARMS, means, trials=1, on_row=rows.append, finished=finished)
    return rows


async def test_no_call_starts_after_an_answer_without_a_cost_and_what_was_answered_is_kept() -> None:
    models = Priced(known=3)
    rows = await ran(models, spend_max_usd=5.0)
    assert models.asked == 4
    assert sum(isinstance(row.score, Scored) for row in rows) == 4
    lost = [row.score for row in rows if isinstance(row.score, Unscored)]
    assert [one.reason for one in lost] == [COST_UNKNOWN] * 16
    assert "model m-1" in lost[0].detail
    assert "--allow-unpriced" in lost[0].detail


@pytest.mark.parametrize("limits", [{}, {"spend_max_usd": 5.0, "allow_unpriced": True}])
async def test_without_a_limit_and_with_leave_it_goes_on(limits: dict[str, Any]) -> None:
    rows = await ran(Priced(known=0), **limits)
    assert all(isinstance(row.score, Scored) for row in rows)


async def test_a_run_that_is_taken_up_again_counts_what_it_has_cost_and_what_nobody_knows() -> None:
    (unit,) = next(iter(native_groups(SUITE, ARMS, never, trials=1))).units
    row = Row(case=unit.case, arm=unit.arm, trial=unit.trial, digest=unit.digest, score=Scored(True, 1.0), answers=("q",), cost_usd=4.99)  # fmt: skip
    cheap = Priced(known=99)
    assert sum(isinstance(one.score, Scored) for one in await ran(cheap, (row,), spend_max_usd=5.0)) == 1
    models = Priced(known=99)
    rows = await ran(models, (replace(row, cost_usd=None),), spend_max_usd=5.0)
    assert models.asked == 0
    assert len(rows) == 19
    assert {one.score.reason for one in rows if isinstance(one.score, Unscored)} == {COST_UNKNOWN}


async def never(request: ChatRequest, trial: int) -> ChatAnswer:
    raise AssertionError


async def test_other_endpoints_and_judges_share_the_end() -> None:
    async def unknown() -> ChatAnswer:
        return ChatAnswer(text="?")

    calls = Calls(Limits(spend_max_usd=1.0))
    assert (await calls.answer("a", unknown)).text == "?"
    with pytest.raises(Unavailable, match=COST_UNKNOWN) as caught:
        await calls.answer("b", unknown)
    assert unanswered(caught.value).reason == COST_UNKNOWN
    assert calls.dead == {}


def test_a_release_is_refused_as_with_a_budget_that_is_spent() -> None:
    verdict = SuiteVerdict(
        suite="s", outcome=SuiteOutcome.UNSCORED, passes=False, because="19 of 20 trials have no score", warnings=(),
        rules=Rules(margin=0.05, alpha=0.05, unscored_max=0.0, pass_rate_min=0.0), cases=20, candidate=ArmSummary(trials=1, unscored=19),
        stable=None, difference=None, counts={}, changes=(), left_out=0, not_asked=0, unscored_because=((COST_UNKNOWN, 19),),
    )  # fmt: skip
    with pytest.raises(
        Refused, match=r"the cost of an answer is not known; give price_in.*allow_unpriced in \[evaluation\]"
    ):
        concluded(None, [verdict], [()])


async def test_judges_whose_cost_nobody_knows_are_counted_beside_the_known_cost() -> None:
    async def judged_by(known: int) -> Row:
        rubric = suite_of(
            "judge: {model: j}\ncases:\n  - {vars: {question: q}, assert: [{type: llm-rubric, value: polite}]}\n"
        )

        class Judge(Priced):
            async def complete(self, request: ChatRequest) -> ChatAnswer:
                answer = await super().complete(request)
                return replace(answer, text='{"reason": "ok", "pass": true, "score": 1}')

        rows: list[Row] = []
        models: Any = Judge(known)
        means = Means(models=models, scripts=FakeScripts(), limits=Limits(concurrency=1))
        await run_suite(rubric, ARMS, means, trials=1, on_row=rows.append)
        return rows[0]

    assert ((await judged_by(2)).judge_unpriced, (await judged_by(2)).judge_cost_usd) == (0, 0.01)
    assert ((await judged_by(1)).judge_unpriced, (await judged_by(1)).judge_cost_usd) == (1, 0.0)
