"""Tables, suites, verdicts and timelines, where the golden files do not reach."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from promptship.canary.evidence import Outcome, Verdict
from promptship.release import events as e
from promptship.render.facts import fact_line
from promptship.render.suite import suite_lines
from promptship.render.table import aligned, clipped, markdown, one_line
from promptship.render.verdict import headline, verdict_from, verdict_lines, verdict_markdown
from tests.support.facts import FACTS
from tests.support.verdicts import finding, hold, rolled_back

rows = st.lists(st.lists(st.text(max_size=6), min_size=3, max_size=3), min_size=1, max_size=5)


@given(rows)
def test_columns_stand_under_each_other(cells: list[list[str]]) -> None:
    lines = aligned(cells, gap="|")
    widths = [max(cell_len(one_line(row[i])) for row in cells) for i in range(3)]
    for line, row in zip(lines, cells, strict=True):
        expected = "|".join(
            one_line(cell) + " " * (width - cell_len(one_line(cell)))
            for cell, width in zip(row, widths, strict=True)
        )
        assert line == expected.rstrip()


@given(st.text(max_size=60), st.integers(2, 20))
def test_one_line_is_one_printable_line(text: str, width: int) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert one_line(line) == line
    assert len(clipped(text, width)) <= width
    assert (clipped(text, width) == line) == (len(line) <= width)


@given(rows)
def test_nothing_breaks_out_of_a_markdown_cell(cells: list[list[str]]) -> None:
    table = markdown(("a", "b", "c"), cells).split("\n")
    assert len(table) == len(cells) + 2
    for line in table:
        bars = re.findall(r"(\\*)\|", line)
        assert sum(len(backslashes) % 2 == 0 for backslashes in bars) == 4
        assert "<" not in line.replace("&lt;", "")


def test_a_terminal_escape_sequence_does_not_reach_the_terminal() -> None:
    assert "\x1b" not in fact_line(e.Cancelled(reason="\x1b[31mred\x1b[0m\nrelease r-2  PROMOTED"))
    assert "\n" not in fact_line(e.Cancelled(reason="a\nb"))


@pytest.mark.parametrize("kind", FACTS)
def test_every_fact_has_a_line(kind: str) -> None:
    line = fact_line(FACTS[kind]())
    assert line
    assert "None" not in line
    assert line == one_line(line)


def test_headlines() -> None:
    assert headline(Verdict(stage=0, look=1, findings=())) == "nothing has been measured yet"
    assert headline(rolled_back()) == "11.9% of candidate against 4.1% of stable: harmful"
    good = Verdict(
        stage=0, look=3, findings=(finding("a", Outcome.ADVANCE, "x"), finding("b", Outcome.ADVANCE, "y"))
    )
    assert headline(good) == "no guardrail objects: a, b"


def test_a_rule_without_numbers_shows_none() -> None:
    dwell = verdict_lines(hold())[2]
    assert dwell.split() == ["dwell", "hold"]
    assert "not measured" not in "\n".join(verdict_lines(hold()))


def test_a_rate_that_was_not_measured_is_said_so() -> None:
    blind = finding().model_copy(update={"rate_candidate": None})
    text = "\n".join(verdict_lines(Verdict(stage=0, look=1, findings=(blind,))))
    assert "not measured of 612" in text


def test_markdown_of_a_verdict() -> None:
    text = verdict_markdown(rolled_back())
    assert text.startswith("**Stage 2, look 7: roll back.** 11.9%")
    assert "| feedback:escalated | roll back | 4.1% of 11,204 | 11.9% of 612 | 51,200 | 40 |" in text


def test_a_verdict_of_another_version_is_none() -> None:
    assert verdict_from(rolled_back().model_dump(mode="json")) == rolled_back()
    for data in (None, {}, {"findings": 1}, {"stage": 0, "look": 1, "findings": [], "new": 1}):
        assert verdict_from(data) is None


@pytest.mark.parametrize(
    ("verdict", "lines"),
    [
        (None, []),
        ({}, []),
        ({"outcome": "pass", "because": "no case is worse"}, ["pass; no case is worse"]),
        (
            {"suite": "support", "outcome": "too_small", "because": "2 cases are worse.", "cases": 40,
             "candidate": {"pass_rate": 0.91, "trials": 118}, "stable": {"pass_rate": 0.95, "trials": 120}},
            ["support: too small; 2 cases are worse; pass rate 91%, stable 95%; 40 cases, 118 scored trials"],
        ),
        (
            {"suite": "support", "outcome": "unscored", "cases": 1, "candidate": {"pass_rate": None, "trials": 0}, "stable": None},
            ["support: unscored; pass rate not measured; 1 case, 0 scored trials"],
        ),
        ({"suites": [{"suite": "a", "outcome": "pass"}, {"suite": "b", "outcome": "pass"}]}, ["a: pass", "b: pass"]),
        ({"suites": {"a": {"outcome": "pass"}}}, ["a: pass"]),
        ({"suites": []}, ["not measured"]),
        ({"outcome": 5, "cases": None, "because": ["x"]}, ["not measured"]),
        ({"outcome": "pass", "candidate": 1, "stable": {"pass_rate": True}}, ["pass; pass rate not measured, stable not measured"]),
    ],
)  # fmt: skip
def test_suites_are_read_defensively(verdict: dict[str, object] | None, lines: list[str]) -> None:
    assert suite_lines(verdict) == lines


def test_the_verdict_that_evals_writes_is_read() -> None:
    from promptship.evals.verdict import ArmSummary, Rules, SuiteOutcome, SuiteVerdict

    rules = Rules(margin=0.05, alpha=0.05, unscored_max=0.02, pass_rate_min=0.0)
    arm = ArmSummary(pass_rate=0.9, trials=30, unscored=0)
    verdict = SuiteVerdict(
        suite="support",
        outcome=SuiteOutcome.PASSED,
        passes=True,
        because="no drop",
        rules=rules,
        cases=10,
        candidate=arm,
        stable=arm,
    )
    assert suite_lines(verdict.model_dump(mode="json")) == [
        "support: passed; no drop; pass rate 90%, stable 90%; 10 cases, 30 scored trials"
    ]
