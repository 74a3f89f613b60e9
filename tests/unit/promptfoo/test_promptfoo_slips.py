"""Names that are nearly right, and the places that messages name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo.csv_tests import table_tests
from promptship.evals.promptfoo.loading import load
from promptship.evals.promptfoo.model import Note
from promptship.evals.promptfoo.providers import Providers
from promptship.evals.promptfoo.run import Plan, plan
from promptship.evals.promptfoo.slips import TEST_KEYS, meant_type, near, odd_keys
from promptship.evals.promptfoo.tables import TableRow
from tests.support.services import FakeScripts

HEAD = "prompts: ['{{a}}']\nproviders: [echo]\n"


async def planned(directory: Path, *names: str) -> Plan:
    env = {"PATH": os.environ["PATH"]}
    providers, scripts = Providers(env=env), FakeScripts()
    try:
        paths = [directory / name for name in names]
        config = await load(paths, directory=directory, env=env, scripts=scripts)
        return await plan(config, scripts=scripts, make=providers.make, env=env)
    finally:
        await providers.aclose()


async def problems(directory: Path) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        await planned(directory)
    return caught.value.problems


def told(notes: Sequence[Note], directory: Path) -> list[str]:
    return [f"{note.where.removeprefix(f'{directory}{os.sep}')} {note.what}" for note in notes]


def write(directory: Path, text: str, name: str = "promptfooconfig.yaml") -> None:
    (directory / name).write_text(text, encoding="utf-8")


# Places


async def test_a_wrong_assertion_is_named_with_its_line_and_its_own_number(tmp_path: Path) -> None:
    write(
        tmp_path,
        HEAD
        + "defaultTest:\n  assert:\n    - type: contains\n      value: x\n    - {type: equalz, value: x}\n"
        + "tests:\n  - vars: {a: 1}\n    assert:\n      - {type: is-json}\n      - type: containz\n        value: x\n"
        + "  - file://more.yaml\n",
    )
    write(
        tmp_path,
        "- vars: {a: 1}\n- vars: {a: 2}\n  assert:\n    - {type: contains, value: x, weight: -1}\n",
        "more.yaml",
    )
    found = {(Path(one.file).name, one.line, one.key) for one in await problems(tmp_path)}
    assert found == {
        ("promptfooconfig.yaml", 7, "defaultTest.assert[1].type"),
        ("promptfooconfig.yaml", 12, "tests[0].assert[1].type"),
        ("more.yaml", 4, "[1].assert[0].weight"),
    }


async def test_lines_of_several_configurations_are_not_guessed(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        write(tmp_path, HEAD + "tests: [{vars: {a: 1}, assert: [{type: containz, value: x}]}]\n", name)
    with pytest.raises(ConfigError) as caught:
        await planned(tmp_path, "a.yaml", "b.yaml")
    assert {one.line for one in caught.value.problems} == {0}


async def test_files_that_assertions_name_must_be_there_before_anything_is_asked(tmp_path: Path) -> None:
    write(tmp_path, "{}", "there.json")
    write(
        tmp_path,
        HEAD
        + "tests:\n  - vars: {a: 1}\n    assert:\n"
        + "      - {type: is-json, value: file://there.json}\n      - {type: is-json, value: file://gone.json}\n"
        + "      - {type: python, value: 'file://gone.py:check'}\n      - {type: contains-any, value: [x, file://gone.txt]}\n"
        + "      - {type: equals, value: 'file://{{a}}.txt'}\n      - {type: equals, value: x, transform: file://gone.js}\n",
    )
    assert [(one.line, one.key) for one in await problems(tmp_path)] == [
        (7, "tests[0].assert[1].value"),
        (8, "tests[0].assert[2].value"),
        (9, "tests[0].assert[3].value"),
        (11, "tests[0].assert[5].transform"),
    ]


# Slips


async def test_keys_that_are_nearly_right_are_told(tmp_path: Path) -> None:
    write(
        tmp_path,
        HEAD
        + "evaluateOptions: {maxConcurency: 2}\ndefaultTests: {}\nassertionTemplates: {}\n"
        + "tests:\n  - vars: {a: 1}\n    asert: [{type: contains, value: x}]\n    tags: [mine]\n",
    )
    assert told((await planned(tmp_path)).notes, tmp_path) == [
        "promptfooconfig.yaml:3: evaluateOptions.maxConcurency no such option",
        "promptfooconfig.yaml:4: defaultTests defaultTests is no key of a configuration and does nothing",
        "promptfooconfig.yaml:7: tests[0] asert is no key of a test and does nothing",
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("asserts", "assert"), ("var", "vars"), ("assert", ""), ("company", ""), ("treshold", "threshold")],
)
def test_only_what_is_near_is_taken_for_a_slip(name: str, meant: str) -> None:
    assert near(name, TEST_KEYS) == meant
    assert odd_keys({name: 1}, TEST_KEYS) == ([(name, meant)] if meant else [])


@pytest.mark.parametrize(
    ("cell", "meant"),
    [
        ("contians:x", "contains"), ("not-contain:x", "not-contains"), ("is-jsn", "is-json"), ("similiar(0.8):x", "similar"),
        ("contains:x", ""), ("Paris", ""), ("note: call back", ""), ("guten tag", ""), ("", ""), ("answer: 42", ""),
    ],
)  # fmt: skip
def test_a_cell_that_means_a_type_is_seen(cell: str, meant: str) -> None:
    assert meant_type(cell) == meant


def test_odd_columns_and_cells_of_a_table_are_told() -> None:
    cells = {"a": "1", "__expect": "x", "__metdata:k": "v", "__expected": "contians:1", "__mine": "y"}
    (test,), odd = table_tests([TableRow(2, cells)], "t.csv")
    assert test["assert"] == [{"type": "equals", "value": "contians:1"}]
    assert odd == (
        "column __expect is a variable; did you mean __expected?",
        "column __metdata:k is a variable; did you mean __metadata:k?",
        "line 2: __expected 'contians:1' is a text to compare with; did you mean contains?",
    )


# As seen by running promptfoo 0.123.1 on the same files


async def test_files_of_tests_have_empty_objects_for_dates_and_no_numbers_in_yaml(tmp_path: Path) -> None:
    write(tmp_path, HEAD + "tests: file://t.yaml\n")
    write(tmp_path, "- vars: {a: 2024-01-05}\n- vars: {a: '2024-01-05'}\n", "t.yaml")
    found = await planned(tmp_path)
    assert [case.vars["a"] for case in found.cases] == [{}, "2024-01-05"]
    assert [case.description for case in found.cases] == ["", ""]
    assert [note.where for note in found.notes] == [f"{tmp_path / 't.yaml'}:1: [0].vars.a"]


async def test_json_files_of_tests_number_what_has_no_description(tmp_path: Path) -> None:
    write(tmp_path, HEAD + "tests: t.json\n")
    write(tmp_path, '[{"vars": {"a": "x"}}, {"vars": {"a": "y"}, "description": "own"}]', "t.json")
    assert [case.description for case in (await planned(tmp_path)).cases] == ["Row #1", "own"]


async def test_numbers_beyond_64_bits_are_what_javascript_makes_of_them(tmp_path: Path) -> None:
    write(tmp_path, HEAD + f"tests:\n  - vars: {{a: 1{'0' * 23}}}\n  - t.json\n")
    write(tmp_path, f'[{{"vars": {{"a": -1{"0" * 23}}}}}]', "t.json")
    assert [case.vars["a"] for case in (await planned(tmp_path)).cases] == [1e23, -1e23]


# What the plan says


async def test_judged_assertions_are_counted_per_row(tmp_path: Path) -> None:
    write(
        tmp_path,
        "prompts: ['a {{a}}', 'b {{a}}']\nproviders: [echo]\nevaluateOptions: {repeat: 3}\n"
        "tests:\n  - vars: {a: 1}\n    assert: [{type: llm-rubric, value: x}, {type: contains, value: x}]\n"
        "  - vars: {a: 2}\n    assert: [{type: assert-set, assert: [{type: not-llm-rubric, value: x}, {type: g-eval, value: y}]}]\n",
    )
    usual = 2 * 3 * (1 + (1 + 2))  # a g-eval asks for steps, then for points
    assert (await planned(tmp_path)).judge_calls == (usual, 2 * usual)


async def test_a_comparison_is_asked_once_in_both_orders_for_all_columns(tmp_path: Path) -> None:
    best = "tests: [{vars: {a: 1}, assert: [{type: select-best, value: kind}]}, {vars: {a: 2}}]\n"
    write(tmp_path, "prompts: ['a {{a}}', 'b {{a}}', 'c {{a}}']\nproviders: [echo]\n" + best)
    assert (await planned(tmp_path)).judge_calls == (2, 4)


async def test_a_prompt_without_a_label_has_a_name_of_one_line(tmp_path: Path) -> None:
    text = "word " * 40
    write(
        tmp_path, f'prompts: ["{{{{a}}}}\\n{text}one", "{{{{a}}}}\\n{text}two", short]\nproviders: [echo]\n'
    )
    names = [arm.prompt for arm in (await planned(tmp_path)).arms]
    assert [len(name) for name in names] == [80, 83, 5]
    assert names[1] == f"{names[0]} #2"
    assert not any("\n" in name for name in names)
