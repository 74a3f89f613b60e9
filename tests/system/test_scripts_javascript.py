"""What JavaScript can do and what it gives back, with real processes."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from promptship.evals.scripts.pool import ScriptPool
from promptship.evals.services import Script
from tests.support.scripts import JAVASCRIPT, PYTHON, failure, inline, of_file

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[ScriptPool]:
    async with ScriptPool(1, env={"MODE": "test"}) as scripts:
        yield scripts


# JavaScript -----------------------------------------------------------------------------------------------------------

VALUES: list[tuple[str, Any]] = [
    ("output", "hi"),
    ("  output === 'hi'  \n", True),
    ("output === 'hi';", True),
    ("output // a comment", "hi"),
    ("const a = 1;\nreturn a > 0;", True),
    ("if (output)\n  return 2", 2),
    ("const a = 1;\na > 0", None),
    ("context.vars.n + 1", 4),
    ("undefined", None),
    ("null", None),
    ("-0", 0),
    ("1e21", 1e21),
    ("({a: undefined, b: [undefined], c: new Date(0), d: /x/, e: new Map([[1, 2]])})",
     {"b": [None], "c": "1970-01-01T00:00:00.000Z", "d": {}, "e": {}}),
    ("'é😀\\0\\u2028\\ud800'", "é😀\0\u2028\ud800"),
    ("Promise.resolve([1])", [1]),
    ("(async () => { await null; return 5 })()", 5),
    ("new Promise((done) => setTimeout(() => done('later'), 1))", "later"),
    ("new Promise((done) => setImmediate(done, 'soon'))", "soon"),
    ("({then(done) { done(7) }})", 7),
    ("console.log('x') ?? 1", 1),
    ("structuredClone({a: [new Date(0), new Set([1])]}).a[0].getTime()", 0),
    ("new TextDecoder().decode(new TextEncoder().encode('é😀€'))", "é😀€"),
    ("atob(btoa('hi'))", "hi"),
    ("new URL('../c?d=1#e', 'https://u:p@Host.example:443/a/b').href", "https://u:p@host.example/c?d=1#e"),
    ("(() => { const u = new URL('http://h/p?a=1&b=x%20y'); u.searchParams.append('c', 'é'); return u.search })()",
     "?a=1&b=x+y&c=%C3%A9"),
    ("URL.canParse('no url')", False),
    ("[...new URLSearchParams({a: 1, b: 2}).keys()].join()", "a,b"),
    ("process.env.MODE", "test"),
    ("typeof require", "undefined"),
    ("/(?<=a)b/u.test('ab') && 'x'.at(-1) === 'x' && [3, 1].toSorted()[0] === 1", True),
]  # fmt: skip


@pytest.mark.parametrize(("code", "value"), VALUES, ids=lambda value: str(value)[:30])
async def test_javascript_values(pool: ScriptPool, code: str, value: Any) -> None:
    assert await pool.run(inline(JAVASCRIPT, code)) == value


async def test_numbers_that_are_not_finite_stay_what_they_are(pool: ScriptPool) -> None:
    for language, code in (
        (JAVASCRIPT, "[NaN, {a: Infinity, b: -Infinity}]"),
        (PYTHON, "[float('nan'), {'a': float('inf'), 'b': float('-inf')}]"),
    ):
        value = await pool.run(inline(language, code))
        assert math.isnan(value[0])
        assert value[1] == {"a": math.inf, "b": -math.inf}
    assert await pool.run(inline(JAVASCRIPT, "'NaN'")) == "NaN"


FAILURES = [
    ("nope.x", "the script raised ReferenceError at line 1", True),
    ("const a = 1;\n\nnull.x", "the script raised TypeError at line 3", True),
    ("return 1", "the script is not JavaScript", True),
    ("await 1", "the script is not JavaScript", True),
    ("output ===", "the script is not JavaScript", True),
    ("JSON.parse('{')", "the script raised SyntaxError at line 1", True),
    ("1;\nthrow 'text'", "the script raised string", True),
    ("Promise.reject(new RangeError('no'))", "the script raised RangeError at line 1", True),
    ("new Promise(() => 0)", "the script's promise never settles", True),
    ("10n", "the script returned something that is not JSON", True),
    ("[10n]", "the script returned something that is not JSON", True),
    ("(output) => true", "the script returned something that is not JSON", True),
    ("Symbol()", "the script returned something that is not JSON", True),
    ("(() => { const a = {}; a.a = a; return a })()", "the script returned something that is not JSON", True),
    ("fetch('http://127.0.0.1')", "fetch is not available: scripts have no network", False),
    ("new Intl.NumberFormat()", "needs Node: Intl", False),
    ("Buffer.from('x')", "needs Node: Buffer", False),
    ("import('./x.js')", "import() works in files only", False),
]


@pytest.mark.parametrize(("code", "reason", "raised"), FAILURES, ids=lambda value: str(value)[:30])
async def test_javascript_failures(pool: ScriptPool, code: str, reason: str, *, raised: bool) -> None:
    failed = await failure(pool, inline(JAVASCRIPT, code))
    assert failed.reason.startswith(reason)
    assert failed.raised is raised


async def test_code_that_breaks_out_of_its_function_is_ended_like_any_other(pool: ScriptPool) -> None:
    """The engine joins the text of a function before it reads it; hence it never runs in this process."""
    broken = inline(JAVASCRIPT, "});\nfor (;;) {}; (function () {", limit_s=0.15)
    assert (await failure(pool, broken)).reason == "the script took longer than 0.15 s"


async def test_scripts_leave_nothing_to_each_other(pool: ScriptPool) -> None:
    for spoiling in (
        "left = 1",
        "Object.prototype.left = 1",
        "JSON.stringify = () => '7'",
        "globalThis.left = 1",
        "Array.from = null",
    ):
        assert await pool.run(inline(JAVASCRIPT, f"{spoiling};\nreturn 0")) == 0
        assert (
            await pool.run(inline(JAVASCRIPT, "typeof left + typeof ({}).left + typeof Array.from"))
            == "undefinedundefinedfunction"
        )
        assert await pool.run(inline(JAVASCRIPT, "({a: 1})")) == {"a": 1}
    await pool.run(inline(PYTHON, "global left\nleft = 1\nreturn True"))
    assert await pool.run(inline(PYTHON, "'left' not in globals()")) is True


async def test_a_timer_left_behind_does_not_go_off_in_the_next_call(pool: ScriptPool) -> None:
    code = "globalThis.n ??= 0;\nsetTimeout(() => { n++ }, 0);\nreturn n"
    assert [await pool.run(inline(JAVASCRIPT, code)) for _ in range(3)] == [0, 0, 0]


FILES = {
    "main.js": """
        const half = require('./lib/half'); const data = require('./data.json');
        const path = require('node:path'), fs = require('fs'); let calls = 0;
        module.exports = (output, context) => half(data.four) + output + context.vars.n;
        module.exports.text = () => fs.readFileSync(path.join(__dirname, 'text.txt'), 'utf8');
        module.exports.gone = () => fs.readFileSync('gone.txt');
        module.exports.exists = () => [fs.existsSync('text.txt'), fs.existsSync('gone.txt')];
        module.exports.late = () => require('./lib/' + 'late').value;
        module.exports.esm = async () => { const m = await import('./all.mjs'); return m.default(8) + m.named };
        module.exports.outside = () => require('../outside');
        module.exports.node = () => require('lodash');
        module.exports.caught = () => { try { return require('lodash') } catch { return 'none' } };
        module.exports.write = () => fs.writeFileSync('x', 'y');
        module.exports.missing = () => require('./nope');
        module.exports.typescript = () => require('./types.ts');
        module.exports.calls = () => ++calls;
        module.exports.boom = () => { throw new RangeError('boom') };
        module.exports.number = 5;
    """,
    "lib/half.js": "module.exports = (x) => x / 2;",
    "lib/late.cjs": "exports.value = 'late';",
    "data.json": '{"four": 4}',
    "text.txt": "some text",
    "types.ts": "export default 1",
    "all.mjs": """
        import half, { other as renamed, K } from './lib/more.mjs';
        import * as more from "./lib/more.mjs";
        import cjs from './lib/half.js'; import { value } from './lib/late.cjs';
        import { fileURLToPath } from 'node:url'; import path from 'path'; import { createRequire } from 'module';
        const __dirname = path.dirname(fileURLToPath(import.meta.url)), require = createRequire(import.meta.url);
        export const named = '!', list = [renamed, K, more.K, cjs(2), value, path.basename(__dirname)];
        export let count = 0;
        export function next() { return ++count }
        export { next as alias };
        export * from './lib/more.mjs';
        export { K as again } from './lib/more.mjs';
        export async function all() { return [...list, require('./data.json').four] }
        export default (x) => half(x)
    """,
    "lib/more.mjs": "export default (x) => x / 2\nexport const other = () => 'o', K = 7\nexport function extra() { return K }",
    "sync.js": "export default async function check(output) { return output.length / 2 }",
    "common.js": "exports.default = (output) => output === 'hi';",
    "provider.js": "module.exports = class { constructor(o) { this.o = o } async callApi(p) { return { output: p + this.o.config.k } } };",
    "broken.js": "module.exports = () => {\n  return 1 +;\n};",
    "plain.js": "module.exports = { a: 1 };",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "outside.js").write_text("module.exports = 1")
    root = tmp_path / "suite"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


async def test_javascript_files(pool: ScriptPool, folder: Path) -> None:
    async def call(
        name: str, function: str = "", arguments: tuple[Any, ...] = ("hi", {"vars": {"n": 3}})
    ) -> Any:
        return await pool.run(of_file(folder / name, function, arguments))

    assert await call("main.js") == "2hi3"
    assert await call("main.js", "text") == "some text"
    assert await call("main.js", "exists") == [True, False]
    assert await call("main.js", "late") == "late"
    assert await call("main.js", "esm") == "4!"
    assert await call("main.js", "caught") == "none"
    assert [await call("main.js", "calls"), await call("main.js", "calls")] == [1, 2]
    assert await call("all.mjs", arguments=(8,)) == 4
    assert await call("all.mjs", "all") == [
        None,
        7,
        7,
        1,
        "late",
        "suite",
        4,
    ]  # a function in a list is null, as in JSON
    assert [
        await call("all.mjs", "next"),
        await call("all.mjs", "alias"),
        await call("all.mjs", "extra"),
    ] == [1, 2, 7]
    assert await call("sync.js") == 1
    assert await call("common.js") is True
    assert await call("provider.js", "new callApi", ({"config": {"k": "!"}}, "prompt", {})) == {
        "output": "prompt!"
    }


@pytest.mark.parametrize(
    ("name", "function", "reason", "raised"),
    [
        ("main.js", "outside", "is outside of the suite's directory", False),
        ("main.js", "node", "needs Node: module lodash", False),
        (
            "main.js",
            "typescript",
            "types.ts is TypeScript, which is not supported: compile it to JavaScript",
            False,
        ),
        ("types.ts", "", "types.ts is TypeScript, which is not supported: compile it to JavaScript", False),
        ("main.js", "write", "needs Node: fs.writeFileSync", False),
        ("main.js", "missing", "the script raised Error", True),
        ("main.js", "gone", "the script raised Error", True),
        ("main.js", "boom", "the script raised RangeError", True),
        ("main.js", "number", "the file exports no function number", True),
        ("main.js", "nope", "the file exports no function nope", True),
        ("plain.js", "", "the file must export a function", True),
        ("broken.js", "", "the script raised SyntaxError at line 2", True),
    ],
)
async def test_javascript_files_that_fail(
    pool: ScriptPool, folder: Path, name: str, function: str, reason: str, *, raised: bool
) -> None:
    failed = await failure(pool, of_file(folder / name, function))
    assert reason in failed.reason
    assert failed.raised is raised


async def test_a_changed_file_is_read_again(pool: ScriptPool, folder: Path) -> None:
    assert await pool.run(of_file(folder / "main.js")) == "2hi3"
    half = folder / "lib" / "half.js"
    half.write_text("module.exports = (x) => x;")
    os.utime(half, ns=(1, 1))
    assert await pool.run(of_file(folder / "main.js")) == "4hi3"


async def test_javascript_of_a_commit_has_no_directory(pool: ScriptPool) -> None:
    def call(code: str) -> Script:
        return Script(language=JAVASCRIPT, code=code, arguments=("hi", {}))

    assert await pool.run(call("module.exports = (o) => o + '!'")) == "hi!"
    assert await pool.run(call("import path from 'path'\nexport default (o) => path.join(o, 'x')")) == "hi/x"
    assert (
        "has no directory on disk"
        in (await failure(pool, call("const x = require('./x');\nmodule.exports = () => x"))).reason
    )


async def test_inline_javascript_may_require_below_its_root(pool: ScriptPool, folder: Path) -> None:
    for code in ("require('./lib/half')(6)", "process.mainModule.require('./lib/half')(6)"):
        assert await pool.run(inline(JAVASCRIPT, code, root=folder)) == 3
    assert (
        await pool.run(inline(JAVASCRIPT, "require('fs').readFileSync('text.txt', 'utf8')", root=folder))
        == "some text"
    )
