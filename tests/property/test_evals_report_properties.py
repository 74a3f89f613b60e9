"""Whatever was asked and answered: programs read back what was written, and nobody's text becomes part of a document."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from promptship.evals.compare import compare
from promptship.evals.promptfoo.model import Effect, Note
from promptship.evals.reports.aggregate import summarise
from promptship.evals.reports.formats import Format
from promptship.evals.reports.markdown import LENGTH_MAX, report_markdown, to_markdown
from promptship.evals.reports.model import Report
from promptship.evals.reports.ordered import Ordered
from promptship.evals.reports.spreadsheet import safe, unsafe
from promptship.evals.reports.text import report_text, to_text
from promptship.evals.reports.write import chunks
from promptship.evals.row_log import sound
from promptship.evals.rows import ArmFacts, CaseFacts, Row, SuiteRun, from_json
from promptship.evals.score import Score, Scored, Unscored
from tests.support.reports import NASTY, asserted, row_of
from tests.support.suite_runs import run_of

pytestmark = pytest.mark.slow

TEXT = st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=()), max_size=30))
SHARES = st.floats(0, 1)
SCORES: st.SearchStrategy[Score] = st.one_of(
    st.builds(Scored, st.booleans(), SHARES, TEXT), st.builds(Unscored, TEXT, TEXT)
)
ASSERTED = st.builds(
    asserted, TEXT, SCORES, metric=st.none() | TEXT, said=TEXT, judge_tokens=st.integers(0, 9)
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
AMOUNTS = st.none() | st.floats(0, 1e6)
COUNTS = st.none() | st.integers(0, 10**9)
ARMS = ("candidate", "stable")


@st.composite
def reports(draw: st.DrawFn) -> Report:
    ids = draw(st.lists(TEXT, min_size=1, max_size=3, unique=True))
    cases = tuple(CaseFacts(id=name, description=draw(TEXT), tags=tuple(draw(st.lists(TEXT, max_size=2))), vars=draw(st.dictionaries(st.text(max_size=5), VALUES, max_size=2))) for name in ids)  # fmt: skip
    rows = [
        Row(
            case=case.id, arm=arm, trial=trial, digest="", score=draw(SCORES), asserted=tuple(draw(st.lists(ASSERTED, max_size=2))),
            answers=tuple(draw(st.lists(TEXT, max_size=2))), value=draw(VALUES), sent=draw(TEXT), error=draw(st.just("") | TEXT),
            latency_ms=draw(AMOUNTS), tokens_in=draw(COUNTS), tokens_out=draw(COUNTS), cost_usd=draw(AMOUNTS),
            judge_tokens=draw(st.integers(0, 99)), cached=draw(st.booleans()), finish_reason=draw(TEXT),
            vars=draw(st.none() | st.dictionaries(st.text(max_size=4), VALUES, max_size=1)),
            named=draw(st.dictionaries(st.text(max_size=4), st.floats(allow_nan=False, allow_infinity=False, width=32), max_size=2)),
        )
        for case in cases for arm in ARMS for trial in range(draw(st.integers(0, 2)))
    ]  # fmt: skip
    shuffled = draw(st.permutations(rows))
    arms = tuple(ArmFacts(key=arm, prompt=draw(TEXT), model=draw(TEXT)) for arm in ARMS)
    return Report(title=draw(TEXT), id=draw(TEXT), inputs={"x": draw(TEXT)}, arms=arms, cases=cases, rows=lambda: iter(shuffled))  # fmt: skip


def document(report: Report, wanted: Format) -> str:
    with Ordered(report) as ordered:
        return "".join(chunks(ordered, wanted))


def ordered_rows(report: Report) -> list[Row]:
    places = [case.id for case in report.cases]
    return sorted(
        report.rows(), key=lambda row: (places.index(row.case), row.trial, ARMS.index(str(row.arm)))
    )


@settings(max_examples=40)
@given(reports())
def test_json_lines_and_json_give_the_same_rows_back(report: Report) -> None:
    expected = ordered_rows(report)
    lines = [json.loads(line) for line in document(report, Format.JSONL).split("\n") if line]
    assert [from_json(line) for line in lines] == expected
    facts = {case.id: case for case in report.cases}
    assert all(tuple(line["facts"]["tags"]) == facts[line["case"]].tags for line in lines)
    assert [from_json(one) for one in json.loads(document(report, Format.JSON))["results"]] == expected


@settings(max_examples=40)
@given(reports())
def test_csv_gives_the_same_cells_back_and_no_cell_is_a_formula(report: Report) -> None:
    header, *lines = csv.reader(io.StringIO(document(report, Format.CSV), newline=""))
    rows = {(sound(row.case), row.trial, row.arm): row for row in report.rows()}
    assert len(lines) == len({key[:2] for key in rows})
    for line in lines:
        assert len(line) == len(header)
        for name, cell in zip(header, line, strict=True):
            number = re.fullmatch(r"-?[\d.]+(e[+-]?\d+)?|-?inf|nan", cell)
            assert number or unsafe(cell) != cell or not re.match(r"[\s\x00-\x1f]*[=+\-@\t\r]", cell), name
        cells = {unsafe(name): cell for name, cell in zip(header, line, strict=True)}
        for arm in ARMS:
            row = rows.get((unsafe(line[0]), int(cells["trial"]) - 1, arm))
            got = {
                name: cells[f"{arm}: {name}"]
                for name in ("outcome", "answer", "tokens_in", "cost_usd", "score")
            }
            if row is None:
                assert set(got.values()) == {""}
                continue
            assert (got["outcome"] == "passed") == (isinstance(row.score, Scored) and row.score.passed)
            assert (got["outcome"] == "failed") == (isinstance(row.score, Scored) and not row.score.passed)
            assert got["score"] == (str(row.score.score) if isinstance(row.score, Scored) else "")
            assert got["tokens_in"] == ("" if row.tokens_in is None else str(row.tokens_in))
            assert (None if got["cost_usd"] == "" else float(got["cost_usd"])) == row.cost_usd
            if len(row.answers) == 1:
                assert unsafe(got["answer"]) == sound(row.answers[0])


@given(TEXT)
def test_an_apostrophe_before_a_formula_can_be_taken_away_again(text: str) -> None:
    assert unsafe(safe(text)) == text
    assert unsafe(safe(f"'{text}")) == f"'{text}"


@settings(max_examples=40)
@given(reports())
def test_junit_counts_the_rows(report: Report) -> None:
    top = ET.fromstring(document(report, Format.JUNIT).encode("utf-8", "replace"))
    rows = list(report.rows())
    cases = list(top.iter("testcase"))
    failed = sum(isinstance(row.score, Scored) and not row.score.passed for row in rows)
    errors = sum(isinstance(row.score, Unscored) and bool(row.error) for row in rows)
    unscored = sum(isinstance(row.score, Unscored) for row in rows)
    assert len(cases) == int(top.attrib["tests"]) == len(rows)
    for tag, name, expected in (("failure", "failures", failed), ("error", "errors", errors), ("skipped", "skipped", unscored - errors)):  # fmt: skip
        assert sum(case.find(tag) is not None for case in cases) == int(top.attrib[name]) == expected
    legal = [re.sub("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", "\n\n".join(row.answers)) for row in rows if row.answers]  # fmt: skip
    assert sorted((case.findtext("system-out") or "") for case in cases if case.find("system-out") is not None) == sorted(legal)  # fmt: skip


class Structure(HTMLParser):
    """Tags with the names of their attributes, and the text inside scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.scripts: list[str] = []
        self._inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = False
        self.tags.append((f"/{tag}", ()))

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment", ()))

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data


