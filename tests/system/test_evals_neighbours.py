"""Scripts of a native suite import what stands beside them: from the working directory, and in a release from its commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from promptship.adapters.files import CheckedOut, OnDisk, WorkingTree
from promptship.adapters.memory.models import ScriptedModels
from promptship.evals.native import scripts_in
from promptship.evals.scripts.pool import ScriptPool
from promptship.evals.suite import load_suite
from promptship.evals.suite_run import Means, run_suite
from promptship.lifecycle import steps
from promptship.ports import Tree
from promptship.tasks.evaluation import evaluate, evaluations
from tests.support.house import House
from tests.support.suite_gates import Gate
from tests.support.suites import MemoryTree, prompt_of

pytestmark = pytest.mark.system

FILES = {
    "suites/team/s.yaml": """\
cases:
  - {id: python, vars: {question: hello}, assert: [{type: python, value: "file://check.py"}]}
  - {id: javascript, vars: {question: hello}, assert: [{type: javascript, value: "file://check.mjs"}]}
""",
    "suites/team/check.py": "from words import WANTED\n\n\ndef get_assert(output, context):\n    return WANTED in output\n",
    "suites/team/words.py": 'WANTED = "hello"\n',
    "suites/team/check.mjs": 'import { wanted } from "./words.mjs";\nexport default (output) => output.includes(wanted);\n',
    "suites/team/words.mjs": 'export const wanted = "hello";\n',
    "notes/other.py": "",
}


def written(root: Path) -> WorkingTree:
    for path, content in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    return WorkingTree(root)


def checked_out(root: Path) -> CheckedOut:
    return CheckedOut(MemoryTree(FILES), "suites", root)


@pytest.mark.parametrize("tree_of", [written, checked_out])
async def test_neighbours_are_found(tree_of: Callable[[Path], Tree], tmp_path: Path) -> None:
    tree = tree_of(tmp_path)
    assert isinstance(tree, OnDisk)
    suite = load_suite(tree, "suites", "team/s")
    async with ScriptPool() as scripts:
        means = Means(models=ScriptedModels(lambda _: "hello"), scripts=scripts)
        run, _ = await run_suite(suite, {"candidate": prompt_of()}, means, trials=1)
    assert {
        row.case: (row.score, row.error) for row in run.rows if not getattr(row.score, "passed", False)
    } == {}
    assert sorted(scripts_in(tree, "suites")) == sorted(
        path for path in FILES if path.startswith("suites") and not path.endswith(".yaml")
    )


def test_a_release_asks_with_the_code_of_its_commit(tmp_path: Path) -> None:
    house = House(root=tmp_path)
    house.adopt()
    files = {path: body for path, body in FILES.items() if path.endswith(".py") and path.startswith("suites")}
    suite = 'cases: [{id: hello, assert: [{type: python, value: "file://team/check.py"}]}]'
    # The neighbour stands beside the script, wherever the suite is.
    release_id = house.push("Say hello now.", **{"suites/support.yaml": suite, **files})
    steps.lint(house.app, release_id)
    done = asyncio.run(evaluate(house.app, release_id, examine=Gate()))
    assert done.passes
    assert (
        evaluations(house.app, release_id) / "files" / "suites" / "team" / "words.py"
    ).read_text() == FILES["suites/team/words.py"]
