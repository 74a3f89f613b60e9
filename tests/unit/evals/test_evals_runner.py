from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from promptship.adapters.memory.models import ScriptedModels
from promptship.errors import ConfigError, Problem, Refused, Unavailable
from promptship.evals.cases import Suite
from promptship.evals.rows import Arm, Row, SuiteRun, from_json, to_json
from promptship.evals.runner import run
from promptship.evals.score import Scored, Unscored
from promptship.ports import ChatAnswer, ChatRequest, Models
from promptship.prompts.model import Prompt, Variable
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


async def ran(models: Models, suite: Suite | None = None, **options: Any) -> tuple[SuiteRun, list[Row]]:
    rows: list[Row] = []
    options = {
        "arms": ARMS,
        "trials": 2,
        "on_row": rows.append,
        "pause": no_pause,
        "concurrency": 3,
        **options,
    }
    return await run(suite or suite_of(SUITE), options.pop("arms"), models, **options), rows


async def test_every_case_every_trial_every_version_once() -> None:
    models = ScriptedModels(echo)
    result, rows = await ran(models)
    expected = Counter(
        (case, arm, trial) for case, n in (("a", 2), ("b", 1), ("c", 2)) for arm in ARMS for trial in range(n)
    )
    assert Counter(row.key for row in rows) == expected == Counter(row.key for row in result.rows)
    assert all(isinstance(row.score, Scored) and row.score.passed for row in rows)
    assert len(models.requests) == 10 + 4
    assert result.arms == ("candidate", "stable")


async def test_rows_of_a_run_are_slim_and_handed_on_rows_have_the_answers() -> None:
    result, rows = await ran(ScriptedModels(echo))
    assert all(
        row.answers and not kept.answers
        for row, kept in zip(sorted(rows, key=lambda r: r.key), result.rows, strict=True)
    )


async def test_versions_of_a_case_are_asked_side_by_side() -> None:
    models = ScriptedModels(echo)
    await ran(models, concurrency=1)
    asked = [
        str(request.messages[-1]["content"]).split(": ")[1]
        for request in models.requests
        if request.model == "m"
    ]
    assert asked[::2] == asked[1::2]


async def test_finished_rows_survive_json_and_are_not_paid_twice() -> None:
    _, rows = await ran(ScriptedModels(echo))
    kept = [from_json(json.loads(json.dumps(to_json(row)))) for row in rows]
    assert kept == rows
    models = ScriptedModels(echo)
    result, new = await ran(models, finished=kept)
    assert (len(models.requests), new, result.reused, len(result.rows)) == (0, [], 10, 10)


async def test_rows_without_score_or_of_another_text_are_asked_again() -> None:
    _, rows = await ran(ScriptedModels(echo))
    unscored = [
        Row(**{**_fields(row), "score": Unscored("judge down")}) if row.case == "a" else row for row in rows
    ]
    models = ScriptedModels(echo)
    result, _ = await ran(models, finished=unscored)
    assert (len(result.rows), len(models.requests), result.reused) == (10, 4, 6)
    changed = {"candidate": prompt_of("Reply: {{ question }}"), "stable": ARMS["stable"]}
    models = ScriptedModels(echo)
    await ran(models, finished=rows, arms=changed)
    assert {
        str(request.messages[-1]["content"])[:5] for request in models.requests if request.model == "m"
    } == {"Reply"}


def _fields(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Row.__dataclass_fields__}


async def test_one_401_ends_the_run_once_and_clearly() -> None:
    models = ScriptedModels(lambda request: Refused("provider x: 401"))
    with pytest.raises(Refused, match="provider x: 401"):
        await ran(models)
    assert len(models.requests) <= 3


async def test_other_failures_become_rows_without_score() -> None:
    def moody(request: ChatRequest) -> str | Exception:
        text = echo(request)
        if "two" in text:
            return Unavailable("503 from upstream")
        return ConfigError([Problem("m", "", "400", "too long")]) if "Answer: three" in text else text

    result, rows = await ran(ScriptedModels(moody), attempts=2)
    without = {row.key: row.score for row in rows if isinstance(row.score, Unscored)}
    assert set(without) == {
        ("b", "candidate", 0),
        ("b", "stable", 0),
        ("c", "candidate", 0),
        ("c", "candidate", 1),
    }
    assert without["b", "stable", 0] == Unscored("the provider did not answer", "503 from upstream")
    assert len(result.rows) == 10


