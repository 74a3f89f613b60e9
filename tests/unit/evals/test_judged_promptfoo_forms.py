"""Replies in the forms promptfoo's judges use: what it makes of them was seen by running it (0.123.1) with canned judges."""

from __future__ import annotations

from typing import Any

import pytest

from promptship.evals.assertions import AssertionSpec, BuildContext, Dialect, build
from promptship.evals.score import Scored, Unscored
from tests.support.services import FakeGraders, subject


def no_files(name: str) -> str:
    raise AssertionError(name)


VARS = {"query": "north", "context": "One. Two. Three."}
Outcome = tuple[bool, float] | None

# Assertion, replies in turn (the last is repeated), pass and score as promptfoo shows them; None: it has no verdict.
# promptfoo calls the last a fail with score 0.
SEEN: list[tuple[dict[str, Any], list[str], Outcome]] = [
    ({"type": "llm-rubric", "value": "r"}, ['{"pass":true,"score":0.4}'], (True, 0.4)),
    ({"type": "llm-rubric", "value": "r", "threshold": 0.5}, ['{"pass":true,"score":0.4}'], (False, 0.4)),
    ({"type": "llm-rubric", "value": "r"}, ['{"score":0.2}'], (True, 0.2)),
    ({"type": "llm-rubric", "value": "r"}, ['{"pass":null, "score":null}'], (True, 0.0)),
    ({"type": "llm-rubric", "value": "r"}, ['{"pass":"Yes"}'], (True, 1.0)),
    ({"type": "llm-rubric", "value": "r"}, ['{"pass":"maybe", "score": "0.9"}'], (False, 0.9)),
    ({"type": "llm-rubric", "value": "r"}, ["Sure: {pass: true, score: 0.5,}"], (True, 0.5)),
    ({"type": "llm-rubric", "value": "r"}, ['{"pass":true,"score":8}'], (True, 8.0)),
    ({"type": "llm-rubric", "value": "r"}, ["I think so"], None),
    ({"type": "llm-rubric", "value": "r"}, ["[1,2]"], None),
    ({"type": "llm-rubric", "value": "r"}, ['{"pass":true,"reason":"it is'], None),
    ({"type": "not-llm-rubric", "value": "r"}, ["I think so"], None),
    ({"type": "not-llm-rubric", "value": "r"}, ['{"pass":true,"score":0.75}'], (False, 0.25)),
    ({"type": "model-graded-closedqa", "value": "r"}, ["because Y"], (True, 1.0)),
    ({"type": "model-graded-closedqa", "value": "r"}, ["because\nN\n"], (False, 0.0)),
    ({"type": "model-graded-closedqa", "value": "r"}, ["Y."], None),
    ({"type": "factuality", "value": "r"}, ["(B) superset"], (True, 1.0)),
    ({"type": "factuality", "value": "r"}, ['{"category":"d","reason":"no"}'], (False, 0.0)),
    ({"type": "factuality", "value": "r"}, ['{"category":"Z"}'], None),
    ({"type": "factuality", "value": "r"}, ["It is fine (see above)"], None),
    (
        {"type": "g-eval", "value": "r"},
        ['{"steps": ["a","b"]}', '{"reason":"fine","score":"7"}'],
        (True, 0.7),
    ),
    (
        {"type": "g-eval", "value": "r"},
        ['{"steps": ["a","b"]}', 'It is {"reason":"fine","score":6}'],
        (False, 0.6),
    ),
    (
        {"type": "context-recall", "value": "x"},
        ["1. one. so [Attributed]\n2. two. so [Not Attributed]"],
        (True, 0.5),
    ),
    ({"type": "context-recall", "value": "x"}, ["hm"], None),
    ({"type": "context-relevance"}, ["One."], (False, 1 / 3)),
    ({"type": "context-relevance"}, ["Insufficient Information"], (False, 0.0)),
    ({"type": "context-relevance"}, ["Four."], None),
    ({"type": "context-faithfulness"}, ["s1\ns2", "Verdict: Yes. Verdict: No."], (True, 0.5)),
    (
        {"type": "context-faithfulness"},
        ["s1\ns2", "Final verdict for each statement in order: Yes. Yes."],
        (True, 1.0),
    ),
    (
        {"type": "context-faithfulness"},
        ["s1\ns2", "Final verdict for each statement in order: Yes."],
        (True, 0.5),
    ),
    ({"type": "context-faithfulness"}, ["s1\ns2", "dunno"], None),
    ({"type": "answer-relevance"}, ["where north?"], (True, 1.0)),
    ({"type": "answer-relevance"}, ["where north?", "where x?", "where south?"], (False, 0.105409255338946)),
    ({"type": "answer-relevance"}, ["I cannot help with that."], None),
    ({"type": "conversation-relevance"}, ['{"verdict":"yes"}'], (True, 1.0)),
    ({"type": "conversation-relevance"}, ['{"verdict": no, "reason":"z"}'], (False, 0.0)),
    ({"type": "conversation-relevance"}, ['{"verdict":"maybe"}'], None),
]


def vectors(texts: list[str]) -> list[list[float]]:
    return [
        [0.0, 2.0] if "north" in text else [0.0, -3.0] if "south" in text else [3.0, 1.0] for text in texts
    ]


@pytest.mark.parametrize(("spec", "replies", "outcome"), SEEN)
async def test_replies_mean_what_promptfoo_makes_of_them(
    spec: dict[str, Any], replies: list[str], outcome: Outcome
) -> None:
    context = BuildContext(read=no_files, dialect=Dialect.PROMPTFOO)
    graders = FakeGraders(says=[*replies, *[replies[-1]] * 3], vectors=vectors)
    prepared = build(AssertionSpec.model_validate(spec), context)
    judged = await prepared.assertion.judge(subject("say", graders=graders, vars=VARS, prompt="p"))
    if outcome is None:
        assert isinstance(judged.score, Unscored)
    else:
        assert isinstance(judged.score, Scored), judged.score
        assert judged.score.passed is outcome[0]
        assert judged.score.score == pytest.approx(outcome[1])


async def test_braces_in_prose_are_no_verdict() -> None:
    # promptfoo takes the first braces for a verdict, and one without `pass` for a pass.
    context = BuildContext(read=no_files, dialect=Dialect.PROMPTFOO)
    prepared = build(AssertionSpec(type="llm-rubric", value="r"), context)
    for says, passed in (
        ('The {tone} is met. {"pass":false,"score":0}', False),
        ("The {tone} is met.", None),
    ):
        judged = await prepared.assertion.judge(subject("say", graders=FakeGraders(says=says)))
        assert (judged.score.passed if isinstance(judged.score, Scored) else None) is passed


async def test_scores_of_facts_come_from_the_options_of_the_test() -> None:
    context = BuildContext(read=no_files, dialect=Dialect.PROMPTFOO)
    prepared = build(AssertionSpec(type="factuality", value="r"), context)
    test = {"options": {"factuality": {"superset": 0.3, "disagree": 0.3}}}
    for says in ("(B) superset", "(D) x"):
        judged = await prepared.assertion.judge(subject("say", graders=FakeGraders(says=says), test=test))
        assert isinstance(judged.score, Scored)
        assert (judged.score.passed, judged.score.score) == (True, 0.3)
