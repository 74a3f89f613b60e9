"""Scripts that cannot work are told before the run: mistakes stop it, what is not here stands in the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from promptship.errors import ConfigError
from promptship.evals.promptfoo.model import Effect
from promptship.evals.scripts.pool import ScriptPool
from promptship.evals.services import Fault, Language, Script
from tests.support.promptfoo import held, planned, written

FILES = {
    "fine.js": "const path = require('node:path');\nmodule.exports = (output) => path.basename(output).length > 0;",
    "lodash.js": "const _ = require('lodash');\nmodule.exports = (output) => _.size(output) > 0;",
    "late.js": "// require('never')\nmodule.exports = (output) => { const c = require('node:crypto'); return 'require(1)'; };",
    "broken.js": "module.exports = (output) => {\n  return output +\n};\n",
    "uses.mjs": "import check from './broken.js';\nexport default (output) => check(output);",
    "named.js": "module.exports = { other: () => true };",
    "writes.js": "const { writeFileSync } = require('fs');\nmodule.exports = () => true;",
    "broken.py": "def get_assert(output, context):\n    return (\n",
    "fine.py": "import json\n\n\ndef get_assert(output, context):\n    return json.loads(output)\n",
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name, code in FILES.items():
        (tmp_path / name).write_text(code)
    return tmp_path


FAULTS: dict[str, tuple[bool, str, int] | None] = {
    "fine.js": None,
    "lodash.js": (False, "module lodash", 0),
    "late.js": (False, "Node's module crypto", 0),
    "broken.js": (True, "no JavaScript", 3),
    "uses.mjs": (True, "broken.js: no JavaScript", 3),
    "named.js": (True, "must export a function", 0),
    "writes.js": (False, "fs.writeFileSync", 0),
    "broken.py": (True, "'(' was never closed", 2),
    "fine.py": None,
}
INLINE: dict[str, tuple[bool, str, int] | None] = {
    "output.length > 3": None,
    "return 1;\n": None,
    "\nconst a = 1;\nreturn a > 0": None,
    "({ fetch: 1 }).fetch": None,
    "/require('x')/.test(output)": None,
    "output +": (True, "no JavaScript", 0),
    "return 1": (True, "no JavaScript", 1),
    "const a = 1;\nreturn a +;": (True, "no JavaScript", 2),
    "require('lodash').size(output)": (False, "Node's module lodash", 0),
    '`${require("left-pad")(output)}`': (False, "Node's module left-pad", 0),
    "fetch('x').then(r => r.ok)": (False, "fetch (scripts have no network)", 0),
    "Buffer.from(output).length": (False, "Buffer (that is Node's)", 0),
}


def fits(fault: Fault | None, wanted: tuple[bool, str, int] | None) -> bool:
    if fault is None or wanted is None:
        return fault is None and wanted is None
    return fault.wrong == wanted[0] and wanted[1] in fault.what and wanted[2] in (0, fault.line)


async def test_what_is_wrong_with_a_file_shows_when_it_is_loaded(directory: Path) -> None:
    async with ScriptPool(1) as scripts:
        for name, wanted in FAULTS.items():
            path = directory / name
            python = path.suffix == ".py"
            script = Script(
                language=Language.PYTHON if python else Language.JAVASCRIPT, code=path.read_text(), path=path,
                function="get_assert" if python else "", arguments=("", {}), root=directory,
            )  # fmt: skip
            fault = await scripts.fault(script)
            assert fits(fault, wanted), (name, fault)


async def test_what_is_wrong_with_a_line_shows_without_running_it() -> None:
    async with ScriptPool(1) as scripts:
        for code, wanted in INLINE.items():
            script = Script(language=Language.JAVASCRIPT, code=code, names={"output": "", "context": {}})
            fault = await scripts.fault(script)
            assert fits(fault, wanted), (code, fault)


async def test_mistakes_stop_the_run_with_file_and_line(directory: Path) -> None:
    asserts: list[Any] = [
        {"type": "javascript", "value": "const a = 1;\nreturn a +;\n"}, {"type": "javascript", "value": "file://broken.js"},
        {"type": "not-python", "value": "file://broken.py"}, {"type": "contains", "value": "x", "transform": "oops("},
        {"type": "javascript", "value": "output === '{{text}} +"},
    ]  # fmt: skip
    tests = [{"vars": {"text": "x"}, "assert": asserts, "options": {"transform": "a b"}}]
    providers = [{"id": "fake", "label": "one", "transform": "output +"}]
    async with ScriptPool(1) as scripts:
        with pytest.raises(ConfigError) as caught:
            await planned(written(directory, tests=tests, providers=providers), scripts=scripts)
    config = str(directory / "promptfooconfig.yaml")
    found = {(one.file.removeprefix(f"{directory}/"), one.key, one.line > 0) for one in caught.value.problems}
    assert found == {
        ("promptfooconfig.yaml", "tests[0].assert[0].value", True), ("broken.js", "", True), ("broken.py", "", True),
        ("promptfooconfig.yaml", "tests[0].assert[3].transform", True), ("promptfooconfig.yaml", "tests[0].options.transform", True),
        ("promptfooconfig.yaml", "providers[one].transform", False),
    }  # fmt: skip
    (broken,) = (one for one in caught.value.problems if one.file.endswith("broken.js"))
    assert broken.line == 3
    assert broken.advice.startswith(f"used by {config}:")


async def test_what_needs_node_is_told_once_and_costs_only_its_rows(directory: Path) -> None:
    needy = {"type": "javascript", "value": "require('lodash').size(output) > 0"}
    tests = [
        {"vars": {"text": "a"}, "assert": [needy]}, {"vars": {"text": "b"}, "assert": [needy]},
        {"vars": {"text": "c"}, "assert": [{"type": "contains", "value": "c"}]},
    ]  # fmt: skip
    async with ScriptPool(1) as scripts:
        run = await held(written(directory, tests=tests), scripts=scripts)
    (note,) = run.plan.notes
    assert note.effect is Effect.UNSUPPORTED
    assert "Node's module lodash" in note.what
    assert note.where.endswith("tests[0].assert[0].value")
    assert [mark for _, _, mark in run.marks] == ["error", "error", "pass"]


async def test_a_template_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.njk").write_text("{% include 'deeper.njk' %}")
    prompts = ["{% include 'there.njk' %}{% include 'maybe.njk' ignore missing %} {{text}}"]
    tests = [
        {"vars": {"text": "x"}, "assert": [{"type": "contains", "value": "{% import 'lost.njk' as m %}"}]}
    ]
    made = await planned(written(tmp_path, prompts=prompts, tests=tests))
    told = [note.what.partition(";")[0] for note in made.notes if note.effect is Effect.UNSUPPORTED]
    assert sorted(told) == ["there is no template deeper.njk", "there is no template lost.njk"]
    (tmp_path / "deeper.njk").write_text("now it is")
    again = await planned(written(tmp_path, prompts=prompts, tests=tests))
    assert again.digest != made.digest  # what a template brings in decides about its rows
    assert len(again.notes) == 1
