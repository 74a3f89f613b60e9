"""Kept answers and the fingerprint that answers today: who is asked to find out, and what then counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from promptship.adapters.memory.models import ScriptedModels
from promptship.chat import ChatAnswer, ChatRequest
from promptship.errors import Unavailable
from promptship.evals.calls import Calls, Limits
from promptship.evals.current import CurrentAnswers
from promptship.evals.regression import regress
from promptship.evals.rows import Row
from promptship.evals.suite_run import Means
from promptship.release.plan import Regression
from tests.support.services import FakeScripts
from tests.support.suites import prompt_of, suite_of

SUITE = "cases:\n" + "".join(
    f"  - {{id: c{number}, vars: {{question: 'number {number}'}}, assert: [{{type: contains, value: ok}}]}}\n"
    for number in range(8)
)


class Kept(dict[str, ChatAnswer]):
    """Answers in memory."""

    def put(self, key: str, answer: ChatAnswer) -> None:
        self[key] = replace(answer, cached=True)


def by(fingerprint: str, model: str = "m-1") -> ChatAnswer:
    return ChatAnswer(text="ok", model=model, fingerprint=fingerprint)


async def run(kept: Kept, today: ChatAnswer | Exception, trials: int = 1) -> tuple[int, list[Row]]:
    """How many calls one run makes while `today` is what the provider says, and its rows."""
    asked = 0

    def answer(_: ChatRequest) -> ChatAnswer | Exception:
        nonlocal asked
        asked += 1
        return today

    async def no_pause(_: float) -> None:
        await asyncio.sleep(0)

    means = Means(
        models=ScriptedModels(answer), scripts=FakeScripts(), answers=kept, limits=Limits(concurrency=4, attempts=1),
        pause=no_pause,
    )  # fmt: skip
    rows: list[Row] = []
    await regress(
        suite_of(SUITE),
        {"candidate": prompt_of(), "stable": prompt_of("Say: {{ question }}")},
        Regression(margin=0.5, trials=trials),
        means,
        on_row=rows.append,
    )
    return asked, rows


@pytest.mark.parametrize(("today", "trials", "calls"), [
    (by("fp_1"), 3, 1),  # still the same: one call finds out
    (by("fp_2"), 3, 48),  # another: every kept answer is asked anew
    (by("fp_2"), 5, 80),  # and no old one stands beside the new trials
    (by("fp_1"), 5, 33),
    (by("fp_1", "m-2"), 3, 48),  # the alias points to another model
])  # fmt: skip
async def test_kept_answers_count_exactly_when_what_gave_them_still_answers(
    today: ChatAnswer, trials: int, calls: int
) -> None:
    kept = Kept()
    assert (await run(kept, by("fp_1"), 3))[0] == 48
    asked, rows = await run(kept, today, trials)
    assert Counter((row.model, row.fingerprint) for row in rows) == {
        (today.model, today.fingerprint): 16 * trials
    }
    assert asked == calls
    assert sum(not row.cached for row in rows) == calls


async def test_answers_without_a_fingerprint_are_kept_without_asking() -> None:
    kept = Kept()
    await run(kept, by(""))
    assert (await run(kept, by("")))[0] == 0


async def test_when_nobody_can_say_the_kept_answers_count_and_that_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept = Kept()
    await run(kept, by("fp_1"))
    asked, rows = await run(kept, Unavailable("503"))
    assert (asked, len(rows)) == (1, 16)
    assert {row.fingerprint for row in rows} == {"fp_1"}
    assert [record.message for record in caplog.records] == [
        "whether model m still answers as it did cannot be asked: kept answers are used"
    ]


async def test_a_cancelled_call_leaves_the_finding_out_to_the_next() -> None:
    kept = Kept()
    for key in ("a", "b"):
        kept.put(key, by("fp_1"))
    calls = Calls(Limits(), answers=kept)
    asking = CurrentAnswers(calls, kept)
    hangs = True

    async def once() -> ChatAnswer:
        if hangs:
            await asyncio.Event().wait()
        return by("fp_2")

    first = asyncio.create_task(asking.answer("e", once, model="m", key="a"))
    second = asyncio.create_task(asking.answer("e", once, model="m", key="b"))
    for _ in range(5):
        await asyncio.sleep(0)
    hangs = False
    first.cancel()
    assert (await second).fingerprint == "fp_2"
    assert calls.paid == 1
