"""What Python and Ruby scripts can do and what they give back, with real processes."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from promptship.evals.scripts.pool import ScriptPool
from promptship.evals.services import Script
from tests.support.scripts import PYTHON, RUBY, failure, inline, of_file

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[ScriptPool]:
    async with ScriptPool(1) as scripts:
        yield scripts


# Python ---------------------------------------------------------------------------------------------------------------

PYTHON_VALUES: list[tuple[str, Any]] = [
    ("output == 'hi'", True),
    ("x = 1\nreturn x > 0", True),
    ("  x = 1\n  return context['vars']['n']", 3),
    ("x = 1", None),
    ("(1, 2)", [1, 2]),
    ("{1: 'a'}", {"1": "a"}),
    ("'é😀\\0\\ud800'", "é😀\0\ud800"),
    ("10 ** 30", 1e30),
    ("import asyncio\nawait asyncio.sleep(0)\nreturn 4", 4),
    ("import numpy\nreturn [numpy.bool_(True), numpy.float32(0.5), numpy.arange(2)]", [True, 0.5, [0, 1]]),
    ("__import__('sys').modules.get('quickjs') is None", True),
]


@pytest.mark.parametrize(("code", "value"), PYTHON_VALUES, ids=lambda value: str(value)[:30])
async def test_python_values(pool: ScriptPool, code: str, value: Any) -> None:
    assert await pool.run(inline(PYTHON, code)) == value


@pytest.mark.parametrize(
    ("code", "reason", "detail"),
    [
        ("1 / 0", "the script raised ZeroDivisionError at line 1", "division by zero"),
        ("x = 1\nreturn context['none']", "the script raised KeyError at line 2", "'none'"),
        ("return (", "the script is not Python", "never closed"),
        ("exit()", "the script raised SystemExit", ""),
        ("raise KeyboardInterrupt", "the script raised KeyboardInterrupt", ""),
        ("{1, 2}", "the script returned something that is not JSON: a set", ""),
        ("lambda: 1", "the script returned something that is not JSON: a function", ""),
        ("a = []\na.append(a)\nreturn a", "the script returned something that refers to itself", ""),
        ("assert output == 'no', 'wanted no'\nreturn True", "an assertion of the script failed", "wanted no"),
    ],
)
async def test_python_failures(pool: ScriptPool, code: str, reason: str, detail: str) -> None:
    failed = await failure(pool, inline(PYTHON, code))
    assert failed.reason.startswith(reason)
    assert detail in failed.detail
    assert failed.raised
    assert failed.asserted is code.startswith("assert")


async def test_python_files_import_what_stands_beside_them(pool: ScriptPool, tmp_path: Path) -> None:
    for name, value in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "neighbour.py").write_text(f"VALUE = {value}")
        (tmp_path / name / "json.py").write_text("def get_assert(output, context): return 'own json'")
        (tmp_path / name / "check.py").write_text(
            "import neighbour\nimport os\ncalls = []\n"
            "def get_assert(output, context):\n    calls.append(1)\n    return [neighbour.VALUE, len(calls)]\n"
            "async def later(output, context): return output * neighbour.VALUE\n"
            "def here(output, context): return [__file__, os.getcwd(), __name__]\n"
            "class Checks:\n    @staticmethod\n    def one(output, context): return 'in a class'\n"
        )  # fmt: skip
    one, two = tmp_path / "one", tmp_path / "two"
    assert await pool.run(of_file(one / "check.py", "get_assert")) == [1, 1]
    assert await pool.run(of_file(one / "check.py", "get_assert")) == [1, 2]  # a module is made once
    assert await pool.run(of_file(two / "check.py", "get_assert")) == [2, 1]
    assert await pool.run(of_file(two / "check.py", "later")) == "hihi"
    assert await pool.run(of_file(two / "check.py", "here")) == [str(two / "check.py"), str(two), "check"]
    assert await pool.run(of_file(two / "check.py", "Checks.one")) == "in a class"
    assert await pool.run(of_file(two / "json.py", "get_assert")) == "own json"
    assert await pool.run(inline(PYTHON, "__import__('json').dumps([1])")) == "[1]"
    neighbour = two / "neighbour.py"
    neighbour.write_text("VALUE = 5")
    os.utime(neighbour, ns=(1, 1))
    assert await pool.run(of_file(two / "check.py", "get_assert")) == [5, 1]
    assert "no function nope" in (await failure(pool, of_file(two / "check.py", "nope"))).reason
    commit = Script(
        language=PYTHON, code="def f(output): return output + '!'", function="f", arguments=("hi",)
    )
    assert await pool.run(commit) == "hi!"


# Ruby -----------------------------------------------------------------------------------------------------------------


async def test_without_ruby_it_says_so(pool: ScriptPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    failed = await failure(pool, inline(RUBY, "true"))
    assert (failed.reason, failed.raised) == ("Ruby is not installed here", False)


@pytest.mark.skipif(shutil.which("ruby") is None, reason="there is no ruby here")
async def test_ruby(pool: ScriptPool, tmp_path: Path) -> None:
    for code, value in [
        ("output == 'hi'", True),
        ("context['vars']['n'] + 1", 4),
        ("x = 1\nreturn x > 0", True),
        ("nil", None),
        ("{pass: true, score: 0.5}", {"pass": True, "score": 0.5}),
        ("puts 'x'; 1", 1),
    ]:
        assert await pool.run(inline(RUBY, code)) == value
    for code, reason in [
        ("raise 'no'", "the script raised RuntimeError at line 1"),
        ("1 +", "the script is not Ruby"),
        ("exit 3", "the script raised SystemExit at line 1"),
        ("Float::NAN", "the script returned something that is not JSON"),
        (f"File.write({str(tmp_path / 'f')!r}, 'x')", "the script wrote a file"),
        ("'x' * (10 ** 10)", "the script needs more memory than it may have"),
        ("loop {}", "the script took longer than 0.5 s"),
    ]:
        assert (await failure(pool, inline(RUBY, code, limit_s=0.5))).reason.startswith(reason)
    (tmp_path / "helper.rb").write_text("VALUE = 7")
    (tmp_path / "check.rb").write_text("require_relative 'helper'\ndef get_assert(output, context) = VALUE\n")
    assert await pool.run(of_file(tmp_path / "check.rb", "get_assert")) == 7
    assert "no function nope" in (await failure(pool, of_file(tmp_path / "check.rb", "nope"))).reason