def saying(text: str) -> Report:
    """The same text wherever somebody's text can be."""
    attack = CaseFacts(
        id=f"{text}!",
        tags=(f"owasp:{text}", f"plugin:{text}", f"strategy:{text}"),
        origin="red-team",
        passes_min=1,
    )
    cases = (CaseFacts(id=text, description=text, tags=(text,), vars={text: text}), CaseFacts(id="2"), attack)
    checks = (asserted(text, Scored(False, 0.5, text), metric=text, said=text, type=text, parts=(asserted(text, Unscored(text, text)),)), asserted(text, Scored(True, 1.0), type="pairwise", judge=text))  # fmt: skip
    rows = [
        row_of(case.id, arm, score, text, asserted=checks, sent=f"{text}!", named={text: 0.5}, error=text, vars={text: text}, finish_reason=text)
        for case in cases for arm, score in (("candidate", Scored(False, 0.0, text)), ("stable", Unscored(text, text)))
    ]  # fmt: skip
    run = SuiteRun(suite=text, arms=ARMS, cases=cases, rows=tuple(rows))
    verdict = compare(run, margin=0.05, alpha=0.05, unscored_max=0.9)
    return Report(
        title=text, id=text, inputs={text: text}, cases=cases, rows=lambda: iter(rows),
        verdicts=(replace_texts(verdict, text),), arms=tuple(ArmFacts(key=arm, prompt=text, model=text) for arm in ARMS),
        notes=(Note(where=text, effect=Effect.DIFFERS, what=text, advice=text),), calibrations=(),
    )  # fmt: skip


