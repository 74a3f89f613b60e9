"""Code of a native suite that does not compile is found when the suite is read, with its line; code that does, loads."""

from __future__ import annotations

import pytest

from promptship.errors import ConfigError
from promptship.evals.scripts.syntax import file_problem, inline_problem
from tests.support.suites import suite_of

SUITE = "cases:\n  - vars: {x: y}\n    assert:\n      - %s\n"


@pytest.mark.parametrize(
    "code",
    [
        "output.length > 3",
        "JSON.parse(output).a === 1 // a comment",
        "output.includes('}')",
        "const n = output.length\nreturn n > 3",
        "async () => await 1",
        "output.then\n  .x",
        "({pass: true, score: 1, reason: `${output}`})",
        "(" * 100_000,
    ],
)
def test_code_that_compiles_has_no_problem(code: str) -> None:
    assert inline_problem(code) is None


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("output.length >", 1),
        ("const n = 1\nreturn n +", 2),
        ("if (output) {\n  return 1", 2),
        ("return 1\nlet let = 2\n", 2),
    ],
)
def test_code_that_does_not_compile_has_its_line(code: str, line: int) -> None:
    problem = inline_problem(code)
    assert problem is not None
    assert f"(line {line})" in problem


@pytest.mark.parametrize(
    ("name", "code", "good"),
    [
        ("a.js", "module.exports = (output) => output.length > 1;\n", True),
        ("a.js", "export default (output) => output.length > 1;\n", True),
        ("a.mjs", "import fs from 'fs';\nconst require = 1;\nexport const f = () => fs;\n", True),
        ("a.js", "module.exports = (output) => {\n", False),
        ("a.mjs", "export default (output) => output.length >;\n", False),
        ("a.py", "def f(", True),
        ("a.ts", "let a: number = 1", True),
    ],
)
def test_files_are_compiled_by_what_they_are(name: str, code: str, good: bool) -> None:
    assert (file_problem(name, code) is None) is good


@pytest.mark.parametrize(
    ("spec", "key", "expected"),
    [
        ("{type: javascript, value: 'output.length >'}", "value", "expected JavaScript: unexpected token"),
        ("{type: python, value: 'len(output'}", "value", "expected Python"),
        ("{type: javascript, value: 'file://broken.js'}", "value", "expected JavaScript"),
        ("{type: contains, value: x, transform: 'output.('}", "transform", "expected JavaScript"),
        ("{type: contains, value: x, transform: 'file://broken.py:f'}", "transform", "expected Python"),
    ],
)
def test_a_suite_with_broken_code_does_not_load(spec: str, key: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        suite_of(SUITE % spec, broken_js="module.exports = (", broken_py="def f(")
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.key) == ("suites/s.yaml", 4, f"cases[0].assert[0].{key}")
    assert expected in problem.expected


def test_a_context_transform_is_compiled_too() -> None:
    text = "judge: {model: j}\n" + SUITE % "{type: context-relevance, contextTransform: 'output.('}"
    with pytest.raises(ConfigError, match=r"contextTransform.*expected JavaScript"):
        suite_of(text.replace("x: y", "query: q"))
