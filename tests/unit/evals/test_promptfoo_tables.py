"""Tests in tables: what CSV and Excel files hold, and what the columns with two underscores mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from promptship.errors import ConfigError
from promptship.evals.promptfoo.csv_tests import assertion_of, row_test, table_tests
from promptship.evals.promptfoo.tables import TableRow, read_csv, read_xlsx


def cells(text: str, **more: Any) -> list[dict[str, str]]:
    return [dict(row.cells) for row in read_csv(text, "t.csv", **more)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a,b\n1,2\n", [{"a": "1", "b": "2"}]),
        ('a,b\r\n1,"l1\nl2"\r\n', [{"a": "1", "b": "l1\nl2"}]),
        ("\ufeffa,b\n1,2", [{"a": "1", "b": "2"}]),
        ("a\n1\n\n2\n", [{"a": "1"}, {"a": ""}, {"a": "2"}]),
        ("a,a\n1,2\n", [{"a": "2"}]),
        ('a,b\n"x""y","p,q"\n', [{"a": 'x"y', "b": "p,q"}]),
        ("a,b\n1,\n,2", [{"a": "1", "b": ""}, {"a": "", "b": "2"}]),
        ("a,b\n 1 , 2 \n", [{"a": " 1 ", "b": " 2 "}]),
        ("a,b\n", []),
        ("", []),
    ],
)  # fmt: skip
def test_lines_become_cells(text: str, wanted: list[dict[str, str]]) -> None:
    assert cells(text) == wanted
    assert cells(text, strict=True) == wanted


@pytest.mark.parametrize(
    ("text", "relaxed"),
    [
        ('a,b\n"x"y,2\n', [{"a": '"x"y', "b": "2"}]),
        ('a,b\nx"y",2\n', [{"a": 'x"y"', "b": "2"}]),
        ('a,b\n"x""y", "z"\n', [{"a": 'x"y', "b": ' "z"'}]),
        ('a,b\n"he said "hi" ok",2\n', [{"a": '"he said "hi" ok"', "b": "2"}]),
    ],
)
def test_quotes_that_break_the_rules_are_read_relaxed_unless_that_is_refused(
    text: str, relaxed: list[dict[str, str]]
) -> None:
    assert cells(text) == relaxed
    with pytest.raises(ConfigError, match=r"t\.csv:2: "):
        cells(text, strict=True)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a,b\n1,2\n3\n", 3),
        ("a,b\n1,2,3\n", 2),
        ("a,b\n1,2\n\n", 3),
        ('a,b\n"1\n2",3\n4\n', 4),
        ('a,b\n1,"open\n', 2),
    ],
)
def test_a_line_that_does_not_fit_is_an_error_with_its_number(text: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        cells(text)
    assert [problem.line for problem in caught.value.problems] == [line]


def test_another_delimiter() -> None:
    assert cells("a;b\n1;2,3\n", delimiter=";") == [{"a": "1", "b": "2,3"}]


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        ("Paris", {"type": "equals", "value": "Paris"}),
        ("contains:Paris", {"type": "contains", "value": "Paris"}),
        ("contains: Paris ", {"type": "contains", "value": "Paris"}),
        ("not-contains:x:y", {"type": "not-contains", "value": "x:y"}),
        ('contains-any:a, "b, c" ,d', {"type": "contains-any", "value": ["a", "b, c", "d"]}),
        ('icontains-all:"x ""y""","p \\"q\\""', {"type": "icontains-all", "value": ['x "y"', 'p "q"']}),
        ("similar(0.5):x", {"type": "similar", "value": "x", "threshold": 0.5}),
        ("similar:x", {"type": "similar", "value": "x", "threshold": 0.8}),
        ("similar:dot(0.3):x", {"type": "similar:dot", "value": "x"}),
        ("levenshtein(3):x", {"type": "levenshtein", "value": "x", "threshold": 3.0}),
        ("latency", {"type": "latency", "threshold": 0.75}),
        ("is-json", {"type": "is-json"}),
        ('is-json: {"type": "object"}', {"type": "is-json", "value": ' {"type": "object"}'}),
        ("javascript: output.length", {"type": "javascript", "value": "output.length"}),
        ("fn:output", {"type": "javascript", "value": "output"}),
        ("eval:output", {"type": "javascript", "value": "output"}),
        ("file://check.js:named", {"type": "javascript", "value": "file://check.js:named"}),
        ("file://check.py", {"type": "python", "value": "file://check.py"}),
        ("python: len(output)", {"type": "python", "value": "len(output)"}),
        ("grade: be kind", {"type": "llm-rubric", "value": " be kind"}),
        ("llm-rubric:be kind", {"type": "llm-rubric", "value": "be kind"}),
        ("nothing-like:it", {"type": "equals", "value": "nothing-like:it"}),
        ("select-best:x", {"type": "equals", "value": "select-best:x"}),
        ("contains(0.5):x", {"type": "contains", "value": "x"}),
    ],
)
def test_the_grammar_of_expected(cell: str, wanted: dict[str, Any]) -> None:
    assert assertion_of(cell) == wanted


