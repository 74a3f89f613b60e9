from __future__ import annotations

import io
import json
import math
import os
import re
import tracemalloc
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft202012Validator

from promptship.errors import ConfigError
from promptship.evals.reports.aggregate import Aggregate, nearest_rank, summarise
from promptship.evals.reports.formats import Format, format_of
from promptship.evals.reports.markdown import LENGTH_MAX, report_markdown
from promptship.evals.reports.model import Report
from promptship.evals.reports.ordered import Ordered
from promptship.evals.reports.page import difference_plot, scale_of
from promptship.evals.reports.schema import report_schema
from promptship.evals.reports.summary import Standing, Summary
from promptship.evals.reports.tables import arm_names, arms_table, grid_of
from promptship.evals.reports.text import report_text
from promptship.evals.reports.totals import cost, totals_sentences
from promptship.evals.reports.verdicts import headlines
from promptship.evals.reports.write import chunks, write, write_to
from promptship.evals.rows import ArmFacts, CaseFacts, Row
from promptship.evals.score import Scored, Unscored
from promptship.evals.suite_file import Severity
from promptship.render.colour import show, wants_colour
from tests.support.reports import asserted, large_report, matrix_report, row_of, small_report

pytestmark = pytest.mark.slow

PASS, FAIL = Scored(True, 1.0), Scored(False, 0.0)


def report_of(*rows: Row, cases: int = 1) -> Report:
    facts = tuple(CaseFacts(id=f"c{n}") for n in range(cases))
    arms = (ArmFacts(key="a", prompt="p", model="m"),)
    return Report(title="t", arms=arms, cases=facts, rows=lambda: iter(rows))


# Counting -------------------------------------------------------------------------------------------------------------


def test_totals_are_the_sum_of_the_rows_and_of_the_arms() -> None:
    summary = summarise(small_report())
    totals = summary.totals
    assert (totals.rows, totals.passed, totals.failed, totals.unscored, totals.errors) == (16, 9, 5, 2, 1)
    for name in (
        "rows",
        "passed",
        "failed",
        "unscored",
        "errors",
        "cached",
        "unpriced",
        "tokens_in",
        "judge_tokens",
    ):
        assert getattr(totals, name) == sum(getattr(arm.counted, name) for arm in summary.arms)
    assert [case.standing for case in summary.cases] == [
        Standing.REGRESSED, Standing.FLAKY, Standing.IMPROVED, Standing.UNSCORED,
    ]  # fmt: skip


def test_numbers_of_an_arm_are_those_of_its_verdict() -> None:
    report = small_report()
    summary = summarise(report)
    (verdict,) = report.verdicts
    for arm, judged in zip(summary.arms, (verdict.candidate, verdict.stable), strict=True):
        assert judged is not None
        assert (arm.rate.value, arm.rate.low, arm.rate.high) == (
            judged.pass_rate,
            judged.pass_rate_low,
            judged.pass_rate_high,
        )
        assert (arm.k, arm.pass_at_k, arm.pass_hat_k) == (judged.k, judged.pass_at_k, judged.pass_hat_k)


def test_what_nobody_measured_is_none_and_never_shown_as_zero() -> None:
    bare = row_of("c0", "a", Unscored("no answer"), error="down", latency_ms=math.nan, tokens_in=None, tokens_out=None, cost_usd=None)  # fmt: skip
    report = report_of(bare)
    summary = summarise(report)
    (arm,) = summary.arms
    assert (arm.rate.value, arm.latency_ms_median, arm.latency_ms_p95) == (None, None, None)
    assert (arm.counted.tokens_in, arm.counted.cost_usd, arm.counted.cost_usd_per_1000) == (None, None, None)
    text = report_text(report, summary).plain
    assert "not measured" in text
    assert "$0" not in text
    assert "0%" not in text
    assert "nan" not in text.lower()


def test_a_run_without_rows_is_no_verdict() -> None:
    report = report_of()
    summary = summarise(report)
    (headline,) = headlines(report, summary)
    assert (headline.tone, headline.word) == ("wait", "NO VERDICT")
    for wanted in Format:
        out = io.StringIO()
        write_to(report, wanted, out)


