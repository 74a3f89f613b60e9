"""Every judged type, both ways round, with judges that behave and with judges that do not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from promptship.errors import ConfigError, Problem, Refused, Unavailable
from promptship.evals.assertions import AssertionSpec, BuildContext, build
from promptship.evals.assertions.judged import COMPARED, JUDGED, NOT_VOTING, RUBRICS_VERSION
from promptship.evals.score import Scored, Subject, Unscored
from promptship.evals.services import Services
from tests.support.judges import NATIVE, PROMPTFOO, SPANS, ask, verdict
from tests.support.services import FakeGraders, FakeScripts

# Type, what the judge says when the answer is good, when it is bad, and the two scores.
ORDINARY: list[tuple[dict[str, Any], list[str], list[str], float, float]] = [
    ({"type": "llm-rubric", "value": "is right"}, [verdict(True, 0.9)], [verdict(False, 0.2)], 0.9, 0.2),
    ({"type": "llm-rubric", "value": "is right"}, [verdict(True)], [verdict(False)], 1.0, 0.0),
    ({"type": "llm-rubric", "value": {"tone": "kind"}}, ["```json\n" + verdict(True, 1) + "\n```"], [verdict(False, 0)], 1.0, 0.0),
    ({"type": "llm-rubric", "value": "x", "threshold": 0.5}, [verdict(True, 0.5)], [verdict(True, 0.4)], 0.5, 0.4),
    ({"type": "model-graded-closedqa", "value": "says where"}, [verdict(True)], [verdict(False)], 1.0, 0.0),
    ({"type": "factuality", "value": "Paris"}, ['{"category": "B", "reason": "more"}'], ['{"category": "D"}'], 1.0, 0.0),
    ({"type": "model-graded-factuality", "value": "Paris", "config": {"superset": 0.4}}, ['{"category": "B"}'],
     ['{"category": "D"}'], 0.4, 0.0),
    ({"type": "g-eval", "value": "is short"}, ['{"steps": ["count"]}', '{"reason": "r", "score": 7}'],
     ['{"steps": ["count"]}', '{"reason": "r", "score": 6}'], 0.7, 0.6),
    ({"type": "g-eval", "value": ["a", "b"], "threshold": 0.6}, ['{"steps": ["x"]}', '{"score": 4}', '{"steps": ["y"]}', '{"score": 8}'],
     ['{"steps": ["x"]}', '{"score": 4}', '{"steps": ["y"]}', '{"score": 7}'], 0.6, 0.55),
    ({"type": "context-recall", "value": "One. Two."}, ['{"attributed": [true, false]}'], ['{"attributed": [false, false]}'], 0.5, 0.0),
    ({"type": "context-relevance"}, ['{"needed": [1, 1]}'], ['{"needed": []}'], 0.5, 0.0),
    ({"type": "context-faithfulness"}, ['{"claims": ["a", "b"]}', '{"supported": [true, true]}'],
     ['{"claims": ["a", "b", "c"]}', '{"supported": [true, false, false]}'], 1.0, 1 / 3),
    ({"type": "conversation-relevance"}, ['{"relevant": true}'], ['{"relevant": false, "reason": "other topic"}'], 1.0, 0.0),
    ({"type": "trajectory:goal-success", "value": {"goal": "find it"}}, [verdict(True, 1)], [verdict(False, 0.3)], 1.0, 0.3),
    ({"type": "search-rubric", "value": "is still so", "provider": "m"}, [verdict(True)], [verdict(False)], 1.0, 0.0),
    ({"type": "agent-rubric", "value": "is done", "provider": "m"}, [verdict(True)], [verdict(False)], 1.0, 0.0),
    ({"type": "pi", "value": "Is it kind?", "provider": "m"}, ['{"score": 0.6}'], ['{"score": 0.5}'], 0.6, 0.5),
]  # fmt: skip


@pytest.mark.parametrize("context", [NATIVE, PROMPTFOO], ids=["native", "promptfoo"])
@pytest.mark.parametrize(
    ("spec", "good", "bad", "high", "low"),
    ORDINARY,
    ids=lambda one: one["type"] if isinstance(one, dict) else "",
)
async def test_a_judge_decides_both_ways(
    spec: dict[str, Any], good: list[str], bad: list[str], high: float, low: float, context: BuildContext
) -> None:
    for says, passed, score in ((good, True, high), (bad, False, low)):
        graders = FakeGraders(says=list(says))
        judged = await ask(spec, graders, context, metadata=SPANS)
        assert isinstance(judged.score, Scored), judged.score
        assert judged.score.passed is passed
        assert judged.score.score == pytest.approx(score)
        assert judged.judge_tokens == 7 * len(says)
        assert judged.judge == RUBRICS_VERSION
        assert judged.said == "\n\n".join(says)
        assert all(who == spec.get("provider") for _, _, who in graders.asked)


# What is no verdict, by type; each is said twice, since a judge is asked once more.
MALFORMED: list[tuple[dict[str, Any], list[list[str]]]] = [
    ({"type": "llm-rubric", "value": "x"},
     [["yes"], [""], ['{"score": 1}'], ['{"pass": "true"}'], ['{"pass": true, "score": 2}'], ['{"pass": true, "score": NaN}'],
      ['Sure {"pass": true}'], ["[true]"], ["[" * 50_000], ['{"pass": true, "score": true}'], ['{"pass": true, "reason": "cut']]),
    ({"type": "model-graded-closedqa", "value": "x"}, [["Y"], ['{"pass": 1}']]),
    ({"type": "factuality", "value": "x"}, [["(A)"], ['{"category": "F"}'], ['{"category": null}']]),
    ({"type": "g-eval", "value": "x"},
     [['{"steps": []}'], ['{"steps": [" "]}'], ['{"steps": "a"}'], ['{"steps": ["a"]}', '{"score": 11}', '{"score": -1}'],
      ['{"steps": ["a"]}', '{"score": "7"}', "7"]]),
    ({"type": "context-recall", "value": "One. Two."}, [['{"attributed": [true]}'], ['{"attributed": [1, 0]}'], ["[Attributed]"]]),
    ({"type": "context-relevance"}, [['{"needed": [3]}'], ['{"needed": [0]}'], ['{"needed": [true]}'], ["The tower is in Paris."]]),
    ({"type": "context-faithfulness"},
     [['{"claims": [""]}'], ["a claim"], ['{"claims": ["a"]}', '{"supported": []}', "Verdict: yes"]]),
    ({"type": "conversation-relevance"}, [['{"relevant": "yes"}'], ['{"verdict": "yes"}']]),
    ({"type": "answer-relevance"}, [["Where?"], ['{"questions": ["a", "b"]}']]),
    ({"type": "pi", "value": "x", "provider": "m"}, [['{"score": 2}'], ["0.7"]]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "replies"),
    [(spec, replies) for spec, several in MALFORMED for replies in several],
    ids=lambda one: one["type"] if isinstance(one, dict) else "",
)
async def test_what_is_no_verdict_is_no_score_after_one_more_try(
    spec: dict[str, Any], replies: list[str]
) -> None:
    for kind in (spec["type"], f"not-{spec['type']}"):
        says = [*replies, *replies[-1:]] if len(replies) < 3 else replies
        graders = FakeGraders(says=list(says))
        judged = await ask({**spec, "type": kind}, graders)
        assert isinstance(judged.score, Unscored), judged.score
        assert judged.judge_tokens == 7 * len(says)
        again = graders.asked[-1][1]
        assert again[-2] == {"role": "assistant", "content": says[-2]}
        assert again[-1]["role"] == "user"
        assert replies[-1][:20] not in again[-1]["content"] or not replies[-1]


async def test_a_second_reply_that_is_a_verdict_counts() -> None:
    judged = await ask(
        {"type": "llm-rubric", "value": "x"}, FakeGraders(says=["Well...", verdict(False, 0.1)])
    )
    assert judged.score == Scored(False, 0.1, "so")


FAILURES = [
    (Unavailable("down, it said: secret answer"), "the judge did not answer"),
    (ConfigError([Problem("m", "", "x", "y")]), "the judge cannot be asked like this"),
]
FAILING: list[dict[str, Any]] = [
    *(spec for spec, *_ in ORDINARY),
    {"type": "similar", "value": "x"}, {"type": "answer-relevance"}, {"type": "moderation"},
    {"type": "classifier", "value": "kind"},
]  # fmt: skip


@pytest.mark.parametrize("spec", FAILING, ids=lambda spec: spec["type"])
async def test_a_judge_that_fails_is_never_a_score(spec: dict[str, Any]) -> None:
    for error, reason in FAILURES:
        failing = FakeGraders(says=error, vectors=error, flags=error, labels=error)
        for kind in (spec["type"], f"not-{spec['type']}"):
            judged = await ask({**spec, "type": kind}, failing, metadata=SPANS)
            assert isinstance(judged.score, Unscored)
            assert judged.score.reason == reason
            assert "secret" not in judged.score.reason
    refusing = Refused("401")
    with pytest.raises(Refused):
        await ask(
            spec,
            FakeGraders(says=refusing, vectors=refusing, flags=refusing, labels=refusing),
            metadata=SPANS,
        )
    judged = await ask(spec, None, metadata=SPANS)
    assert judged.score == Unscored("no judge is configured")


@pytest.mark.parametrize("kind", ["search-rubric", "agent-rubric", "pi"])
@pytest.mark.parametrize("context", [NATIVE, PROMPTFOO])
async def test_what_needs_a_service_says_so_until_a_provider_is_named(
    kind: str, context: BuildContext
) -> None:
    graders = FakeGraders()
    judged = await ask({"type": kind, "value": "x"}, graders, context)
    assert isinstance(judged.score, Unscored)
    assert "`provider`" in judged.score.reason
    assert graders.asked == []


async def test_parts_of_a_g_eval_are_its_criteria() -> None:
    says = ['{"steps": ["x"]}', '{"score": 4}', '{"steps": ["y"]}', '{"score": 8}']
    judged = await ask({"type": "g-eval", "value": ["calm", "short"]}, FakeGraders(says=says))
    assert [(part.label, part.score.score) for part in judged.parts if isinstance(part.score, Scored)] == [
        ("calm", 0.4), ("short", 0.8),
    ]  # fmt: skip


# Makers ---------------------------------------------------------------------------------------------------------------

WRONG: list[dict[str, Any]] = [
    {"type": "llm-rubric"}, {"type": "llm-rubric", "value": " "}, {"type": "llm-rubric", "value": "x", "threshold": 2},
    {"type": "llm-rubric", "value": "x", "contextTransform": "output"}, {"type": "model-graded-closedqa"},
    {"type": "model-graded-closedqa", "value": "x", "threshold": 0.5}, {"type": "factuality", "value": ""},
    {"type": "factuality", "value": "x", "config": {"sub": 1}}, {"type": "factuality", "value": "x", "config": {"subset": 2}},
    {"type": "g-eval"}, {"type": "g-eval", "value": []}, {"type": "g-eval", "value": ["a", ""]},
    {"type": "g-eval", "value": "a", "rubricPrompt": "x"}, {"type": "g-eval", "value": "a", "rubricPrompt": {"step": "x"}},
    {"type": "context-recall"}, {"type": "context-relevance", "value": "x"}, {"type": "context-faithfulness", "rubricPrompt": "x"},
    {"type": "context-relevance", "threshold": -0.1}, {"type": "context-relevance", "contextTransform": "file://x.rb"},
    {"type": "conversation-relevance", "config": {"windowSize": 0}}, {"type": "conversation-relevance", "config": {"window": 3}},
    {"type": "conversation-relevance", "value": "x"}, {"type": "similar"}, {"type": "similar", "value": [1]},
    {"type": "similar", "value": "x", "threshold": 1.5}, {"type": "similar", "value": "x", "rubricPrompt": "x"},
    {"type": "moderation", "value": "hate"}, {"type": "moderation", "threshold": 0.5}, {"type": "classifier", "value": 3},
    {"type": "answer-relevance", "value": "x"}, {"type": "trajectory:goal-success", "value": {"goal": ""}},
    {"type": "llm-rubric", "value": "x", "rubricPrompt": [{"role": "user"}]},
    {"type": "llm-rubric", "value": "x", "rubricPrompt": "{% if %}"}, {"type": "llm-rubric", "value": "x", "rubricPrompt": 5},
    {"type": "select-best"}, {"type": "select-best", "value": ["a"]}, {"type": "pairwise"},
    {"type": "max-score", "value": "average"}, {"type": "max-score", "value": {"method": "median"}},
    {"type": "max-score", "value": {"weights": {"contains": -1}}}, {"type": "max-score", "value": {"mode": "sum"}},
    {"type": "max-score", "value": {"threshold": "high"}},
]  # fmt: skip


@pytest.mark.parametrize("spec", WRONG, ids=lambda spec: json.dumps(spec)[:60])
def test_what_would_be_ignored_or_misread_is_an_error(spec: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        build(AssertionSpec.model_validate(spec), NATIVE)
    assert all(problem.key and problem.expected for problem in caught.value.problems)


def test_promptfoo_ignores_what_its_types_do_not_take() -> None:
    for spec in ({"type": "similar", "value": "x", "rubricPrompt": "x"}, {"type": "moderation", "threshold": 1},
                 {"type": "llm-rubric"}, {"type": "g-eval", "value": "a", "rubricPrompt": "x"},
                 {"type": "max-score", "value": {"method": "median"}}):  # fmt: skip
        build(AssertionSpec.model_validate(spec), PROMPTFOO)


@pytest.mark.parametrize("kind", sorted(NOT_VOTING))
async def test_what_one_answer_cannot_decide_weighs_nothing(kind: str) -> None:
    value = None if kind in {"max-score", "human"} else "the kinder one"
    prepared = build(AssertionSpec(type=kind, value=value), NATIVE)
    assert prepared.weight == 0.0
    judged = await prepared.assertion.judge(Subject(output="", services=Services(scripts=FakeScripts())))
    assert isinstance(judged.score, Unscored)


def test_every_type_is_in_a_test() -> None:
    tested = (
        {spec["type"] for spec in FAILING}
        | COMPARED
        | {"human", "similar:cosine", "similar:dot", "similar:euclidean"}
    )
    assert tested == set(JUDGED)
