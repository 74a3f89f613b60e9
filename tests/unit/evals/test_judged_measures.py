"""Judged types that measure: embeddings, moderation, classes, context, conversations."""

from __future__ import annotations

from typing import Any

import pytest

from promptship.evals.score import Scored, Unscored
from tests.support.judges import PROMPTFOO, ask, by_angle, verdict
from tests.support.services import FakeGraders, FakeScripts

# Embeddings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "threshold", "vectors", "passed", "score"),
    [
        ("similar", None, [[3.0, 0.0], [0.5, 0.0]], True, 1.0),
        ("similar", None, [[1.0, 0.0], [0.6, 0.8]], False, 0.6),
        ("similar:cosine", 0.6, [[1.0, 0.0], [0.6, 0.8]], True, 0.6),
        ("similar:cosine", None, [[1e-300, 0.0], [1e-300, 0.0]], True, 1.0),
        ("similar:cosine", None, [[1e300, 0.0], [1e300, 0.0]], True, 1.0),
        ("similar", None, [[1.0, 0.0], [-1.0, 0.0]], False, 0.0),
        ("similar:dot", 1.0, [[2.0, 0.0], [0.4, 9.0]], False, 0.8),
        ("similar:dot", 1.0, [[2.0, 0.0], [4.0, 0.0]], True, 1.0),
        ("similar:euclidean", None, [[1.0, 0.0], [1.0, 0.5]], True, 1 / 1.5),
        ("similar:euclidean", None, [[1.0, 0.0], [1.0, 1.0]], False, 0.5),
    ],
)
async def test_similarity_of_embeddings(
    kind: str, threshold: float | None, vectors: list[list[float]], passed: bool, score: float
) -> None:
    spec = {"type": kind, "value": "other", "threshold": threshold}
    judged = await ask(spec, FakeGraders(vectors=vectors))
    assert isinstance(judged.score, Scored)
    assert judged.score.passed is passed
    assert judged.score.score == pytest.approx(score)
    inverted = await ask({**spec, "type": f"not-{kind}"}, FakeGraders(vectors=vectors))
    assert isinstance(inverted.score, Scored)
    assert inverted.score.passed is not passed


async def test_one_close_text_of_several_is_enough() -> None:
    graders = FakeGraders(vectors=[[1.0, 0.0], [0.0, 1.0], [1.0, 0.1]])
    judged = await ask({"type": "similar", "value": ["a", "b"]}, graders)
    assert isinstance(judged.score, Scored)
    assert judged.score.passed
    assert graders.asked[0][1] == ["The tower is in Paris.", "a", "b"]


async def test_promptfoo_shows_the_similarity_itself() -> None:
    judged = await ask({"type": "similar:dot", "value": "x"}, FakeGraders(vectors=[[2.0], [2.0]]), PROMPTFOO)
    assert judged.score == Scored(True, 4.0)


@pytest.mark.parametrize(
    "vectors",
    [
        [[0.0, 0.0], [1.0, 0.0]],
        [[1.0]],
        [[1.0], [1.0, 2.0]],
        [[float("nan")], [1.0]],
        [["a"], ["b"]],
        [[], []],
        [1.0, 2.0],
    ],
)
async def test_vectors_that_say_nothing_are_no_score(vectors: Any) -> None:
    for kind in ("similar", "not-similar"):
        judged = await ask({"type": kind, "value": "x"}, FakeGraders(vectors=vectors))
        assert isinstance(judged.score, Unscored)


async def test_answer_relevance_is_the_mean_cosine_of_three_questions() -> None:
    says = '{"questions": ["q1", "q2", "q3"]}'
    vectors = by_angle({"q1": (1.0, 0.0), "q2": (0.6, 0.8), "q3": (0.0, 2.0)})
    judged = await ask({"type": "answer-relevance"}, FakeGraders(says=says, vectors=vectors))
    assert isinstance(judged.score, Scored)
    assert judged.score.passed
    assert judged.score.score == pytest.approx(1.6 / 3)
    judged = await ask(
        {"type": "answer-relevance", "threshold": 0.54}, FakeGraders(says=says, vectors=vectors)
    )
    assert isinstance(judged.score, Scored)
    assert not judged.score.passed


