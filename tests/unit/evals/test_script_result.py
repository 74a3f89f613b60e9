"""What a script's return value means, in both dialects. The promptfoo rows were observed by running it."""

from __future__ import annotations

from typing import Any

import pytest

from promptship.evals.assertions.script_result import Reading, native
from promptship.evals.score import Part, Scored, Unscored
from promptship.evals.services import Language

JS, PY, RB = Language.JAVASCRIPT, Language.PYTHON, Language.RUBY
NAN = float("nan")


def full(passed: bool, score: float, reason: str = "r", **more: Any) -> dict[str, Any]:
    return {"pass": passed, "score": score, "reason": reason, **more}


@pytest.mark.parametrize(
    ("result", "threshold", "passed", "score"),
    [
        (True, None, True, 1),
        (False, None, False, 0),
        (True, 0.5, True, 1),
        (0.3, None, True, 0.3),
        (0, None, False, 0),
        (7, None, True, 1),
        (-1, None, False, 0),
        (0.5, 0.5, True, 0.5),
        (0.49, 0.5, False, 0.49),
        (0, 0, True, 0),
        ({"pass": True}, None, True, 1),
        ({"pass_": False}, None, False, 0),
        ({"passed": True, "score": 0.2}, None, True, 0.2),
        ({"score": 0.2}, None, True, 0.2),
        ({"score": 0}, None, False, 0),
        ({"pass": True, "score": 0.2}, 0.5, False, 0.2),
        ({"pass": False, "score": 0.9}, 0.5, False, 0.9),
        ({"pass": True}, 0.5, True, 1),
        ({"pass": True, "score": 3}, None, True, 1),
    ],
)
def test_native_results(result: Any, threshold: float | None, *, passed: bool, score: float) -> None:
    got = native(result, threshold).score
    assert isinstance(got, Scored)
    assert (got.passed, got.score) == (passed, score)
    assert bool(got.reason) is not passed


@pytest.mark.parametrize(
    "result",
    [None, "true", "", [], [True], {}, {"reason": "x"}, {"pass": "yes"}, {"pass": True, "score": "1"}, {"score": True}, NAN, float("inf"),
     10**400, {"score": NAN}, {"pass": 1}],
    ids=repr,
)  # fmt: skip
def test_native_takes_nothing_else(result: Any) -> None:
    assert isinstance(native(result, None).score, Unscored)


def test_named_scores_and_parts_in_both_spellings() -> None:
    components = [
        {
            "pass": False,
            "score": 0,
            "reason": "no",
            "assertion": {"type": "contains", "metric": "m", "weight": 2},
        },
        {"pass_": True, "score": 0.5},
        {"score": 1},
        "nothing",
    ]
    parts = (
        Part(label="m", score=Scored(False, 0.0, "no"), weight=2, metric="m", type="contains"),
        Part(label="part 2", score=Scored(True, 0.5, "")),
        Part(label="part 3", score=Unscored("the script's part has no pass")),
    )
    named = {"a": 0.5, "b": "text", "c": NAN, "d": True}
    for names, inner in (("namedScores", "componentResults"), ("named_scores", "component_results")):
        judged = native({"pass": True, "score": 1, "reason": "r", names: named, inner: components}, None)
        assert judged.named == {"a": 0.5}
        assert judged.parts == parts
    assert native({"pass": True, "namedScores": None, "componentResults": None}, None).parts == ()


