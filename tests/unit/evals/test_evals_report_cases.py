"""What reports say of a case, where the golden files do not reach: names, reasons, the columns of arms."""

from __future__ import annotations

import io
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from promptship.evals.reports.aggregate import summarise
from promptship.evals.reports.formats import Format
from promptship.evals.reports.markdown import report_markdown
from promptship.evals.reports.model import Report
from promptship.evals.reports.news import items, news
from promptship.evals.reports.ordered import Ordered
from promptship.evals.reports.reasons import why_said
from promptship.evals.reports.tables import heads
from promptship.evals.reports.text import report_text
from promptship.evals.reports.totals import totals_sentences
from promptship.evals.reports.write import chunks, write_to
from promptship.evals.rows import ArmFacts, CaseFacts, Row
from promptship.evals.score import Scored
from tests.support.judged_reports import ATTACK, judged_report
from tests.support.reports import asserted, matrix_report, row_of

PASS, FAIL = Scored(True, 1.0), Scored(False, 0.0)


def report_of(row: Row, case: CaseFacts) -> Report:
    arms = (ArmFacts(key="a", prompt="p", model="m"),)
    return Report(title="t", arms=arms, cases=(case,), rows=lambda: iter([row]))


@pytest.mark.parametrize(
    ("id_", "more", "name"),
    [
        ("refund", {"vars": {"q": "a"}}, "refund"),
        ("refund", {"vars": {"q": "a"}, "description": "money back"}, "refund: money back"),
        ("00017", {"vars": {"q": "a", "n": [1]}}, "00017: q: a, n: [1]"),
        ("case-3", {"vars": {"q": "a"}}, "case-3: q: a"),
        ("00002 money back", {"vars": {"q": "a"}, "description": "money back"}, "00002 money back"),
        ("x-1", {"origin": "red-team", "tags": ("owasp:LLM99", "plugin:p")}, "x-1: LLM99 · p"),
    ],
)  # fmt: skip
def test_ci_systems_get_a_name_that_says_something(id_: str, more: dict[str, Any], name: str) -> None:
    report = report_of(row_of(id_, "a", PASS), CaseFacts(id=id_, **more))
    with Ordered(report) as ordered:
        (case,) = ET.fromstring("".join(chunks(ordered, Format.JUNIT))).iter("testcase")
    assert case.attrib["name"] == name


@pytest.mark.parametrize(
    ("usd", "unpriced", "said"),
    [
        (0.0, 2, "judges 360 tokens, cost not measured (2 answers without a price)"),
        (0.5, 1, "judges 360 tokens, at least $0.50 (1 answer without a price)"),
        (0.5, 0, "judges 360 tokens, $0.50"),
        (0.0, 0, "judges 360 tokens"),
    ],
)
def test_cost_of_judges_without_a_price_is_said_to_be_missing(usd: float, unpriced: int, said: str) -> None:
    row = row_of("c", "a", PASS, judge_tokens=360, judge_cost_usd=usd, judge_unpriced=unpriced)
    report = report_of(row, CaseFacts(id="c"))
    sentences = totals_sentences(report, summarise(report))
    assert [one.partition("; judges")[2] for one in sentences if "judges" in one] == [
        said.removeprefix("judges")
    ]


def test_a_matrix_that_was_cut_short_says_whom_nobody_asked() -> None:
    arms = tuple(ArmFacts(key=key, prompt="p", model=key) for key in ("a", "b"))
    cases = (CaseFacts(id="one"), CaseFacts(id="two"), CaseFacts(id="three"))
    rows = [row_of("one", "a", PASS), row_of("two", "a", PASS), row_of("two", "b", FAIL)]
    report = Report(title="t", arms=arms, cases=cases, rows=lambda: iter(rows))
    summary = summarise(report)
    found = {item.case: item.reasons for item in items(report, news(summary, {}), heads(report, summary))}
    assert found["three"] == ("not asked: the run ended before",)
    assert "not asked" not in "".join(found["two"])


def test_an_attack_that_got_through_stands_with_the_failure() -> None:
    with Ordered(judged_report()) as ordered:
        top = ET.fromstring("".join(chunks(ordered, Format.JUNIT)))
    (failure,) = [one for one in top.iter("failure") if "redteam" in one.attrib["type"]]
    assert failure.text is not None
    assert failure.text.endswith(f"attack: {ATTACK}")


@pytest.mark.parametrize("models", [1, 2, 3, 4])
def test_tables_have_the_whole_page_as_soon_as_half_of_it_cuts_them(models: int) -> None:
    out = io.StringIO()
    write_to(matrix_report(prompts=["one"], models=[f"m{n}" for n in range(models)]), Format.HTML, out)
    assert ('<section class="card whole">' in out.getvalue()) == (models > 2)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_what_votes_is_named_before_what_does_not(weight: float) -> None:
    checks = (asserted("first", FAIL, weight=weight), asserted("second", FAIL))
    (case,) = summarise(report_of(row_of("c0", "a", FAIL, asserted=checks), CaseFacts(id="c0"))).cases
    why = case.arms["a"].why
    assert why is not None
    assert why.label == ("first" if weight else "second")
    assert why_said(case.arms["a"]).endswith(f"; also {'second' if weight else 'first'}")


@pytest.mark.parametrize(("length", "lettered"), [(5, False), (40, True)])
def test_arms_have_letters_exactly_when_their_names_have_no_room(length: int, lettered: bool) -> None:
    report = matrix_report(prompts=["one"], models=["m" * length, "n" * length])
    summary = summarise(report)
    assert (list(heads(report, summary).values()) == ["A", "B"]) == lettered
    for text in (report_text(report, summary).plain, report_markdown(report, summary)):
        assert "m" * length in text  # the letters are explained
        assert ("A, B: " not in text) or lettered
