"""Where promptfoo tests come from: every kind of file and generator, and one clear error for each that is broken."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from promptship.errors import ConfigError
from promptship.evals.promptfoo.expansion import Sources
from promptship.evals.promptfoo.loading import load_config
from promptship.evals.promptfoo.model import Effect, Note
from promptship.evals.promptfoo.tests import load_sources
from promptship.evals.services import ScriptFailed
from tests.support.promptfoo import written
from tests.support.services import FakeScripts


def loaded(
    directory: Path, scripts: Any = None, env: Any = None, **config: Any
) -> tuple[Sources, tuple[Note, ...]]:
    written(directory, **config)
    read = load_config([], directory=directory, env=env or {})
    return asyncio.run(load_sources(read, scripts=scripts or FakeScripts(), env=env or {}))


def vars_of(sources: Sources) -> list[Any]:
    return [test.data.get("vars") for test in sources.tests]


def broken(directory: Path, **more: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        loaded(directory, **more)
    return caught.value


def put(directory: Path, **files: str) -> None:
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text, encoding="utf-8")


def test_files_of_every_kind_in_the_order_they_are_named(tmp_path: Path) -> None:
    put(
        tmp_path, a__yaml="- vars: {n: yaml}\n", b__json='[{"vars": {"n": "json"}}]', c__jsonl='{"vars": {"n": "jsonl"}}\n\n',
        d__csv="n\ncsv\n", e__yml="vars: {n: alone}\n",
    )  # fmt: skip
    book = Workbook()
    sheet = book.create_sheet("second")
    sheet.append(["n"])
    sheet.append(["xlsx"])
    book.save(tmp_path / "f.xlsx")
    sources, _ = loaded(
        tmp_path,
        tests=[
            "a.yaml",
            "b.json",
            "file://c.jsonl",
            "d.csv",
            "e.yml",
            "f.xlsx#second",
            {"vars": {"n": "inline"}},
        ],
    )
    assert [one["n"] for one in vars_of(sources)] == [
        "yaml",
        "json",
        "jsonl",
        "csv",
        "alone",
        "xlsx",
        "inline",
    ]
    assert [test.where.rsplit("/")[-1] for test in sources.tests][:5] == [
        "a.yaml[0]",
        "b.json[0]",
        "c.jsonl[0]",
        "d.csv:2",
        "e.yml[0]",
    ]


def test_a_single_path_is_a_list_of_one_whose_tests_are_described(tmp_path: Path) -> None:
    put(tmp_path, a__json='[{"vars": {"n": 1}}, {"vars": {"n": 2}, "description": "own"}]')
    alone, _ = loaded(tmp_path, tests="a.json")
    assert [test.data.get("description") for test in alone.tests] == ["Row #1", "own"]
    listed, _ = loaded(tmp_path, tests=["a.json"])
    assert [test.data.get("description") for test in listed.tests] == [None, "own"]


def test_a_path_with_a_config_reads_yaml_like_a_table(tmp_path: Path) -> None:
    put(tmp_path, a__yaml="- {q: why, __expected: 'contains:x'}\n")
    sources, _ = loaded(tmp_path, tests=[{"path": "a.yaml"}])
    (test,) = sources.tests
    assert (test.data["vars"], test.data["assert"]) == ({"q": "why"}, [{"type": "contains", "value": "x"}])


def test_variables_in_files_of_their_own(tmp_path: Path) -> None:
    put(tmp_path, one__yaml="{a: 1, b: 1}", two__yaml="{b: 2}")
    sources, _ = loaded(tmp_path, tests=[{"vars": ["one.yaml", "two.yaml"]}, {"vars": "one.yaml"}])
    assert vars_of(sources) == [{"a": 1, "b": 2}, {"a": 1, "b": 1}]
    assert "expected a file that exists" in str(broken(tmp_path, tests=[{"vars": "none.yaml"}]))


def test_generators_get_their_config(tmp_path: Path) -> None:
    put(tmp_path, make__py="# python", make__js="// js")
    made = FakeScripts({
        "generate_tests": lambda script: [{"vars": {"config": script.arguments}}],
        "named": lambda _: [{"vars": {"n": 1}}, {"vars": {"n": 2}}],
        "// js": lambda script: [{"vars": {"js": script.path.name}}],
    })  # fmt: skip
    sources, _ = loaded(
        tmp_path, scripts=made,
        tests=["make.py", {"path": "file://make.py", "config": {"a": 1}}, "file://make.py:named", "make.js"],
    )  # fmt: skip
    assert vars_of(sources) == [
        {"config": ()},
        {"config": ({"a": 1},)},
        {"n": 1},
        {"n": 2},
        {"js": "make.js"},
    ]


@pytest.mark.parametrize(
    "source",
    [
        "https://docs.google.com/spreadsheets/d/1/edit?gid=0", "https://team.sharepoint.com/a.csv", "az://account/box/t.csv?sig=secret",
        "huggingface://datasets/a/b", "https://example.com/tests.json",
    ],
)  # fmt: skip
def test_tests_from_elsewhere_are_left_out_and_said(tmp_path: Path, source: str) -> None:
    sources, notes = loaded(tmp_path, tests=[source, {"vars": {"n": 1}}])
    assert vars_of(sources) == [{"n": 1}]
    (note,) = notes
    assert note.effect is Effect.UNSUPPORTED
    assert note.advice
    assert "secret" not in note.what


def test_what_is_odd_about_a_table_is_said(tmp_path: Path) -> None:
    put(tmp_path, a__csv="q,_expected\nx,y\n")
    _, notes = loaded(tmp_path, tests=["a.csv"])
    assert [note.effect for note in notes] == [Effect.IGNORED]


def test_the_environment_says_how_csv_is_read(tmp_path: Path) -> None:
    put(tmp_path, a__csv='q;r\nx;"y"z\n')
    sources, _ = loaded(tmp_path, tests=["a.csv"], env={"PROMPTFOO_CSV_DELIMITER": ";"})
    assert vars_of(sources) == [{"q": "x", "r": '"y"z'}]
    with pytest.raises(ConfigError, match=r"a\.csv:2: text after the closing quote"):
        loaded(
            tmp_path, tests=["a.csv"], env={"PROMPTFOO_CSV_DELIMITER": ";", "PROMPTFOO_CSV_STRICT": "true"}
        )


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    put(
        tmp_path,
        a__jsonl='{"vars": {}}\n{broken\n{"a"\n',
        b__csv="q,r\n1\n",
        c__yaml="- [1, 2]\n",
        d__yaml="a: [1\n",
        e__txt="x",
    )
    tests = [
        "a.jsonl",
        "b.csv",
        "c.yaml",
        "d.yaml",
        "none.yaml",
        "e.txt",
        {"description": "empty"},
        3,
        {"vars": {"n": 1}, "assert": {}},
    ]
    problems = broken(tmp_path, tests=tests).problems
    where = [f"{problem.file.rsplit('/', 1)[-1]}:{problem.line}" for problem in problems]
    assert where[:3] == ["a.jsonl:2", "a.jsonl:3", "b.csv:2"]
    assert len(problems) == 10
    assert all(problem.expected for problem in problems)


def test_generators_that_fail(tmp_path: Path) -> None:
    put(tmp_path, make__py="")
    failing = FakeScripts({"generate_tests": ScriptFailed("it broke")})
    assert "it broke" in str(broken(tmp_path, scripts=failing, tests=["make.py"]))
    assert "a list of tests" in str(
        broken(tmp_path, scripts=FakeScripts({"generate_tests": {}}), tests=["make.py"])
    )
    assert "not readable" in str(broken(tmp_path, tests=["none.py"]))


def test_scenarios_written_out_and_in_files(tmp_path: Path) -> None:
    put(
        tmp_path, tests__yaml="- vars: {t: 1}\n- vars: {t: 2}\n", config__yaml="- vars: {c: 1}\n",
        all__yaml="- config: [{vars: {c: 9}}]\n  tests: [{vars: {t: 9}}]\n",
    )  # fmt: skip
    written_out = {"config": [{"vars": {"c": 0}}], "tests": [{"vars": {"t": 0}}, "tests.yaml"]}
    in_files = {"config": "file://config.yaml", "tests": "file://tests.yaml"}
    sources, _ = loaded(
        tmp_path, scenarios=[written_out, in_files, "file://all.yaml", {"config": [{"vars": {"c": 5}}]}]
    )
    assert [[test.data.get("vars", {}).get("t") for test in one.tests] for one in sources.scenarios] == [
        [0, 1, 2],
        [1, 2],
        [9],
        [None],
    ]
    assert [[part["vars"]["c"] for part in one.config] for one in sources.scenarios] == [[0], [1], [9], [5]]
    assert sources.tests == ()


def test_scenarios_that_cross_nothing_are_errors(tmp_path: Path) -> None:
    error = broken(tmp_path, scenarios=[{"tests": [{"vars": {"t": 1}}]}, {"config": [3]}])
    assert len(error.problems) == 2
