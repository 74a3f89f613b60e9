"""The suite gate: Great Expectations over case rows. One import of it takes seconds, so one suite has every fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from promptship.adapters.suite_gate import examine_suite

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
    assert examine_suite("s", GOOD, {"refunds": 0, "cards": 2}).problems == (
        "no case has the tag 'refunds', which the suite promises",
    )