async def test_answer_relevance_takes_the_prompt_where_there_is_no_query() -> None:
    graders = FakeGraders(says='{"questions": ["a", "b", "c"]}', vectors=by_angle({}))
    await ask({"type": "answer-relevance"}, graders, vars={}, prompt="Tell me")
    assert graders.asked[-1][1] == ["Tell me", "a", "b", "c"]


# Flags and labels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "flags", "passed"),
    [
        (None, {}, True),
        (None, {"hate": 0.9}, False),
        (["violence"], {"hate": 0.9}, True),
        (["hate"], {"hate": 0.9}, False),
    ],
)
async def test_moderation_passes_exactly_when_no_wanted_category_is_flagged(
    value: Any, flags: Any, passed: bool
) -> None:
    graders = FakeGraders(flags=flags)
    judged = await ask({"type": "moderation", "value": value}, graders)
    assert isinstance(judged.score, Scored)
    assert (judged.score.passed, judged.score.score) == (passed, float(passed))
    assert graders.asked[0][1] == ("Where is the tower?", "The tower is in Paris.")


async def test_moderation_of_nothing_asks_nobody() -> None:
    graders = FakeGraders(flags={"hate": 1.0})
    assert (await ask({"type": "moderation"}, graders, output="")).score == Scored(True, 1.0)
    assert graders.asked == []


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [('[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]', "a"), ("plain", "plain"),
     ("- role: system\n  content: s", "s"), ('{"a": 1}', '{"a": 1}')],
)  # fmt: skip
async def test_moderation_is_told_what_the_user_said_last(prompt: str, asked: str) -> None:
    graders = FakeGraders()
    await ask({"type": "moderation"}, graders, messages=(), prompt=prompt)
    assert graders.asked[0][1][0] == asked


@pytest.mark.parametrize(
    ("value", "threshold", "passed", "score"),
    [("kind", None, False, 0.9), ("kind", 0.9, True, 0.9), (None, 0.5, True, 0.9), (None, None, False, 0.9)],
)
async def test_classifier(value: str | None, threshold: float | None, passed: bool, score: float) -> None:
    graders = FakeGraders(labels={"kind": 0.9, "rude": 0.1})
    judged = await ask({"type": "classifier", "value": value, "threshold": threshold}, graders)
    assert isinstance(judged.score, Scored)
    assert (judged.score.passed, judged.score.score) == (passed, score)


async def test_a_label_that_the_classifier_does_not_know_is_no_score_but_in_promptfoo() -> None:
    spec = {"type": "classifier", "value": "knid"}
    judged = await ask(spec, FakeGraders(labels={"kind": 0.9}))
    assert isinstance(judged.score, Unscored)
    assert "kind" in judged.score.reason
    judged = await ask(spec, FakeGraders(labels={"kind": 0.9}), PROMPTFOO)
    assert isinstance(judged.score, Scored)
    assert judged.score.score == 0.0


@pytest.mark.parametrize("labels", [{}, {"a": float("nan")}])
async def test_a_classifier_without_scores_is_no_score(labels: Any) -> None:
    assert isinstance((await ask({"type": "classifier"}, FakeGraders(labels=labels))).score, Unscored)


# Context --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["context-recall", "context-relevance", "context-faithfulness"])
async def test_the_context_may_come_from_a_script(kind: str) -> None:
    says = {"context-recall": ['{"attributed": [true]}'], "context-relevance": ['{"needed": [2]}'],
            "context-faithfulness": ['{"claims": ["a"]}', '{"supported": [true]}']}[kind]  # fmt: skip
    scripts = FakeScripts({"output.docs": ["first", "second"]})
    graders = FakeGraders(says=list(says))
    spec = {"type": kind, "contextTransform": "output.docs"} | (
        {"value": "x"} if kind == "context-recall" else {}
    )
    judged = await ask(spec, graders, scripts=scripts, vars={"query": "q"})
    assert isinstance(judged.score, Scored)
    assert scripts.asked[0].names["context"]["vars"] == {"query": "q"}
    assert "second" in graders.asked[-1][1][1]["content"]


