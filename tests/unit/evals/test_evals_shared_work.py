"""What is done once for many cases or rows gives the same as done for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from promptship.evals.reports.formats import Format
from promptship.evals.reports.ordered import Ordered
from promptship.evals.reports.write import chunks
from promptship.evals.rows import Row
from tests.support.reports import small_report
from tests.support.suites import suite_of

CHECKED = """\
cases:
  - {id: a, vars: {n: 1}, assert: [{type: python, value: "file://checks.py:short"}, {type: contains, value: "{{ n }}"}]}
  - {id: b, vars: {n: 1}, assert: [{type: python, value: "file://checks.py:short"}, {type: contains, value: "{{ n }}"}]}
  - {id: c, vars: {n: 2}, assert: [{type: python, value: "file://checks.py:short"}, {type: contains, value: "{{ n }}"}]}
  - {id: d, vars: {n: 2}, assert: [{type: contains, value: "{{ n }}", weight: 2}]}
"""
SHORT = "def short(output, context):\n    return len(output) < 9\n"


def test_cases_that_demand_the_same_share_their_assertions_and_no_others() -> None:
    a, b, c, d = (case.turns[0].asserts for case in suite_of(CHECKED, checks_py=SHORT).cases)
    assert a[0] is b[0] is c[0]
    assert a[1] is b[1]
    assert len({id(one) for one in (a[1], c[1], d[0])}) == 3
    assert [one.value for one in (a[1], c[1], d[0])] == ["1", "2", "2"]
    assert [one.weight for one in (c[1], d[0])] == [1.0, 2.0]


def test_every_case_that_reads_a_file_changes_with_it() -> None:
    before = suite_of(CHECKED, checks_py=SHORT).cases
    after = suite_of(CHECKED, checks_py=SHORT.replace("9", "8")).cases
    assert before[0].digest == before[1].digest
    changed = [old.digest != new.digest for old, new in zip(before, after, strict=True)]
    assert changed == [True, True, True, False]


@pytest.mark.parametrize("wanted", list(Format))
def test_rows_are_read_again_exactly_when_a_report_shows_them(wanted: Format) -> None:
    report, times = small_report(), 0

    def rows() -> Iterator[Row]:
        nonlocal times
        times += 1
        return report.rows()

    with Ordered(replace(report, rows=rows)) as ordered:
        assert times == 1
        said = "".join(chunks(ordered, wanted))
        assert times == (1 if wanted in {Format.TEXT, Format.MARKDOWN} else 2)
        assert "".join(chunks(ordered, wanted)) == said
        assert times <= 2