def test_cost_of_what_has_no_price_is_said_to_be_missing() -> None:
    priced, unpriced = row_of("c0", "a", PASS, cost_usd=0.5), row_of("c0", "a", PASS, trial=1, cost_usd=None)
    cached = row_of("c0", "a", PASS, trial=2, cost_usd=None, cached=True)
    assert cost(summarise(report_of(priced)).totals) == "$0.50"
    assert cost(summarise(report_of(priced, unpriced)).totals) == "at least $0.50 (1 answer without a price)"
    assert cost(summarise(report_of(unpriced)).totals) == "not measured"
    assert cost(summarise(report_of(cached)).totals) == "$0"
    assert cost(summarise(report_of(cached, unpriced)).totals) == "not measured (1 answer without a price)"
    # What a thousand new answers would cost: neither free ones from the cache nor unknown ones count.
    assert summarise(report_of(priced, unpriced, cached)).arms[0].counted.cost_usd_per_1000 == 500.0
    assert summarise(report_of(cached)).arms[0].counted.cost_usd_per_1000 is None


@pytest.mark.parametrize("now", [PASS, FAIL])
@pytest.mark.parametrize("before", [PASS, FAIL])
def test_a_case_that_fails_with_both_versions_is_named_though_nothing_changed(
    now: Scored, before: Scored
) -> None:
    arms = (ArmFacts(key="candidate", prompt="p", model="m"), ArmFacts(key="stable", prompt="p", model="m"))
    rows = (row_of("c0", "candidate", now), row_of("c0", "stable", before))
    case = CaseFacts(id="c0", severity=Severity.BLOCKING)
    report = Report(title="t", arms=arms, cases=(case,), rows=lambda: iter(rows))
    summary = summarise(report)
    said = "1 case fails with candidate and stable alike: c0 (blocking)"
    assert (said in totals_sentences(report, summary)) == (not now.passed and not before.passed)
    assert (said in report_text(report, summary).plain) == (not now.passed and not before.passed)
    assert ("No case of 1 changed." in report_markdown(report, summary)) == (now.passed == before.passed)


def test_slices_metrics_and_assertions_are_counted_per_arm() -> None:
    summary = summarise(small_report())
    billing = {one.arm: one.rate for one in summary.slices if one.tag == "billing"}
    assert (billing["candidate"].value, billing["candidate"].cases, billing["stable"].value) == (0.25, 2, 1.0)
    (found,) = summary.metrics
    assert (found.metric, found.arm, found.count, found.least, found.greatest) == (
        "found",
        "candidate",
        3,
        0.0,
        1.0,
    )
    assert found.mean == pytest.approx(1 / 3)
    contains = {one.arm: (one.failed, one.passed) for one in summary.assertions if one.label == "contains"}
    assert contains == {"candidate": (2, 0), "stable": (0, 2)}
    assert not [one for one in summary.assertions if one.label == "tone"]  # it never failed


def test_numbers_that_are_none_do_not_spoil_a_mean() -> None:
    numbers = Aggregate([], [])
    numbers.add(row_of("c", "a", PASS, named={"x": math.nan, "y": math.inf, "z": 0.5}))
    assert [(one.metric, one.mean) for one in numbers.summary().metrics] == [("z", 0.5)]


def test_flaky_and_the_chances_of_a_case() -> None:
    rows = [row_of("c0", "a", PASS if trial < 1 else FAIL, trial=trial) for trial in range(3)]
    (case,) = summarise(report_of(*rows)).cases
    assert (case.standing, case.arms["a"].flaky) == (Standing.FLAKY, True)
    assert (case.arms["a"].pass_at_k, case.arms["a"].pass_hat_k) == (1.0, 0.0)


def test_arms_that_disagree_about_a_case_are_named_so() -> None:
    summary = summarise(matrix_report())
    standings = {case.case: case.standing for case in summary.cases}
    assert standings["case-1"] is Standing.FAILS
    assert standings["case-4"] is Standing.DIFFERS
    assert standings["case-0"] is Standing.PASSES


@pytest.mark.parametrize(("values", "expected"), [([3.0], 3.0), (list(range(1, 21)), 19), (list(range(100)), 94)])  # fmt: skip
def test_the_95th_percentile_is_the_nearest_rank(values: list[float], expected: float) -> None:
    assert nearest_rank(values, 0.95) == expected


# Tables ---------------------------------------------------------------------------------------------------------------


def test_a_matrix_is_a_grid_only_when_each_pair_is_one_arm() -> None:
    report = matrix_report()
    summary = summarise(report)
    grid = grid_of(summary)
    assert grid is not None
    assert (grid.prompts, grid.models) == (("terse", "kind"), ("gpt-4.1", "gpt-4.1-mini"))
    assert grid_of(summarise(matrix_report(prompts=["one"]))) is None
    assert grid_of(summarise(small_report())) is None
    assert arm_names(report, summary)["kind/gpt-4.1"] == "kind · gpt-4.1"
    one_prompt = matrix_report(prompts=["one"])
    assert arm_names(one_prompt, summarise(one_prompt))["one/gpt-4.1"] == "gpt-4.1"