# language, threshold, result, passed, score, and what `not-` makes of it
OBSERVED: list[tuple[Language, float | None, Any, tuple[bool, float], tuple[bool, float]]] = [
    (JS, None, True, (True, 1), (False, 0)),
    (JS, None, False, (False, 0), (True, 1)),
    (JS, None, 2, (True, 2), (False, 2)),
    (JS, None, 0.3, (True, 0.3), (False, 0.3)),
    (JS, None, -1, (False, -1), (True, -1)),
    (JS, 0.3, 0.3, (True, 0.3), (False, 0.3)),
    (JS, 0.2, 0.1, (False, 0.1), (True, 0.1)),
    (JS, 0, 0, (True, 0), (False, 0)),
    (JS, 0, False, (False, 0), (True, 1)),
    (JS, 0.3, full(True, 0.2), (True, 0.2), (False, 0.2)),
    (JS, None, full(False, 0.8), (False, 0.8), (True, 0.8)),
    (JS, None, full(True, 2, "over"), (True, 2), (False, 2)),
    (JS, None, full(True, 0, ""), (True, 0), (False, 0)),
    (PY, 0.3, full(True, 0.2), (False, 0.2), (True, 0.2)),
    (PY, 0.3, full(False, 0.9), (False, 0.9), (True, 0.9)),
    (PY, None, {"pass_": True, "score": 0.5, "reason": "r"}, (True, 0.5), (False, 0.5)),
    (PY, None, "true", (True, 1), (False, 0)),
    (PY, None, "True", (True, 1), (False, 0)),
    (PY, None, "False", (False, 0), (True, 1)),
    (PY, None, "0.5", (True, 0.5), (False, 0.5)),
    (PY, None, "-1", (False, -1), (True, -1)),
    (PY, 0.5, "0.4", (False, 0.4), (True, 0.4)),
    (PY, None, '{"pass": true, "score": 1, "reason": "x"}', (True, 1), (False, 1)),
    (RB, None, "true", (True, 1), (False, 0)),
    (RB, None, {"pass": True, "score": 0.5, "reason": "rb"}, (True, 0.5), (False, 0.5)),
]


@pytest.mark.parametrize(("language", "threshold", "result", "plain", "opposite"), OBSERVED)
def test_results_as_promptfoo_reads_them(
    language: Language,
    threshold: float | None,
    result: Any,
    plain: tuple[bool, float],
    opposite: tuple[bool, float],
) -> None:
    for turned, expected in ((False, plain), (True, opposite)):
        score = Reading(language=language, threshold=threshold, opposite=turned).judged(result).score
        assert isinstance(score, Scored)
        assert (score.passed, score.score) == expected


NO_RESULT: list[tuple[Language, Any]] = [
    *((JS, value) for value in (None, "true", [True], {"pass": True}, {"score": 0.5}, {"pass": False, "score": 1},
                               {"pass_": True, "score": 0.5, "reason": "r"}, {"pass": "yes", "score": 1, "reason": ""},
                               {"pass": True, "score": "1", "reason": ""}, full(True, 1, componentResults="no"),
                               {"pass": True, "score": 1, "reason": None})),
    *((PY, value) for value in (None, "x", "", " true ", "[true]", "NaN", "{", [True], {"pass": True}, {"pass": 1, "score": 1, "reason": "x"},
                               {"pass": True, "score": True, "reason": "x"}, full(True, 1, component_results="no"))),
]  # fmt: skip


@pytest.mark.parametrize(("language", "result"), NO_RESULT)
@pytest.mark.parametrize("opposite", [False, True])
def test_what_promptfoo_cannot_read_fails_also_under_not(
    language: Language, result: Any, *, opposite: bool
) -> None:
    score = Reading(language=language, threshold=None, opposite=opposite).judged(result).score
    assert isinstance(score, Scored)
    assert (score.passed, score.score) == (False, 0.0)


@pytest.mark.parametrize("result", [NAN, float("inf"), full(True, NAN)])
def test_a_score_that_is_not_finite_is_no_score_in_either_dialect(result: Any) -> None:
    assert isinstance(Reading(language=JS, threshold=None).judged(result).score, Unscored)
    assert isinstance(native(result, None).score, Unscored)


def test_snake_case_is_pythons_and_rubys_only() -> None:
    result = full(True, 1, named_scores={"a": 1}, component_results=[full(True, 1)])
    assert Reading(language=JS, threshold=None).judged(result).named == {}
    assert Reading(language=PY, threshold=None).judged(result).named == {"a": 1}
    assert len(Reading(language=RB, threshold=None).judged(result).parts) == 1
    assert Reading(language=JS, threshold=None).judged(full(True, 1, namedScores=[1])).named == {"0": 1}
