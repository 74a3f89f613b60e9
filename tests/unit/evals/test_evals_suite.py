from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from promptship.errors import ConfigError, NotFound
from promptship.evals.suite import load_suite, suite_names, suite_schema
from promptship.evals.suite_file import Severity
from tests.support.suites import MemoryTree, suite_of

FULL = """\
description: Support answers
judge: {model: judge-1}
defaults:
  vars: {shop: Acme, tone: kind}
  trials: 4
  assert:
    - {type: contains, value: "{{ shop }}"}
cases:
  - id: refund
    vars: {question: May I have my money back?, tone: firm}
    severity: blocking
    tags: [money]
    assert:
      - {type: llm-rubric, value: "Is {{ tone }}"}
      - {type: python, value: "file://checks.py:short", config: {max: 9}}
  - vars: {question: no}
    trials: 1
    assert: [{type: regex, value: '^\\d'}]
  - id: talk
    messages: [{role: user, content: "I am {{ shop }}'s customer"}, {role: assistant, content: Welcome}]
    turns:
      - assert: [{type: contains, value: hello}]
      - {user: "and in {{ tone }} words?", assert: [{type: word-count, value: {max: 9}}]}
"""


def test_defaults_templates_and_files_are_all_in_the_case() -> None:
    suite = suite_of(
        FULL, checks_py="def short(output, context):\n    return len(output) < context['config']['max']\n"
    )
    refund, plain, talk = suite.cases
    assert [case.id for case in suite.cases] == ["refund", "case-2", "talk"]
    assert (refund.vars, refund.severity, refund.trials) == (
        {"shop": "Acme", "tone": "firm", "question": "May I have my money back?"}, Severity.BLOCKING, 4,
    )  # fmt: skip
    assert [prepared.type for prepared in refund.turns[0].asserts] == ["contains", "llm-rubric", "python"]
    assert "Acme" in str(refund.turns[0].asserts[0].assertion)
    assert "Is firm" in str(refund.turns[0].asserts[1].assertion)
    assert "len(output)" in str(refund.turns[0].asserts[2].assertion)
    assert (plain.vars["question"], plain.trials, plain.severity) == ("no", 1, Severity.WARNING)
    assert [message.content for message in talk.messages] == ["I am Acme's customer", "Welcome"]
    assert [turn.user for turn in talk.turns] == [None, "and in kind words?"]
    assert [len(turn.asserts) for turn in talk.turns] == [1, 2]


def test_every_problem_is_reported_at_once_with_its_line() -> None:
    text = """\
judge: {modell: x}
cases:
  - id: a
    vars: {x: 1}
    assertt: []
  - id: b
    trials: 0
    assert: [{type: contains, valu: x}]
tests: []
"""
    with pytest.raises(ConfigError) as caught:
        suite_of(text)
    assert [(p.line, p.key, p.advice) for p in sorted(caught.value.problems)] == [
        (5, "cases[0].assertt", "did you mean assert?"),
        (8, "cases[1].assert[0].valu", "did you mean value?"),
        (7, "cases[1].trials", ""),
        (1, "judge.model", ""),
        (1, "judge.modell", "did you mean model?"),
        (9, "tests", "did you mean cases?"),
    ]


