"""ES modules become functions; everything that only looks like one stays as it is."""

from __future__ import annotations

import pytest

from promptship.evals.scripts.javascript_modules import as_function


def body(source: str) -> str:
    text, is_module = as_function(source)
    assert is_module
    assert text.count("\n") == source.count("\n") + text.count("\n__publish")  # lines keep their numbers
    return text


@pytest.mark.parametrize(
    ("source", "pieces"),
    [
        ("import a from './a.mjs'", ["__require('./a.mjs')", "const a = __from1.default;"]),
        ('import { a, b as c, default as d } from "x";', ["const {a, b: c, default: d} = __from1;"]),
        ("import * as all from 'x'", ["const all = __from1;"]),
        ("import a, { b } from 'x'", ["const a = __from1.default;", "const {b} = __from1;"]),
        ("import 'x'", ["__namespace(__require('x'))"]),
        ("import data from './d.json' with { type: 'json' };", ["const data = __from1.default;"]),
        ("import {\n  a,\n  // why\n  b,\n} from 'x'\nuse(a)", ["const {a, b} = __from1;\n\n\n\n", "use(a)"]),
        ("export default 1", ["'default': () => __default", "const __default = 1"]),
        ("export default function () {}", ["const __default = function () {}"]),
        ("export default async (x) => x", ["const __default = async (x) => x"]),
        ("export default function f() {}", ["'default': () => f", "function f() {}"]),
        ("export default class extends B {}", ["const __default = class extends B {}"]),
        ("export const a = f({b: 1, c: [2]}), d = 3;", ["'a': () => a, 'd': () => d", "const a = f("]),
        ("export const { a, b: [c], d = 1, ...rest } = x", ["'a': () => a", "'c': () => c", "'d': () => d", "'rest': () => rest"]),
        ("export let a\nexport async function b() {}\nexport class C {}", ["'a': () => a, 'b': () => b, 'C': () => C"]),
        ("const a = 1; export { a, a as b }", ["'a': () => a, 'b': () => a"]),
        ("export { a as b } from 'x'", ["'b': () => __from1['a']"]),
        ("export * from 'x'", ["\n__publish(__every(__from1));"]),
        ("export * as all from 'x'", ["'all': () => __from1"]),
        ("console.log(import.meta.url)", ["console.log(__meta.url)"]),
        ("export const a = 1; f(() => import('x'))", ["__import('x')"]),
    ],
)  # fmt: skip
def test_statements_of_modules(source: str, pieces: list[str]) -> None:
    text = body(source)
    for piece in pieces:
        assert piece in text


@pytest.mark.parametrize(
    "source",
    [
        "module.exports = () => 1",
        "// import a from 'x'\n/* export default 1 */ f()",
        "const s = \"import a from 'x'\", t = `export default ${`import b from 'y'` + '}'} export`;",
        "const r = /export default/; const d = a / b; import_ = 1 / 2",
        "const o = { import: 1, export: 2, default: 3 }; o.import; o.export",
        "function f() { return /`/.test('import') }",
        "x = a ? /[/`]/ : b // export",
        "if (a) { }\nconst s = 'it\\'s export';",
    ],
)
def test_what_only_looks_like_a_module_stays_as_it_is(source: str) -> None:
    assert as_function(source) == (source, False)


def test_dynamic_imports_work_in_every_file() -> None:
    assert as_function("module.exports = () => import('./x.mjs')") == (
        "module.exports = () => __import('./x.mjs')",
        False,
    )


@pytest.mark.parametrize(
    "source",
    ["", "`", "'", "/", "/*", "${", "}", "`${", "export", "import", "import {", "export {", "import.", "\\"],
)
def test_broken_sources_are_left_to_the_engine(source: str) -> None:
    text, _ = as_function(source)
    assert source in text