def test_a_grid_with_a_hole_says_so() -> None:
    report = matrix_report()
    arms = report.arms[:3]
    holed = Report(title="t", arms=arms, cases=report.cases, rows=lambda: (row for row in report.rows() if row.arm != report.arms[3].key))  # fmt: skip
    grid = grid_of(summarise(holed))
    assert grid is not None
    assert grid.cells[1][1] is None
    for wanted in (Format.TEXT, Format.MARKDOWN, Format.HTML):
        write_to(holed, wanted, io.StringIO())


@pytest.mark.parametrize("width", [60, 80, 110, 200])
@pytest.mark.parametrize("report", [small_report(), matrix_report(), matrix_report(models=[f"model-{n}" for n in range(7)])])  # fmt: skip
def test_tables_keep_to_the_width_of_the_terminal(report: Report, width: int) -> None:
    lines = report_text(report, summarise(report), width=width).plain.splitlines()
    sentences = ("  difference", "  ignored", "  !", "  cost", "  took", "REJECTED", "FAILED", "  16 ", "  48 ", "  168 ")  # fmt: skip
    columns_min = 12 * (len(report.arms) + 3)  # every column keeps a readable width
    assert all(
        len(line) <= max(width, columns_min) for line in lines if line and not line.startswith(sentences)
    )


def test_many_arms_go_without_the_columns_that_can_be_spared() -> None:
    report = matrix_report(prompts=["one"], models=[f"a-rather-long-model-name-{n}" for n in range(7)])
    assert "p95" in arms_table(report, summarise(report))[0]
    narrow = report_text(report, summarise(report), width=88).plain
    assert "p95" not in narrow
    assert "pass rate" in narrow


def test_the_plots_hold_every_mark() -> None:
    report = large_report(40)
    summary = summarise(report)
    plot = difference_plot(report.verdicts[0])
    assert plot is not None
    assert 0 <= plot.low <= plot.mean <= plot.high <= 320
    assert 0 <= plot.margin < plot.zero <= 320
    scale = scale_of(summary)
    assert scale is not None
    assert 0 <= scale[0] < scale[1] <= 1


# Writing --------------------------------------------------------------------------------------------------------------


def test_every_ending_writes_its_format_and_leaves_nothing_else(tmp_path: Path) -> None:
    paths = [tmp_path / "deep" / f"r{ending}" for ending in (".txt", ".MD", ".json", ".jsonl", ".csv", ".xml", ".html")]  # fmt: skip
    write(small_report(), *paths)
    assert sorted((tmp_path / "deep").iterdir()) == sorted(paths)
    first = [path.read_bytes()[:12] for path in paths]
    assert first[4].startswith(b"\xef\xbb\xbfcase")  # Excel takes it for Latin-1 without the mark
    assert first[5].startswith(b"<?xml")
    assert first[6].startswith(b"<!doctype")


def test_an_unknown_ending_is_one_error_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"r\.yml: a report of an unknown kind; .*\.jsonl"):
        write(small_report(), tmp_path / "r.json", tmp_path / "r.yml")
    assert not list(tmp_path.iterdir())
    assert format_of(Path("a/B.JSONL")) is Format.JSONL


def test_a_place_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="not writable"):
        write(small_report(), tmp_path / "file" / "r.json")