def replace_texts(verdict: Any, text: str) -> Any:
    return verdict.model_copy(update={"because": text, "warnings": (text,)})


@settings(max_examples=40, deadline=None)  # the first page compiles the template
@given(st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=()), min_size=1, max_size=40))
def test_html_has_the_same_elements_whatever_is_said(text: str) -> None:
    assume(text != "2")
    harmless, page = Structure(document(saying("x"), Format.HTML)), document(saying(text), Format.HTML)
    said = Structure(page)
    assert said.tags == harmless.tags
    *data, own = said.scripts
    assert own == harmless.scripts[-1]
    for script in data:
        json.loads(script)
        assert not set(script) & set("<>&\u2028\u2029")
    assert json.loads(data[-1])["cases"][0][0] == sound(text)
    assert sound(text) in json.loads(data[0])["s"]


@settings(max_examples=40)
@given(reports() | st.builds(saying, TEXT.filter(bool)))
def test_a_terminal_gets_no_control_characters(report: Report) -> None:
    text = report_text(report, summarise(report)).plain + "".join(map(to_text, report.verdicts))
    assert all(char.isprintable() or char == "\n" for char in text)


def columns(line: str) -> int:
    """Cells of a line of a Markdown table: a pipe after a backslash is text, and so is an escaped backslash."""
    return len(re.findall(r"(?<!\\)\|", line.replace("\\\\", "")))


@settings(max_examples=40)
@given(reports() | st.builds(saying, TEXT.filter(bool)))
def test_markdown_tables_keep_their_columns_and_lines(report: Report) -> None:
    text = report_markdown(report, summarise(report))
    assert len(text) <= LENGTH_MAX
    text += "".join(map(to_markdown, report.verdicts))
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert tables
    for table in tables:
        assert len({columns(line) for line in table.splitlines()}) == 1
    outside = re.sub(r"`[^`]*`", "", re.sub(r"\\[^\w\s]", "", text))
    assert not re.search(r"@(?!\u200b)|<(?!/?(sub|br|details|summary)\b)", outside)


MARKS = st.text("+-?", min_size=1, max_size=4)


@given(st.lists(st.tuples(MARKS, MARKS), min_size=1, max_size=6), st.integers(1, 3) | st.none())
def test_a_summary_says_the_same_as_the_verdict(pairs: list[tuple[str, str]], passes_min: int | None) -> None:
    run = run_of([now for now, _ in pairs], [before for _, before in pairs], passes_min=passes_min)
    verdict = compare(run, margin=0.05, alpha=0.1, unscored_max=1.0)
    facts = tuple(ArmFacts(key=arm, prompt=arm, model="") for arm in ARMS)
    report = Report(title="", arms=facts, cases=run.cases, rows=lambda: iter(run.rows), verdicts=(verdict,))
    summary = summarise(report)
    for arm, judged in zip(summary.arms, (verdict.candidate, verdict.stable), strict=True):
        assert judged is not None
        got = (arm.rate.value, arm.pass_at_k, arm.pass_hat_k, arm.counted.unscored, arm.latency_ms_median)
        assert got == (judged.pass_rate, judged.pass_at_k, judged.pass_hat_k, judged.unscored, judged.latency_ms_median)  # fmt: skip
        assert arm.rate.value is None or (arm.rate.low, arm.rate.high) == (judged.pass_rate_low, judged.pass_rate_high)  # fmt: skip
    counts = {change.value: number for change, number in verdict.counts.items()}
    assert counts == {kind: sum(case.standing == kind for case in summary.cases) for kind in counts}
    assert [case.case for case in summary.cases if case.standing.is_news] == sorted((change.case for change in verdict.changes), key=[case.id for case in run.cases].index)  # fmt: skip


@settings(max_examples=40)
@given(reports(), st.sampled_from(["latency_ms", "cost_usd"]), st.sampled_from([math.nan, math.inf]))
def test_no_format_shows_a_number_that_is_none(report: Report, name: str, value: float) -> None:
    def rows() -> Any:
        return (replace(row, **{name: value}) for row in report.rows())  # type: ignore[arg-type]

    spoiled = replace(report, rows=rows)
    for wanted in Format:
        document(spoiled, wanted)
    parse: Callable[[str], Any] = lambda text: json.loads(text, parse_constant=lambda _: 1 / 0)  # noqa: E731
    assert all(
        name not in one or one[name] is None for one in parse(document(spoiled, Format.JSON))["results"]
    )
    assert all(arm.latency_ms_median is None for arm in summarise(spoiled).arms) or name != "latency_ms"