async def test_a_provider_that_is_down_ends_the_run_and_what_was_answered_is_kept() -> None:
    suite = suite_of(
        "cases:\n"
        + "".join(
            f"  - {{vars: {{question: q{n}}}, assert: [{{type: contains, value: q{n}}}]}}\n"
            for n in range(60)
        )
    )
    answers: Iterator[str | Exception] = iter(["q"] * 5 + [Unavailable("connection refused")] * 1000)
    rows: list[Row] = []
    with pytest.raises(
        Unavailable, match="10 calls of m in a row got no answer; the last: connection refused"
    ):
        await ran(ScriptedModels(lambda _: next(answers)), suite, on_row=rows.append, attempts=1)
    assert sum(isinstance(row.score, Scored) for row in rows) == 5
    assert len(rows) < 20


async def test_turns_stand_between_the_models_real_answers() -> None:
    suite = suite_of("""\
        cases:
          - id: talk
            vars: {question: hi, name: Mira}
            messages: [{role: assistant, content: Welcome}]
            turns:
              - assert: [{type: equals, value: answer 1}]
              - {user: "I am {{ name }}", assert: [{type: equals, value: answer 2}]}
            assert: [{type: python, value: "context['prompt'][-1]['content'] == 'I am Mira'"}]
        """)
    models = ScriptedModels([ChatAnswer(text="answer 1", tokens_in=5, tokens_out=2, latency_ms=10.0),
                             ChatAnswer(text="answer 2", tokens_in=9, tokens_out=3, latency_ms=20.0)])  # fmt: skip
    _, (row,) = await ran(models, suite, arms={"candidate": prompt_of()}, trials=1)
    assert [message["content"] for message in models.requests[1].messages] == [
        "Answer: hi",
        "Welcome",
        "answer 1",
        "I am Mira",
    ]
    assert (row.answers, row.latency_ms, row.tokens_in, row.tokens_out) == (
        ("answer 1", "answer 2"),
        30.0,
        14,
        5,
    )
    assert [(one.turn, one.label) for one in row.asserted] == [(0, "equals"), (1, "equals"), (1, "python")]
    assert row.score == Scored(True, 1.0, "")


async def test_tool_calls_without_text_are_the_answer() -> None:
    suite = suite_of(
        "cases: [{vars: {question: x}, assert: [{type: contains-json, value: {required: [id]}}]}]"
    )
    models = ScriptedModels([ChatAnswer(text="", tool_calls=({"id": "c1", "function": {"name": "f"}},))])
    _, (row,) = await ran(models, suite, arms={"candidate": prompt_of()}, trials=1)
    assert row.score == Scored(True, 1.0, "")


async def test_a_suite_that_does_not_fit_the_candidate_is_refused_before_any_call() -> None:
    models = ScriptedModels(echo)
    arms: dict[Arm, Prompt] = {
        "candidate": prompt_of("{{ question }} {{ shop }}", question=Variable(), shop=Variable())
    }
    with pytest.raises(ConfigError) as caught:
        await ran(models, arms=arms)
    assert [problem.key for problem in caught.value.problems] == [f"cases[{n}].vars.shop" for n in range(3)]
    assert models.requests == []
    with pytest.raises(ConfigError, match="expected the model to ask"):
        await ran(models, arms={"candidate": prompt_of().model_copy(update={"model": None})})


async def test_cases_stable_cannot_be_asked_are_left_to_the_candidate() -> None:
    old = prompt_of("{{ question }} {{ shop }}", question=Variable(), shop=Variable())
    result, rows = await ran(ScriptedModels(echo), arms={"candidate": prompt_of(), "stable": old})
    assert result.incomparable == ("a", "b", "c")
    assert {row.arm for row in rows} == {"candidate"}


async def test_the_same_seed_asks_in_the_same_order() -> None:
    orders = []
    for seed in (1, 1, 2):
        models = ScriptedModels(echo)
        await ran(models, concurrency=1, seed=seed)
        orders.append([request.messages for request in models.requests])
    assert orders[0] == orders[1] != orders[2]


class Crowd:
    """Counts how many calls are under way."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def aclose(self) -> None:
        return

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        self.now -= 1
        return ChatAnswer(text="x")


async def test_concurrency_is_a_limit_and_is_used() -> None:
    crowd = Crowd()
    suite = suite_of(
        "cases:\n"
        + "".join(
            f"  - {{vars: {{question: q{n}}}, assert: [{{type: contains, value: x}}]}}\n" for n in range(12)
        )
    )
    await ran(crowd, suite, concurrency=4)
    assert crowd.most == 4