def test_a_report_that_breaks_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("old")

    def broken() -> Report:
        good = small_report()
        rows = list(good.rows())
        bad = row_of("refund", "candidate", PASS, trial=9, metadata={1: {"a": object}})
        return Report(title="t", arms=good.arms, cases=good.cases, rows=lambda: iter([*rows, bad, None]))  # type: ignore[list-item]

    with pytest.raises(AttributeError):
        write(broken(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("out", [io.StringIO, Terminal])
@pytest.mark.parametrize("no_color", ["", "1"])
@pytest.mark.parametrize("force_color", ["", "1"])
@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_colour_is_for_terminals_that_nobody_forbade_it(
    out: type[io.StringIO], no_color: str, force_color: str, term: str
) -> None:
    environ = {"NO_COLOR": no_color, "FORCE_COLOR": force_color, "TERM": term}
    report = small_report()
    text, stream = report_text(report, summarise(report)), out()
    show(text, stream, environ)
    wanted = not no_color and (bool(force_color) or (out is Terminal and term != "dumb"))
    assert wants_colour(stream, environ) == wanted
    assert ("\x1b[1;31mREJECTED" in stream.getvalue()) == ("\x1b[" in stream.getvalue()) == wanted
    assert re.sub(r"\x1b\[[\d;]*m", "", stream.getvalue()) == text.plain


def test_rows_are_in_the_order_of_the_suite_however_they_came() -> None:
    with Ordered(small_report()) as ordered:
        keys = [row.key for row in ordered.rows()]
        listed = [(case.id, len(rows)) for case, rows in ordered.cases_with_rows()]
    cases = [case.id for case in small_report().cases]
    assert keys == [(case, arm, trial) for case in cases for trial in (0, 1) for arm in ("candidate", "stable")]  # fmt: skip
    assert listed == [(case, 4) for case in cases]


def test_a_row_of_a_case_that_nobody_announced_is_reported_too() -> None:
    report = report_of(row_of("c0", "a", PASS), row_of("new", "other", FAIL))
    with Ordered(report) as ordered:
        assert [row.key for row in ordered.rows()] == [("c0", "a", 0), ("new", "other", 0)]
        for wanted in Format:
            assert "".join(chunks(ordered, wanted))


@pytest.mark.parametrize("report", [small_report(), matrix_report(), report_of()])
def test_json_keeps_to_its_schema(report: Report) -> None:
    schema = report_schema()
    Draft202012Validator.check_schema(schema)
    with Ordered(report) as ordered:
        document = json.loads("".join(chunks(ordered, Format.JSON)), parse_constant=pytest.fail)
        lines = [json.loads(line) for line in "".join(chunks(ordered, Format.JSONL)).splitlines()]
    Draft202012Validator(schema).validate(document)
    line_schema = {"$defs": schema["$defs"], "$ref": "#/$defs/Line"}
    for line in lines:
        Draft202012Validator(line_schema).validate(line)
    assert len(lines) == len(document["results"]) == document["summary"]["totals"]["rows"]
    assert Summary.model_validate_json(json.dumps(document["summary"])) == summarise(report)


def test_junit_has_the_structure_that_ci_systems_read() -> None:
    with Ordered(small_report()) as ordered:
        top = ET.fromstring("".join(chunks(ordered, Format.JUNIT)))
    assert (top.tag, [suite.attrib["name"] for suite in top]) == ("testsuites", ["candidate", "stable"])
    for node in (top, *top):
        cases = list(node.iter("testcase"))
        counted = [sum(case.find(tag) is not None for case in cases) for tag in ("failure", "error", "skipped")]  # fmt: skip
        assert [int(node.attrib[name]) for name in ("tests", "failures", "errors", "skipped")] == [len(cases), *counted]  # fmt: skip
    for case in top.iter("testcase"):
        assert set(case.attrib) <= {"classname", "name", "time"}
        assert {"classname", "name"} <= set(case.attrib)
        assert [child.tag for child in case] in (["system-out"], ["failure", "system-out"], ["skipped", "system-out"], ["error"])  # fmt: skip
        assert all(float(case.attrib["time"]) > 0 for _ in range("time" in case.attrib))
    (timestamp,) = {suite.attrib["timestamp"] for suite in top}
    assert timestamp == "2026-03-04T14:02:09"


def test_a_comment_of_github_has_room_for_the_markdown_and_what_is_cut_is_said() -> None:
    rows = [
        row_of(f"{'long ' * 30}{n}", "a", FAIL, asserted=(asserted(f"check {n}", FAIL),)) for n in range(900)
    ]
    report = report_of(*rows, cases=0)
    text = report_markdown(report, summarise(report))
    assert 60_000 < len(text) <= LENGTH_MAX
    assert "More is left out here" in text
    assert totals_sentences(report, summarise(report))[0] in text
    tiny = report_markdown(report, summarise(report), length_max=600)
    assert len(tiny) <= 600
    assert "More is left out here" in tiny
    small = small_report()
    assert "left out here" not in report_markdown(small, summarise(small))


def test_memory_does_not_grow_with_the_answers() -> None:
    cases, length = 250, 20_000  # 10 MB of answers in all

    def rows() -> object:
        return (
            row_of(f"c{n}", arm, PASS, os.urandom(length // 2).hex()) for n in range(cases) for arm in ("candidate", "stable")
        )  # fmt: skip

    small = small_report()
    facts = tuple(CaseFacts(id=f"c{n}") for n in range(cases))
    report = Report(title="t", arms=small.arms, cases=facts, rows=rows)  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        with Ordered(report) as ordered:
            for wanted in Format:
                tracemalloc.reset_peak()
                for _ in chunks(ordered, wanted):
                    pass
                assert tracemalloc.get_traced_memory()[1] < 6_000_000, wanted
    finally:
        tracemalloc.stop()
