"""A suite in parts and whole again: every case once, no budget gained, the same verdict."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship.errors import Unavailable
from promptship.evals.cases import Suite
from promptship.evals.native import suite_run
from promptship.evals.regression import judged
from promptship.evals.rows import Row
from promptship.evals.runner import Ending, Ran
from promptship.evals.score import Score, Scored, Unscored
from promptship.evals.shards import cut, joined, packed, parts_of
from promptship.prompts.model import Message, Prompt
from promptship.release.plan import Regression
from tests.support.suites import suite_of

ARMS = {
    arm: Prompt(name="p", model="m", messages=(Message(role="user", content=arm),))
    for arm in ("candidate", "stable")
}
RULES = Regression(trials=2, unscored_max=0.5)
ONE = suite_of("cases: [{id: c, assert: [{type: contains, value: x}]}]")


@st.composite
def suites(draw: st.DrawFn) -> Suite:
    trials = draw(st.lists(st.sampled_from([None, 1, 3]), min_size=1, max_size=9))
    cases = tuple(replace(ONE.cases[0], id=f"c{number}", trials=own) for number, own in enumerate(trials))
    return replace(ONE, cases=cases, budget_usd=draw(st.sampled_from([None, 0.5, 8.0])))


def ran(suite: Suite, scores: dict[str, Score]) -> Ran:
    rows = [
        Row(
            case=case.id, arm=arm, trial=trial, digest="d", cost_usd=0.25, answers=("what was said",),
            score=scores[case.id] if arm == "candidate" else Scored(True, 1.0),
        )
        for case in suite.cases
        for arm in ARMS
        for trial in range(suite.trials(case, RULES.trials))
    ]  # fmt: skip
    return Ran(rows=tuple(sorted(rows, key=lambda row: row.key)), ending=Ending.COMPLETE, reused=1)


@given(suites(), st.integers(1, 12), st.sampled_from([None, 2.0]))
def test_every_case_is_in_one_part_and_no_budget_is_gained(
    suite: Suite, most: int, budget: float | None
) -> None:
    parts = [cut(suite, part, RULES.trials, budget_usd=budget) for part in parts_of(suite, most)]
    sizes = [len(part.cases) for part in parts]
    assert len(parts) == min(most, len(suite.cases))
    assert sorted(case.id for part in parts for case in part.cases) == [case.id for case in suite.cases]
    assert max(sizes) - min(sizes) <= 1
    wanted = [most for most in (suite.budget_usd, budget) if most is not None]
    if wanted:
        assert sum(part.budget_usd or 0.0 for part in parts) == pytest.approx(min(wanted))
    else:
        assert {part.budget_usd for part in parts} == {None}


SCORES = st.sampled_from([Scored(True, 1.0, "why"), Scored(False, 0.0, "why"), Unscored("down", "why")])


@given(suites(), st.integers(1, 12), st.lists(SCORES, min_size=9, max_size=9))
def test_the_parts_give_the_verdict_of_the_whole_and_carry_no_answer(
    suite: Suite, most: int, drawn: list[Score]
) -> None:
    scores = {f"c{number}": score for number, score in enumerate(drawn)}
    whole = ran(suite, scores)
    expected = judged(suite, ARMS, RULES, suite_run(suite, ARMS, whole), whole).verdict
    parts = parts_of(suite, most)
    sent = json.dumps([packed("s", ran(cut(suite, part, RULES.trials), scores)) for part in parts])
    assert "what was said" not in sent
    assert "why" not in sent
    run, joint = joined(suite, ARMS, RULES.trials, [*json.loads(sent), packed("another", whole)])
    assert joint == replace(whole, rows=tuple(row.slim() for row in whole.rows), reused=len(parts))
    assert judged(suite, ARMS, RULES, run, joint).verdict == expected


@given(suites(), st.integers(1, 12), st.data())
def test_a_suite_without_some_of_its_rows_has_no_verdict(
    suite: Suite, most: int, data: st.DataObject
) -> None:
    whole = ran(suite, {case.id: Scored(True, 1.0) for case in suite.cases})
    lost = data.draw(st.integers(0, len(whole.rows) - 1))
    part = packed("s", replace(whole, rows=whole.rows[:lost] + whole.rows[lost + 1 :]))
    with pytest.raises(Unavailable, match=f"{len(whole.rows) - 1} of {len(whole.rows)} trials"):
        joined(suite, ARMS, RULES.trials, [part])
