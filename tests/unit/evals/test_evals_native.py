from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from promptship.adapters.memory.models import ScriptedModels
from promptship.chat import ChatAnswer, ChatRequest
from promptship.errors import ConfigError, Problem, Refused, Unavailable
from promptship.evals.calls import Limits
from promptship.evals.cases import Suite
from promptship.evals.native import arm_facts, inputs_digest, matrix
from promptship.evals.rows import Arm, Row, SuiteRun, from_json, to_json
from promptship.evals.score import Scored, Unscored
from promptship.evals.suite_run import Means, raise_if_lost, run_suite
from promptship.evals.trial import NOT_RUN
from promptship.ports import Models
from promptship.prompts.model import Prompt, Variable
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


async def ran(models: Models, suite: Suite | None = None, **options: Any) -> tuple[SuiteRun, list[Row]]:
    """A run that ends with what `raise_if_lost` says about it."""
    rows: list[Row] = []
    limits = Limits(concurrency=options.pop("concurrency", 3), attempts=options.pop("attempts", 4))
    means = Means(models=models, scripts=FakeScripts(), limits=limits, pause=no_pause)
    options = {"arms": ARMS, "trials": 2, "on_row": rows.append, **options}
    outcome, result = await run_suite(suite or suite_of(SUITE), options.pop("arms"), means, **options)
    raise_if_lost(result)
    return outcome, rows


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
    unscored = [replace(row, score=Unscored("judge down")) if row.case == "a" else row for row in rows]
    models = ScriptedModels(echo)
    result, _ = await ran(models, finished=unscored)
    assert (len(result.rows), len(models.requests), result.reused) == (10, 4, 6)
    changed = {"candidate": prompt_of("Reply: {{ question }}"), "stable": ARMS["stable"]}
    models = ScriptedModels(echo)
    await ran(models, finished=rows, arms=changed)
    assert {
        str(request.messages[-1]["content"])[:5] for request in models.requests if request.model == "m"
    } == {"Reply"}


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
    assert {row.error for row in rows if row.case == "b"} == {
        "the provider did not answer: 503 from upstream"
    }
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
            assert: [{type: contains, value: answer}]
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
    assert [(one.turn, one.label) for one in row.asserted] == [(0, "equals"), (1, "equals"), (1, "contains")]
    assert row.score == Scored(True, 1.0, "")
    assert [message["content"] for message in json.loads(row.sent)] == [
        "Answer: hi", "Welcome", "answer 1", "I am Mira",
    ]  # fmt: skip


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
    assert "vars.shop is missing" in str(caught.value)
    assert [problem.line for problem in caught.value.problems] == [3, 4, 5]
    assert models.requests == []
    misspelt = suite_of("cases: [{id: a, vars: {qestion: x}, assert: [{type: contains, value: x}]}]")
    with pytest.raises(ConfigError, match="case a: qestion is no variable of the prompt"):
        await ran(models, suite=misspelt)
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


async def test_tool_calls_are_passed_back_as_tool_calls_each_with_a_result() -> None:
    suite = suite_of("""\
        cases:
          - vars: {question: x}
            turns: [{}, {user: and now?}]
            assert: [{type: contains, value: done}]
        """)
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    models = ScriptedModels([ChatAnswer(text="", tool_calls=(call,)), "done"])
    await ran(models, suite, arms={"candidate": prompt_of()}, trials=1)
    assert models.requests[1].messages[1:] == (
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": NOT_RUN},
        {"role": "user", "content": "and now?"},
    )


ATTACK = """\
attacker: {model: a}
cases:
  - vars: {question: hi}
    turns: [{user: first}]
    attack: {goal: the password, turns_max: 3}
    assert: [{type: not-contains, value: password}]
"""


@pytest.mark.parametrize(("weak_at", "asked"), [(0, 1), (2, 3), (99, 4)])
async def test_an_attacker_goes_on_after_the_turns_until_an_answer_fails(weak_at: int, asked: int) -> None:
    seen: list[tuple[str, int]] = []

    async def attacker(goal: str, messages: Sequence[Mapping[str, Any]], trial: int) -> ChatAnswer:
        seen.append((goal, len(messages)))
        return ChatAnswer(text=f"attack {len(seen)}", tokens_in=2, tokens_out=1)

    models = ScriptedModels("the password" if n == weak_at else "no" for n in range(9))
    _, (row,) = await ran(
        models, suite_of(ATTACK), arms={"candidate": prompt_of()}, trials=1, attacker=attacker
    )
    assert len(models.requests) == asked
    assert seen == [("the password", 3 + 2 * n) for n in range(asked - 1)]
    assert isinstance(row.score, Scored)
    assert row.score.passed == (weak_at == 99)
    assert [one.turn for one in row.asserted] == list(range(asked))
    assert row.judge_tokens == 3 * (asked - 1)
    assert row.judge_unpriced == asked - 1


async def test_the_suites_attacker_is_a_model_that_sees_the_conversation() -> None:
    models = ScriptedModels(["no", "tell me more", "the password"])
    _, (row,) = await ran(models, suite_of(ATTACK), arms={"candidate": prompt_of()}, trials=1)
    attacker = models.requests[1]
    assert attacker.model == "a"
    assert "the password" in attacker.messages[0]["content"]
    assert "[user] first" in attacker.messages[1]["content"]
    assert models.requests[2].messages[-1] == {"role": "user", "content": "tell me more"}
    assert isinstance(row.score, Scored)
    assert not row.score.passed


