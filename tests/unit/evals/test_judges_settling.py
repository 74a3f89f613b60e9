"""Comparisons across arms: what a row gets, and what its score becomes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from promptship.errors import Refused, Unavailable
from promptship.evals.assertions import AssertionSpec, BuildContext, Dialect, build
from promptship.evals.assertions.judged_compared import Compared
from promptship.evals.cases import Case, Suite, Turn
from promptship.evals.judges.settling import Comparison, native_settle, settle
from promptship.evals.judges.win_rate import win_rate
from promptship.evals.rows import Asserted, Row
from promptship.evals.score import Score, Scored, Unscored
from promptship.evals.services import Services
from promptship.evals.suite_file import Severity
from tests.support.services import FakeGraders, FakeScripts

WAITING = Unscored("it is decided when the answers of all arms are there")


def no_files(name: str) -> str:
    raise AssertionError(name)


def spec(kind: str, dialect: Dialect = Dialect.NATIVE, **more: Any) -> Compared:
    made = build(AssertionSpec(type=kind, **more), BuildContext(read=no_files, dialect=dialect)).assertion
    assert isinstance(made, Compared)
    return made


def row(arm: str, answer: str | None, *asserted: Asserted, score: Score | None = None, **more: Any) -> Row:
    return Row(
        case=more.pop("case", "c"), arm=arm, trial=more.pop("trial", 0), digest="d", asserted=asserted,
        score=score or Scored(True, 1.0), answers=() if answer is None else (answer,), **more,
    )  # fmt: skip


def said(
    label: str, score: Score, weight: float = 1.0, kind: str = "", parts: tuple[Asserted, ...] = ()
) -> Asserted:
    return Asserted(label=label, turn=0, score=score, weight=weight, type=kind or label, parts=parts)


def services(says: Any) -> Services:
    graders = None if says is None else FakeGraders(says=says)
    return Services(scripts=FakeScripts(), graders=graders)


def prefers(*liked: str) -> Any:
    """A judge that reads: the first of these that is shown is best; 0 when none is."""

    def judge(messages: Sequence[Any]) -> str:
        material = messages[-1]["content"]
        places = {
            line.split(" ")[1]: text
            for line, text in zip(material.split("\n"), material.split("\n")[1:], strict=False)
            if line.startswith("<answer ")
        }
        for wanted in liked:
            for number, text in places.items():
                if text == wanted:
                    return json.dumps({"reason": "so", "best": int(number)})
        return '{"best": 0}'

    return judge


async def settled(
    specs: Sequence[Compared],
    rows: Sequence[Row],
    says: Any,
    *,
    dialect: Dialect = Dialect.NATIVE,
    **more: Any,
) -> list[Row]:
    run = settle(Comparison(specs=tuple(specs), **more), dialect=dialect)
    return list(await run(rows, services(says)))


async def test_the_best_of_all_arms_passes_and_the_judge_is_paid_once() -> None:
    rows = [row("a", "short"), row("b", "long"), row("c", "other")]
    found = await settled([spec("select-best", value="the longer")], rows, prefers("long"))
    beaten = Scored(False, 0.0, "select-best: another answer is better")
    assert [one.score for one in found] == [beaten, Scored(True, 1.0), beaten]
    assert [one.asserted[-1].score.score for one in found if isinstance(one.asserted[-1].score, Scored)] == [
        0.0,
        1.0,
        0.0,
    ]
    assert [one.judge_tokens for one in found] == [14, 0, 0]
    assert all("best" in one.asserted[-1].said for one in found)
    assert all(one.asserted[-1].judge for one in found)


async def test_two_orders_that_disagree_are_a_tie() -> None:
    rows = [row("a", "x"), row("b", "y")]
    found = await settled([spec("select-best", value="better")], rows, '{"best": 1}')
    for one in found:
        result = one.asserted[-1].score
        assert isinstance(result, Scored)
        assert (result.passed, result.score) == (True, 0.5)
        assert "tie" in result.reason


async def test_equal_answers_are_a_tie_without_asking() -> None:
    found = await settled(
        [spec("select-best", value="x")], [row("a", "y"), row("b", "y")], Unavailable("never asked")
    )
    assert [one.asserted[-1].score.score for one in found if isinstance(one.asserted[-1].score, Scored)] == [
        0.5,
        0.5,
    ]


async def test_the_result_takes_the_place_of_its_mark_and_its_weight() -> None:
    mark = said("mine", WAITING, 0.0, "select-best")
    other = said("contains", Scored(True, 1.0))
    rows = [row("a", "x", mark, other), row("b", "y", mark, other)]
    found = await settled([spec("select-best", value="q", metric="mine", weight=3)], rows, prefers("y"))
    assert [[one.label for one in row.asserted] for row in found] == [["mine", "contains"]] * 2
    assert found[0].score == Scored(False, 0.25, "mine: another answer is better")
    assert found[1].score == Scored(True, 1.0)
    assert found[1].named == {"mine": 1.0}


async def test_the_threshold_of_the_case_decides() -> None:
    other = said("contains", Scored(True, 1.0))
    rows = [row("a", "x", other), row("b", "y", other)]
    found = await settled([spec("select-best", value="q")], rows, prefers("y"), threshold=0.5)
    assert [one.score for one in found] == [Scored(True, 0.5), Scored(True, 1.0)]


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (Unavailable("down"), "the judge did not answer"),
        (Refused("401"), "the judge's provider refused the key"),
        ("no idea", "the judge gave no verdict that can be read"),
        ('{"best": 3}', "the judge gave no verdict that can be read"),
        ('{"best": true}', "the judge gave no verdict that can be read"),
        (None, "no judge is configured"),
    ],
)
async def test_a_judge_that_fails_leaves_all_arms_without_this_score(says: Any, reason: str) -> None:
    for dialect in Dialect:
        wrong = Scored(False, 0.0, "wrong")
        rows = [
            row("a", "x", said("contains", Scored(True, 1.0))),
            row("b", "y", said("contains", wrong), score=wrong),
        ]
        found = await settled([spec("select-best", dialect, value="q")], rows, says, dialect=dialect)
        assert [one.asserted[-1].score.reason for one in found] == [reason] * 2
        assert isinstance(found[0].score, Unscored)
        assert isinstance(found[1].score, Scored)  # it had failed already
        assert not found[1].score.passed


async def test_an_arm_without_an_answer_is_not_compared() -> None:
    lost = row("b", None, score=Unscored("down"), error="down")
    broken = row("c", "half", score=Unscored("down"), error="down")
    found = await settled(
        [spec("select-best", value="q")], [row("a", "x"), lost, broken, row("d", "z")], prefers("z")
    )
    assert found[1:3] == [lost, broken]
    assert [one.score.passed for one in (found[0], found[3]) if isinstance(one.score, Scored)] == [
        False,
        True,
    ]
    alone = await settled([spec("select-best", value="q")], [row("a", "x"), lost], prefers("x"))
    assert isinstance(alone[0].score, Unscored)


async def test_the_judge_sees_the_question_only_when_all_arms_were_asked_the_same() -> None:
    for sent, seen in (
        ("one question", True),
        (json.dumps([{"role": "user", "content": "one question"}]), True),
        ("another", False),
    ):
        rows = [row("a", "x", sent="one question"), row("b", "y", sent=sent)]
        graders = FakeGraders(says=prefers("x"))
        run = settle(Comparison(specs=(spec("select-best", value="q"),)))
        await run(rows, Services(scripts=FakeScripts(), graders=graders))
        assert ("one question" in graders.asked[0][1][-1]["content"]) is seen


# As seen by running promptfoo 0.123.1 with canned judges --------------------------------------------------------------


async def test_promptfoo_fails_what_is_not_best_with_its_score_and_leaves_the_best_as_it_is() -> None:
    rows = [
        row("0", "x", score=Scored(True, 0.7)),
        row("1", "y", score=Scored(True, 0.7)),
        row("2", "z", score=Scored(False, 0.2, "old")),
    ]
    found = await settled(
        [spec("select-best", Dialect.PROMPTFOO, value="q")], rows, prefers("y"), dialect=Dialect.PROMPTFOO
    )
    assert [one.score for one in found] == [
        Scored(False, 0.0, "select-best: another answer is better"), Scored(True, 0.7),
        Scored(False, 0.0, "old; select-best: another answer is better"),
    ]  # fmt: skip
    kept = await settled(
        [spec("select-best", Dialect.PROMPTFOO, value="q")], rows, prefers("z"), dialect=Dialect.PROMPTFOO
    )
    assert kept[2].score == Scored(False, 0.2, "old")


async def test_promptfoo_judges_may_answer_with_a_number_from_0() -> None:
    def says(messages: Sequence[Any]) -> str:
        shown = sorted(["x", "y"], key=messages[-1]["content"].index)
        return f"Number {shown.index('y')} is best"

    made = spec(
        "select-best", Dialect.PROMPTFOO, value="q", rubric_prompt="{{ outputs | join(' ') }} {{ criteria }}"
    )
    found = await settled([made], [row("0", "x"), row("1", "y")], says, dialect=Dialect.PROMPTFOO)
    assert [one.score.passed for one in found if isinstance(one.score, Scored)] == [False, True]


@pytest.mark.parametrize(
    "reply", ['{"pass": true, "score": 0.9}', '{"pass": true, "score": 1}', "0.9", "the share is 1.5", "2"]
)
async def test_what_a_judge_of_one_answer_says_is_no_number_of_an_answer(reply: str) -> None:
    made = spec("select-best", Dialect.PROMPTFOO, value="q", rubric_prompt="{{ outputs }} {{ criteria }}")
    rows = [row("0", "x"), row("1", "y")]
    found = await settled([made], rows, lambda _: reply, dialect=Dialect.PROMPTFOO)
    assert all(isinstance(one.score, Unscored) for one in found)


def scored(arm: str, *scores: float, kind: str = "contains", **more: Any) -> Row:
    return row(arm, "answer", *(said(kind, Scored(score > 0, score)) for score in scores), **more)


async def test_the_highest_score_wins() -> None:
    members = (
        said("contains", Scored(False, 0.0)),
        said("contains", Scored(True, 1.0)),
        said("contains", Scored(True, 1.0)),
    )
    sets = row("2", "z", said("contains", Scored(False, 0.0)), said("llm-rubric", Scored(True, 0.5)),
               said("assert-set", Scored(False, 2 / 3), parts=members))  # fmt: skip
    rows = [scored("0", 1.0, 0.5, 0.0, 0.0, 0.0), scored("1", 0.0, 0.5, 1.0, 0.0, 0.0), sets]
    found = await settled([spec("max-score")], rows, None)
    assert [one.asserted[-1].score for one in found] == [
        Scored(False, 0.0, "score 0.300: the highest has 0.500"), Scored(False, 0.0, "score 0.300: the highest has 0.500"),
        Scored(True, 1.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "scores", "wins"),
    [
        (None, [[1.0, 0.0], [0.6]], [False, True]),
        ({"method": "sum"}, [[1.0, 0.0], [0.6]], [True, False]),
        ({"threshold": 0.7}, [[0.6], [0.5]], [False, False]),
        ({"threshold": 0.6}, [[0.6], [0.5]], [True, False]),
        ({"method": "sum", "weights": {"contains": 0}}, [[1.0], [0.0]], [True, True]),
    ],
)
async def test_how_scores_are_added(value: Any, scores: list[list[float]], wins: list[bool]) -> None:
    rows = [scored(str(number), *some) for number, some in enumerate(scores)]
    found = await settled([spec("max-score", value=value)], rows, None)
    assert [
        one.asserted[-1].score.passed for one in found if isinstance(one.asserted[-1].score, Scored)
    ] == wins


async def test_of_equal_scores_all_win_but_in_promptfoo_the_first() -> None:
    for dialect, wins in ((Dialect.NATIVE, [True, True]), (Dialect.PROMPTFOO, [True, False])):
        found = await settled(
            [spec("max-score", dialect)], [scored("0", 1.0), scored("1", 1.0)], None, dialect=dialect
        )
        assert [
            one.asserted[-1].score.passed for one in found if isinstance(one.asserted[-1].score, Scored)
        ] == wins


async def test_a_missing_score_could_be_the_highest() -> None:
    unknown = row("1", "y", said("llm-rubric", Unscored("down")), score=Unscored("llm-rubric: down"))
    found = await settled([spec("max-score")], [scored("0", 0.3), unknown], None)
    assert all(isinstance(one.asserted[-1].score, Unscored) for one in found)
    for rows in ([row("0", "x"), row("1", "y")], [scored("0", 0.4)]):
        found = await settled([spec("max-score")], rows, None)
        assert all(isinstance(one.asserted[-1].score, Unscored) for one in found)


# Pairwise -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("says", "candidate", "stable"),
    [
        (prefers("new"), (True, 1.0), (False, 0.0)),
        (prefers("old"), (False, 0.0), (True, 1.0)),
        (prefers(), (True, 0.5), (True, 0.5)),
        ('{"best": 2}', (True, 0.5), (True, 0.5)),
    ],
)
async def test_pairwise_fails_exactly_what_loses_in_both_orders(
    says: Any, candidate: Any, stable: Any
) -> None:
    found = await settled(
        [spec("pairwise", value="kinder")], [row("stable", "old"), row("candidate", "new")], says
    )
    results = [one.asserted[-1].score for one in found]
    assert [(one.passed, one.score) for one in results if isinstance(one, Scored)] == [stable, candidate]
    assert [one.score.passed for one in found if isinstance(one.score, Scored)] == [stable[0], candidate[0]]


async def test_pairwise_without_stable_has_no_vote() -> None:
    other = said("contains", Scored(True, 1.0))
    rows = [row("a", "x", other), row("b", "y", other), row("c", "z")]
    found = await settled([spec("pairwise", value="q")], rows, prefers("x"))
    for one in found:
        assert isinstance(one.asserted[-1].score, Unscored)
        assert one.asserted[-1].weight == 0.0
    assert [one.score for one in found[:2]] == [Scored(True, 1.0)] * 2
    assert isinstance(found[2].score, Unscored)  # nothing else speaks for it
    lost = row("stable", None, score=Unscored("down"), error="down")
    found = await settled([spec("pairwise", value="q")], [lost, row("candidate", "y")], prefers("y"))
    assert isinstance(found[1].score, Unscored)


async def test_every_other_arm_is_compared_with_stable() -> None:
    rows = [row("m1", "x"), row("stable", "old"), row("m2", "y")]
    found = await settled([spec("pairwise", value="q")], rows, prefers("x", "old"))
    results = [one.asserted[-1] for one in found]
    assert [one.score.score for one in results if isinstance(one.score, Scored)] == [1.0, 0.0]
    assert results[1].weight == 0.0
    assert sum(one.judge_tokens for one in found) == 28


def won(case: str, score: float, trial: int = 0) -> Row:
    return row("candidate", "x", said("pairwise", Scored(score > 0, score)), case=case, trial=trial)


def test_the_win_rate_counts_cases_and_has_honest_limits() -> None:
    assert win_rate([]) is None
    assert win_rate([row("candidate", "x")]) is None
    rows = [won("a", 1.0), won("a", 0.0, 1), won("b", 1.0), won("c", 0.5), won("d", 0.0)]
    found = win_rate(rows)
    assert found is not None
    assert (found.cases, found.wins, found.ties, found.losses, found.rate) == (4, 2, 1, 2, 0.5)
    assert found.low == 0.0
    assert found.high == 1.0
    many = win_rate([won(f"case-{number}", 1.0) for number in range(40)])
    assert many is not None
    assert 0.85 < many.low < 0.98
    assert many.rate == many.high == 1.0
    assert win_rate(rows, label="other") is None


# Native suites --------------------------------------------------------------------------------------------------------


def case(identity: str, *specs: AssertionSpec) -> Case:
    made = tuple(build(one, BuildContext(read=no_files)) for one in specs)
    return Case(
        id=identity, digest="d", vars={}, messages=(), turns=(Turn(user=None, asserts=made),), severity=Severity.WARNING,
        trials=None, weight=1.0, threshold=None, tags=(), description="",
    )  # fmt: skip


async def test_a_suite_is_settled_case_by_case() -> None:
    plain = case("plain", AssertionSpec(type="contains", value="x"))
    both = case(
        "both", AssertionSpec(type="pairwise", value="kinder", weight=2), AssertionSpec(type="max-score")
    )
    suite = Suite(name="s", path="s.yaml", description="", judge=None, cases=(plain,))
    assert native_settle(suite) is None
    run = native_settle(Suite(name="s", path="s.yaml", description="", judge=None, cases=(plain, both)))
    assert run is not None
    rows = [row("stable", "old", case="plain"), row("candidate", "new", case="plain")]
    assert list(await run(rows, services(prefers("new")))) == rows
    rows = [scored("stable", 1.0, case="both"), scored("candidate", 0.5, case="both")]
    rows = [
        Row(**{**{name: getattr(one, name) for name in Row.__dataclass_fields__}, "answers": (one.arm,)})
        for one in rows
    ]
    found = await run(rows, services(prefers("candidate")))
    assert [[one.type for one in row.asserted] for row in found] == [
        ["contains", "pairwise", "max-score"]
    ] * 2
    assert [row.asserted[1].weight for row in found] == [2.0, 2.0]