@pytest.mark.parametrize("cell", ['contains-any:"a', 'contains-any:"a" b'])
def test_lists_with_broken_quotes_are_errors(cell: str) -> None:
    with pytest.raises(ConfigError, match=r"t\.csv:2: __expected"):
        table_tests(read_csv(f'q,__expected\nx,"{cell.replace(chr(34), chr(34) * 2)}"\n', "t.csv"), "t.csv")


def test_columns_with_two_underscores() -> None:
    text = (
        "question,__expected,__expected2,__prefix,__suffix,__description,__providerOutput,__metric,__threshold,"
        "__metadata:topic,__metadata:tags[],__config:__expected2:threshold\n"
        'why?,equals:x,similar:y,<,>,named,given,m,0.4,t,"a, b\\, c",0.2\n'
    )
    (test,), odd = table_tests(read_csv(text, "t.csv"), "t.csv")
    assert odd == ()
    assert test == {
        "vars": {"question": "why?"}, "description": "named", "providerOutput": "given", "threshold": 0.4,
        "options": {"prefix": "<", "suffix": ">"},
        "assert": [
            {"type": "equals", "value": "x", "metric": "m"}, {"type": "similar", "value": "y", "threshold": 0.2, "metric": "m"},
        ],
        "metadata": {"topic": "t", "tags": ["a", "b, c"], "threshold": 0.2},
    }  # fmt: skip


def test_what_is_empty_is_left_out_and_what_is_odd_is_said() -> None:
    text = "q,__expected,__description,__threshold,__metadata,_expected\nx, ,,often,y,z\n"
    (test,), odd = table_tests(read_csv(text, "t.csv"), "t.csv")
    assert test == {
        "vars": {"q": "x", "_expected": "z"},
        "assert": [],
        "options": {},
        "description": "Row #1",
    }
    assert [what for what in odd if "__threshold" in what]
    assert [what for what in odd if "did you mean __expected" in what]
    assert [what for what in odd if "__metadata" in what]


def test_config_columns_that_mean_nothing_are_errors_all_at_once() -> None:
    text = "__config:__expected0:threshold,__config:__expected:weight,q\n1,1,x\n"
    with pytest.raises(ConfigError, match="__config:__expected<N>:threshold"):
        table_tests(read_csv(text, "t.csv"), "t.csv")
    with pytest.raises(ConfigError) as caught:
        table_tests(read_csv("__config:__expected:threshold,q\nmuch,x\n,y\n", "t.csv"), "t.csv")
    assert [problem.line for problem in caught.value.problems] == [2, 3]


def test_a_mapping_is_read_like_a_line_but_keeps_its_values() -> None:
    test = row_test({"n": 3, "list": [1], "__expected": "contains:3"}, 2, "t.yaml")
    assert test["vars"] == {"n": 3, "list": [1]}
    assert (test["description"], test["assert"]) == ("Row #2", [{"type": "contains", "value": "3"}])


@pytest.fixture
def workbook(tmp_path: Path) -> Path:
    book = Workbook()
    first = book.active
    assert first is not None
    first.title = "one"
    for line in (
        ["q", "n", "flag", "__expected"],
        ["why", 2.0, True, "equals:x"],
        [None, 1.5, None, None],
        [None, None, None, None],
    ):
        first.append(line)
    second = book.create_sheet("two")
    second.append(["q"])
    second.append(["other"])
    book.create_sheet("three")
    path = tmp_path / "t.xlsx"
    book.save(path)
    return path


def test_sheets_by_name_and_number(workbook: Path) -> None:
    assert read_xlsx(workbook, "", "t.xlsx") == (
        TableRow(2, {"q": "why", "n": "2", "flag": "true", "__expected": "equals:x"}),
        TableRow(3, {"q": "", "n": "1.5", "flag": "", "__expected": ""}),
    )
    assert (
        read_xlsx(workbook, "two", "t.xlsx")
        == read_xlsx(workbook, "2", "t.xlsx")
        == (TableRow(2, {"q": "other"}),)
    )


@pytest.mark.parametrize("sheet", ["four", "0", "4", "three"])
def test_sheets_that_hold_nothing_are_errors(workbook: Path, sheet: str) -> None:
    with pytest.raises(ConfigError):
        read_xlsx(workbook, sheet, "t.xlsx")


def test_a_file_that_is_no_workbook_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    path.write_text("no zip")
    with pytest.raises(ConfigError, match="no Excel file"):
        read_xlsx(path, "", "t.xlsx")