async def test_what_the_provider_said_besides_is_in_the_row() -> None:
    answer = ChatAnswer(
        text="one", model="m-1", fingerprint="fp", finish_reason="stop", tokens_in=3, tokens_out=2, tokens_cached=1,
        cost_usd=0.25, latency_ms=7.0, value={"a": 1}, metadata={"trace": "t"},
    )  # fmt: skip
    suite = suite_of(
        "cases: [{vars: {question: x}, assert: [{type: contains, value: one, metric: first, weight: 2}]}]"
    )
    _, (row,) = await ran(ScriptedModels([answer]), suite, arms={"candidate": prompt_of()}, trials=1)
    assert (row.model, row.fingerprint, row.finish_reason, row.cost_usd) == ("m-1", "fp", "stop", 0.25)
    assert (row.tokens_in, row.tokens_out, row.tokens_cached, row.latency_ms) == (3, 2, 1, 7.0)
    assert (row.value, row.metadata, row.named, row.cached) == (
        {"a": 1},
        {"trace": "t"},
        {"first": 1.0},
        False,
    )
    assert (row.asserted[0].type, row.asserted[0].weight, row.asserted[0].metric) == (
        "contains",
        2.0,
        "first",
    )


async def test_a_judge_that_refuses_costs_the_score_not_the_answer() -> None:
    def moody(request: ChatRequest) -> str | Exception:
        return Refused("judge: 401") if request.model == "judge" else echo(request)

    rows: list[Row] = []
    with pytest.raises(Refused, match="judge: 401"):
        await ran(ScriptedModels(moody), on_row=rows.append)
    assert len(rows) == 10
    lost = [row for row in rows if isinstance(row.score, Unscored)]
    assert {row.case for row in lost} == {"c"}
    assert all(row.answers for row in lost)


async def test_a_matrix_asks_every_prompt_with_every_model_and_one_dead_model_leaves_the_others() -> None:
    def moody(request: ChatRequest) -> str | Exception:
        return Unavailable("gone") if request.model == "b" else str(request.messages[-1]["content"])

    arms = matrix({"short": prompt_of(), "long": prompt_of("Please answer: {{ question }}")}, ["a", "b"])
    assert list(arms) == ["short@a", "short@b", "long@a", "long@b"]
    suite = suite_of(
        "cases:"
        + "".join(
            f"\n  - {{vars: {{question: q{n}}}, assert: [{{type: contains, value: q{n}}}]}}"
            for n in range(20)
        )
    )
    outcome, rows = await ran(ScriptedModels(moody), suite, arms=arms, trials=1, attempts=1)
    assert outcome.arms == ("long@a", "long@b", "short@a", "short@b")
    assert Counter((row.arm[-1], isinstance(row.score, Scored)) for row in rows) == {
        ("a", True): 40,
        ("b", False): 40,
    }
    assert [(fact.key, fact.model) for fact in arm_facts(arms)][:2] == [("long@a", "a"), ("long@b", "b")]


def test_inputs_of_a_run_are_the_same_exactly_when_nothing_that_matters_changed() -> None:
    suite = suite_of(SUITE)
    same = inputs_digest(suite, ARMS, 2)
    assert same == inputs_digest(suite_of(SUITE), dict(reversed(ARMS.items())), 2)
    others = [
        inputs_digest(suite, ARMS, 3),
        inputs_digest(suite, {"candidate": ARMS["candidate"]}, 2),
        inputs_digest(suite, {**ARMS, "candidate": prompt_of("Other: {{ question }}")}, 2),
        inputs_digest(suite_of(SUITE.replace("three", "four")), ARMS, 2),
        inputs_digest(suite, ARMS, 2, endpoint=lambda model: f"{model} elsewhere"),
        inputs_digest(
            suite, ARMS, 2, endpoint=lambda model: f"{model} elsewhere" if model == "judge" else model
        ),
        inputs_digest(suite, ARMS, 2, scripts={"suites/check.py": "0"}),
    ]
    assert same not in others
    assert len(set(others)) == len(others)


def test_a_run_is_gone_on_with_by_the_version_that_began_it(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = inputs_digest(suite_of(SUITE), ARMS, 2)
    monkeypatch.setattr("promptship.evals.native.__version__", "99.0")
    assert inputs_digest(suite_of(SUITE), ARMS, 2) != mine


async def test_rows_of_another_address_are_asked_again() -> None:
    def at(**moved: str) -> Means:
        return Means(
            models=ScriptedModels(echo), scripts=FakeScripts(), limits=Limits(concurrency=3), pause=no_pause,
            endpoint=lambda model: moved.get(model, model),
        )  # fmt: skip

    arms = {"candidate": prompt_of(), "stable": prompt_of().model_copy(update={"model": "old"})}
    suite = suite_of(SUITE)
    rows: list[Row] = []
    await run_suite(suite, arms, at(), trials=2, on_row=rows.append)
    for moved, reused in (({}, 10), ({"old": "elsewhere"}, 5), ({"judge": "elsewhere"}, 0)):
        _, again = await run_suite(suite, arms, at(**moved), trials=2, finished=rows)
        assert again.reused == reused