def test_what_only_building_finds_is_reported_at_once_too() -> None:
    text = """\
defaults:
  assert: [{type: regex, value: "("}]
cases:
  - id: a
    assert: [{type: contians, value: x}, {type: llm-rubric, value: x}]
  - id: a
    assert: [{type: equals, value: "{{ unknown }}"}, {type: python, value: "file://none.py"}]
  - id: c
    turns: [{user: "{{ 1 / 0 }}"}]
"""
    with pytest.raises(ConfigError) as caught:
        suite_of(text)
    found = {(p.line, p.key): str(p) for p in caught.value.problems}
    assert set(found) == {
        (2, "defaults.assert[0].value"),
        (5, "cases[0].assert[0].type"),
        (5, "cases[0].assert[1].type"),
        (6, "cases[1].id"),
        (7, "cases[1].assert[0].value"),
        (7, "cases[1].assert[1].value"),
        (9, "cases[2].turns[0].user"),
    }
    assert "did you mean contains?" in found[5, "cases[0].assert[0].type"]
    assert "judge: {model: ...}" in found[5, "cases[0].assert[1].type"]


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("cases: [\n", 2, "expected YAML"),
        ("cases:\n  - id: a\n    id: b\n", 3, "written twice"),
        ("", 0, "empty; expected"),
        ("cases: []\n", 1, "at least one case"),
        ("just text\n", 0, "expected a mapping with `cases`"),
        ("- just text\n", 1, "expected keys and values"),
        ("cases: [{id: a, turns: [{user: x}, {assert: []}]}]", 1, "every turn but the first needs"),
        ("cases: &a [*a]", 1, ""),
        (f"cases: [{{id: a, vars: {{n: {10**30}}}, assert: [{{type: equals, value: x}}]}}]", 1, "values that JSON has"),
    ],
)  # fmt: skip
def test_broken_files_are_one_clear_error(text: str, line: int, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        suite_of(text)
    assert expected in str(caught.value)
    assert caught.value.problems[0].line == line
    assert caught.value.problems[0].file == "suites/s.yaml"


def test_scalars_are_those_of_yaml_1_2() -> None:
    suite = suite_of(
        "cases: [{vars: {a: no, b: 2026-01-31, c: 1:30, d: 007, e: 7, f: 1.5, g: true, h: ~, i: 1e3}, assert: [{type: equals, value: x}]}]"
    )
    assert suite.cases[0].vars == {
        "a": "no", "b": "2026-01-31", "c": "1:30", "d": "007", "e": 7, "f": 1.5, "g": True, "h": None, "i": 1000.0,
    }  # fmt: skip


def test_json_lines_name_the_line() -> None:
    line = '{"vars": {"q": "x"}, "assert": [{"type": "equals", "value": "x"}]}'
    tree = MemoryTree({"suites/s.jsonl": f"{line}\n\n{line}\n"})
    assert [case.id for case in load_suite(tree, "suites", "s").cases] == ["case-1", "case-2"]
    broken = MemoryTree({"suites/s.jsonl": f"{line}\n\n{line[:-1]}\n[]\n"})
    with pytest.raises(ConfigError) as caught:
        load_suite(broken, "suites", "s")
    assert [p.line for p in caught.value.problems] == [3, 4]
    misspelt = MemoryTree({"suites/s.jsonl": f"{line}\n\n{line.replace('value', 'val')}\n"})
    with pytest.raises(ConfigError) as caught:
        load_suite(misspelt, "suites", "s")
    assert [p.line for p in caught.value.problems] == [3]


def test_a_suite_is_found_by_name_and_the_nearest_one_is_named() -> None:
    text = "cases: [{assert: [{type: equals, value: x}]}]"
    tree = MemoryTree({"suites/refunds.yaml": text, "suites/team/greet.yml": text, "prompts/x.yaml": ""})
    assert suite_names(tree, "suites") == ("refunds", "team/greet")
    assert load_suite(tree, "suites/", "team/greet").path == "suites/team/greet.yml"
    with pytest.raises(NotFound, match="did you mean refunds"):
        load_suite(tree, "suites", "refund")
    two = MemoryTree({"suites/a.yaml": text, "suites/a.json": "{}"})
    with pytest.raises(ConfigError, match="one file per suite"):
        load_suite(two, "suites", "a")


def test_a_case_that_cannot_fail_is_refused() -> None:
    for case in (
        "{id: a}",
        "{id: a, assert: [{type: equals, value: x, weight: 0}]}",
        "{id: a, turns: [{user: hello}]}",
    ):
        with pytest.raises(ConfigError, match="it would always pass"):
            suite_of(f"cases: [{case}]")


def test_files_outside_the_repository_are_not_read() -> None:
    with pytest.raises(ConfigError, match="expected a file of this repository"):
        suite_of("cases: [{assert: [{type: equals, value: 'file://../../etc/passwd.txt'}]}]")


def test_the_digest_changes_exactly_with_what_can_change_the_score() -> None:
    base = "judge: {model: j}\ncases: [{id: a, vars: {q: x}, assert: [{type: equals, value: x}]}]"

    def digest(text: str) -> str:
        return suite_of(text).cases[0].digest

    same = [base.replace("id: a", "id: b"), base.replace("model: j", "model: k"), "description: d\n" + base]
    other = [base.replace("q: x", "q: y"), base.replace("equals", "starts-with"), base.replace("value: x", "value: z"),
             base.replace("id: a", "threshold: 0.5"), base.replace("id: a", "messages: [{role: user, content: hi}]")]  # fmt: skip
    assert {digest(text) for text in same} == {digest(base)}
    assert len({digest(text) for text in [base, *other]}) == len(other) + 1
    judged = base.replace("equals", "llm-rubric")
    assert digest(judged) != digest(judged.replace("model: j", "model: k"))


def test_the_published_schema_accepts_what_the_loader_accepts() -> None:
    schema = suite_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    good = {"cases": [{"id": "a", "assert": [{"type": "not-contains", "value": "x"}]}]}
    assert validator.is_valid(good)
    assert not validator.is_valid({"cases": [{"id": "a", "assert": [{"type": "contians"}]}]})
    assert not validator.is_valid({"tests": []})


def test_a_file_of_the_wrong_shape_hides_nothing_that_is_wrong_elsewhere() -> None:
    with pytest.raises(ConfigError) as error:
        suite_of("""
            descripton: a typo
            cases:
              - {id: a, vars: {q: x}, wieght: 2, assert: [{type: contains, value: x}]}
              - {id: b, vars: {q: x}, assert: [{type: contans, value: x}]}
              - {id: a, vars: {q: x}, assert: [{type: contains, value: x}]}
              - {id: d, vars: {q: x}, assert: [{type: regex, value: "("}]}
              - {id: e, vars: {q: x}, assert: [{type: contains, value: "{{ nobody }}"}]}
              - {id: f, vars: {q: x}, trials: many}
            """)
    keys = [problem.key for problem in error.value.problems]
    assert set(keys[:3]) == {"cases[0].wieght", "cases[5].trials", "descripton"}
    assert keys[3:] == [
        "cases[1].assert[0].type",
        "cases[3].assert[0].value",
        "cases[4].assert[0].value",
        "cases[2].id",
    ]
    assert all(problem.line for problem in error.value.problems)


def test_what_only_follows_from_a_wrong_shape_is_not_said() -> None:
    for top in (
        "judg: {model: j}",
        "defaults: {asert: [{type: contains, value: x}]}",
        "judge: {model: 1, x: 2}",
    ):
        with pytest.raises(ConfigError) as error:
            suite_of(f"{top}\ncases: [{{id: a, assert: [{{type: llm-rubric, value: kind}}]}}]\n")
        assert all(not problem.key.startswith("cases") for problem in error.value.problems)
    with pytest.raises(ConfigError) as error:
        suite_of("cases: [{id: a, asert: [{type: contains, value: x}]}]")
    assert [problem.key for problem in error.value.problems] == ["cases[0].asert"]
