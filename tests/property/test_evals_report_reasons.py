"""Whatever the rows of a case are: why it does not pass is said exactly when it does not, in any order of the rows."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.evals.outcome import Word, concluded
from promptship.evals.reports.aggregate import summarise
from promptship.evals.reports.attacks import attack_of, attacked_by
from promptship.evals.reports.model import Report
from promptship.evals.reports.news import items, news, tally_cell
from promptship.evals.reports.reasons import WHY_CHARS_MAX, about, why_said
from promptship.evals.reports.tables import heads
from promptship.evals.reports.verdicts import conclusion_of, headlines
from promptship.evals.rows import ArmFacts, CaseFacts, Row
from promptship.evals.score import Score, Scored, Unscored
from promptship.evals.verdict import Tally
from tests.support.reports import NASTY, asserted, row_of

TEXT = st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=()), max_size=20))
SCORES: st.SearchStrategy[Score] = st.one_of(
    st.builds(Scored, st.booleans(), st.floats(0, 1), TEXT), st.builds(Unscored, TEXT, TEXT)
)
CHECKS = st.lists(
    st.builds(asserted, st.sampled_from("abc"), SCORES, weight=st.sampled_from([0.0, 1.0])), max_size=3
)
ARMS = (ArmFacts(key="candidate", prompt="v8", model="m"), ArmFacts(key="stable", prompt="v7", model="m"))


@st.composite
def trials(draw: st.DrawFn) -> list[Row]:
    return [
        row_of("c", arm.key, draw(SCORES), trial=trial, asserted=tuple(draw(CHECKS)))
        for arm in ARMS for trial in range(draw(st.integers(0, 3)))
    ]  # fmt: skip


def report_of(rows: list[Row], *cases: CaseFacts) -> Report:
    return Report(title="t", arms=ARMS, cases=cases or (CaseFacts(id="c"),), rows=lambda: iter(rows))


@settings(max_examples=30)
@given(trials(), st.randoms(use_true_random=False))
def test_a_case_says_why_exactly_when_a_trial_of_it_did_not_pass(rows: list[Row], draw: object) -> None:
    (case,) = summarise(report_of(rows)).cases
    for arm, one in case.arms.items():
        own = [row for row in rows if row.arm == arm]
        bad = [row for row in own if not (isinstance(row.score, Scored) and row.score.passed)]
        assert (one.why is not None) == bool(bad)
        if one.why is None:
            assert why_said(one) == ""
            continue
        assert len(one.why.reason) <= WHY_CHARS_MAX
        failed = [row for row in bad if isinstance(row.score, Scored)]
        first = min(failed or bad, key=lambda row: row.trial)
        lost = [one for one in first.asserted if isinstance(one.score, Scored) and not one.score.passed]
        voting = [one for one in lost if one.weight]
        expected = (voting or lost)[0].label if failed and lost else ""
        assert one.why.label == expected
    shuffled = list(rows)
    draw.shuffle(shuffled)  # type: ignore[attr-defined]
    assert summarise(report_of(shuffled)).cases == (case,)


@settings(max_examples=40)
@given(st.builds(Tally, passed=st.integers(0, 3), trials=st.integers(3, 5), unscored=st.integers(0, 2), passes_min=st.none() | st.integers(1, 9)))  # fmt: skip
def test_a_tally_says_how_many_a_case_needs_exactly_when_it_has_such_a_rule(tally: Tally) -> None:
    said = tally_cell(tally)
    assert said.startswith(f"{tally.passed}/{tally.trials}")
    assert ("needs" in said) == (tally.passes_min is not None)
    assert tally.passes_min is None or f", needs {tally.passes_min}" in said
    assert ("unscored" in said) == (tally.unscored > 0)


@settings(max_examples=40)
@given(TEXT, TEXT, st.booleans(), st.dictionaries(st.sampled_from(["q", "r"]), TEXT, max_size=2))
def test_a_case_without_a_description_is_known_by_its_variables(
    id_: str, description: str, red: bool, values: dict[str, str]
) -> None:
    case = CaseFacts(id=id_, description=description, vars=values, origin="red-team" if red else "incident")
    said = about(case)
    assert said.isprintable()
    assert len(said) <= 300
    shown = any(said.startswith(f"{name}: ") or said == f"{name}:" for name in values)
    assert shown == (not description and bool(values))
    tagged = about(replace(case, tags=("owasp:LLM07", "plugin:p", "strategy:s")))
    assert (tagged == "LLM07 System Prompt Leakage · p · s") == red


MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": TEXT}), max_size=4
)  # fmt: skip


@settings(max_examples=40)
@given(MESSAGES)
def test_the_attack_is_what_a_user_or_a_tool_said_last(messages: list[dict[str, str]]) -> None:
    said = [one["content"] for one in messages if one["role"] in {"user", "tool"} and one["content"]]
    row = row_of("c", "candidate", Scored(False, 0.0), sent=json.dumps(messages))
    assert attack_of(row) == (said[-1] if said else "")
    plain = row_of("c", "candidate", Scored(False, 0.0), sent="no JSON")
    assert attack_of(plain) == "no JSON"


@settings(max_examples=30)
@given(trials(), st.booleans())
def test_an_attack_is_shown_exactly_when_a_red_team_s_case_got_through(rows: list[Row], red: bool) -> None:
    attacks = [replace(row, sent=json.dumps([{"role": "user", "content": f"attack {row.arm} {row.trial}"}])) for row in rows]  # fmt: skip
    fact = CaseFacts(id="c", origin="red-team" if red else "hand-written", tags=("owasp:LLM01",))
    report = report_of(attacks, fact)
    summary = summarise(report)
    (case,) = summary.cases
    through = any(isinstance(row.score, Scored) and not row.score.passed for row in rows)
    assert bool(case.attack) == (red and through)
    for item in items(report, news(summary, {"c": fact}), heads(report, summary)):
        assert item.attack == case.attack
        assert (item.about == "LLM01 Prompt Injection") == red == (attacked_by(fact) == item.about)


@settings(max_examples=30)
@given(trials(), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_the_report_says_the_word_that_the_exit_status_follows(rows: list[Row], pass_rate_min: float) -> None:
    report = replace(report_of(rows), pass_rate_min=pass_rate_min)
    summary = summarise(report)
    passed = sum(isinstance(row.score, Scored) and row.score.passed for row in rows)
    unscored = sum(isinstance(row.score, Unscored) for row in rows)
    expected = concluded(passed=passed, failed=len(rows) - passed - unscored, unscored=unscored, pass_rate_min=pass_rate_min)  # fmt: skip
    (headline,) = headlines(report, summary)
    assert conclusion_of(report, summary) == expected
    assert (headline.word, headline.tone) == (expected.word.value, expected.word.tone)
    assert (expected.exit_code == 0) == (Word(headline.word) in {Word.PASSED, Word.GOES_ON})
