"""The suite gate: Great Expectations over case rows. One import of it takes seconds, so one suite has every fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from promptship.adapters.suite_gate import examine_suite
from promptship.evals.suite_facts import case_rows, columns_of, looked_over
from tests.support.suites import suite_of

pytestmark = pytest.mark.slow

GOOD: Mapping[str, Sequence[Any]] = {
    "id": ["a", "b"], "duplicate_of": [None, None], "near_duplicate_of": [None, None], "checks": [1, 2],
    "empty_checks": [0, 0], "secret": [None, None], "personal": [None, None],
}  # fmt: skip


def test_a_good_suite_passes_and_has_a_page_that_loads_nothing_from_elsewhere() -> None:
    found = examine_suite("support <b>", GOOD, {"refunds": 1})
    assert (found.problems, found.warnings) == ((), ())
    assert "default-src 'none'" in found.page
    assert "<title>suite support &lt;b&gt;</title>" in found.page
    assert "<script src" not in found.page
    assert "cdn" not in found.page


@pytest.mark.parametrize(
    ("column", "value", "problem", "warning"),
    [
        ("duplicate_of", "a", "b: ask and demand exactly what an earlier case does", ""),
        ("secret", "an AWS access key id", "b: hold a credential", ""),
        ("checks", 0, "b: demand nothing that an answer could fail", ""),
        ("empty_checks", 1, "b: look for a pattern that matches everything", ""),
        ("near_duplicate_of", "a", "", "b: ask nearly what an earlier case asks"),
        ("personal", "a phone number", "", "b: hold personal data"),
    ],
)
def test_each_fault_is_said_with_its_case(column: str, value: Any, problem: str, warning: str) -> None:
    found = examine_suite("s", {**GOOD, column: [GOOD[column][0], value]}, {})
    assert [text.startswith(problem) for text in found.problems] == ([True] if problem else [])
    assert [text.startswith(warning) for text in found.warnings] == ([True] if warning else [])


def test_a_promised_slice_without_a_case_is_a_problem() -> None:
    found = examine_suite("s", GOOD, {"refunds": 0, "cards": 2})
    assert found.problems == ("no case has the tag 'refunds', which the suite promises",)
    assert (
        found.results["statistics"]["unsuccessful_expectations"] == 1
    )  # so its page says that one is broken
    assert "cases of promised slice 2: refunds" in found.page
    assert found.results["success"] is False


FAULTS = """
slices: [refunds, cards]
defaults: {assert: [{type: contains, value: card}]}
cases:
  - {id: a, vars: {question: "Where is my card? I lost it in Rome a week ago!"}, tags: [cards]}
  - {id: b, vars: {question: "Where is my card? I lost it in Rome a week ago!"}}
  - {id: c, vars: {question: "Where is my card? I lost it in Oslo a week ago!"}}
  - {id: d, vars: {question: "my key is AKIAQ3EGRMZK7PLWBXUC"}, assert: [{type: regex, value: ".*"}]}
  - {id: e, vars: {question: "write to jane.miller@gmail.com"}}
"""
FINE = """
slices: [cards]
defaults: {assert: [{type: contains, value: card}]}
cases: [{id: a, vars: {question: "Where is my card?"}, tags: [cards]}]
"""


@pytest.mark.parametrize(("text", "count"), [(FAULTS, 6), (FINE, 0)])
def test_a_laptop_says_what_the_gate_of_a_release_says(text: str, count: int) -> None:
    suite = suite_of(text)
    columns, slices = columns_of(suite, case_rows(suite))
    found = examine_suite(suite.name, columns, slices)
    problems, warnings = looked_over(suite)
    assert (problems, warnings) == (list(found.problems), list(found.warnings))
    assert len(problems) + len(warnings) == count