@pytest.mark.parametrize("made", [None, 5, [], ["a", 1], "", ["", " "]])
async def test_a_context_that_is_none_is_no_score(made: Any) -> None:
    scripts = FakeScripts({"output.docs": made})
    spec = {"type": "context-relevance", "contextTransform": "output.docs"}
    assert isinstance((await ask(spec, FakeGraders(), scripts=scripts)).score, Unscored)


async def test_what_is_missing_is_said() -> None:
    for kind, variables in (
        ("context-faithfulness", {"context": "c"}),
        ("context-relevance", {"query": "q"}),
    ):
        judged = await ask({"type": kind}, FakeGraders(), vars=variables)
        assert isinstance(judged.score, Unscored)
        assert ("query" if kind == "context-faithfulness" else "context") in judged.score.reason


async def test_recall_without_a_context_takes_the_prompt() -> None:
    graders = FakeGraders(says='{"attributed": [true]}')
    judged = await ask({"type": "context-recall", "value": "x"}, graders, vars={}, prompt="the facts")
    assert judged.score == Scored(True, 1.0, "the context holds 1 of 1 statements")
    assert "the facts" in graders.asked[0][1][1]["content"]


async def test_an_answer_without_claims_has_no_faithfulness() -> None:
    judged = await ask({"type": "context-faithfulness"}, FakeGraders(says='{"claims": []}'))
    assert judged.score == Unscored("the answer makes no claim")


# Conversations --------------------------------------------------------------------------------------------------------


async def test_every_reply_of_a_conversation_is_seen_with_its_window() -> None:
    turns = [{"input": f"u{n}", "output": f"a{n}"} for n in range(4)]
    graders = FakeGraders(
        says=['{"relevant": true}', '{"relevant": false}', '{"relevant": true}', '{"relevant": true}']
    )
    judged = await ask(
        {"type": "conversation-relevance", "config": {"windowSize": 2}},
        graders,
        vars={"_conversation": turns},
    )
    assert isinstance(judged.score, Scored)
    assert judged.score.score == 0.75
    last = graders.asked[3][1][1]["content"]
    assert "u3" in last
    assert "u2" in last
    assert "u1" not in last


async def test_a_native_conversation_is_made_of_messages() -> None:
    messages = (
        {"role": "system", "content": "s"}, {"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "bye"},
    )  # fmt: skip
    graders = FakeGraders(says='{"relevant": true}')
    await ask({"type": "conversation-relevance"}, graders, output="ciao", messages=messages)
    assert len(graders.asked) == 2
    assert "[user] hi\n[assistant] hello\n[user] bye\n[assistant] ciao" in graders.asked[1][1][1]["content"]


async def test_a_goal_needs_steps() -> None:
    spec = {"type": "trajectory:goal-success", "value": "find it"}
    judged = await ask(spec, FakeGraders(), PROMPTFOO)
    assert isinstance(judged.score, Unscored)
    assert "trace" in judged.score.reason
    long = {"trace": {"spans": [{"name": f"step-{n}", "startTime": n} for n in range(60)]}}
    graders = FakeGraders(says=verdict(True))
    await ask(spec, graders, metadata=long)
    told = graders.asked[0][1][1]["content"]
    assert "step-11" in told
    assert "step-30" not in told
    assert "step-59" in told
    assert '"steps left out":36' in told
    graders = FakeGraders(says=verdict(True))
    await ask(spec, graders, tool_calls=({"function": {"name": "look"}},))
    assert "look" in graders.asked[0][1][1]["content"]
