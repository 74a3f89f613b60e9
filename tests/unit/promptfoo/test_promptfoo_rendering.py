from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from promptship.errors import ConfigError
from promptship.evals.promptfoo.model import PromptSpec
from promptship.evals.promptfoo.nunjucks import Nunjucks, TemplateError
from promptship.evals.promptfoo.own_filters import load_filters
from promptship.evals.promptfoo.rendering import Rendered, render_object, render_prompt
from promptship.evals.services import Language, ScriptFailed
from tests.support.services import FakeScripts

PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>endobj
4 0 obj<</Length 41>>stream
BT /F1 12 Tf 10 100 Td (Hello paper) Tj ET
endstream endobj
5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj
trailer<</Root 1 0 R>>
startxref
0
%%EOF
"""


def render(
    raw: str,
    variables: Mapping[str, Any],
    *,
    base: Path = Path("/nowhere"),
    scripts: FakeScripts | None = None,
    renderer: Nunjucks | None = None,
    env: Mapping[str, str] | None = None,
    **prompt: Any,
) -> Rendered:
    spec = PromptSpec(raw=raw, label="p", base=base, **prompt)
    return asyncio.run(
        render_prompt(
            spec,
            variables,
            provider_id="echo",
            provider_label="E",
            renderer=renderer or Nunjucks(env={"HOME": "/h"}),
            scripts=scripts or FakeScripts(),
            env=env or {},
            base=base,
        )
    )


@pytest.mark.parametrize(
    ("raw", "variables", "text"),
    [
        ("Hi {{ n }}!", {"n": "Ann"}, "Hi Ann!"),
        ("{{ a }}{{ b }}{{ c }}", {"a": 1.0, "b": None, "c": {"k": 1}}, "1[object Object]"),
        ("[{{ a }}]", {"a": "one\n\n"}, "[one\n]"),
        ("{{ a }}", {"a": "{{ b }}!", "b": "<{{c}}>", "c": "deep"}, "<deep>!"),
        ("{{ a }}", {"a": "{{ b | upper }}{{ env.HOME }}", "b": "x"}, "X/h"),
        ("{{ a }}", {"a": "{{ nope }} {{ b }}", "b": "x"}, "{{ nope }} {{ b }}"),
        ("{{ a }}", {"a": "{% for x in nope %}{% endfor %}"}, "{% for x in nope %}{% endfor %}"),
        ("{{ a }}", {"a": "{% for x in b %}{{ x }}{% endfor %}", "b": [1, 2]}, "12"),
        ("{{ a }}", {"a": "{# note #}{{ b }}", "b": "x"}, "x"),
        ("{{ a }}", {"a": "{{ b }}", "b": "$& and $$"}, "$& and $$ and $ and $ and $ and $ and $"),
        ("{{ a }}", {"a": "pre $` {{ b }} post", "b": "$` $' $1 $$"}, "pre $` pre $`   post $1 $ post"),
        ("{{ a }} {{ b }}", {"a": "{{ b }}", "b": "{{ a }}"}, "{{ a }} {{ a }}"),
        ("{{ a }}", {"a": "x{{ a }}"}, "x" * 64 + "{{ a }}"),
        ("C {{ a }}", {"a": "{{ open"}, "C {{ open"),
        ("{% open", {}, "{% open"),
        ("x {{ a", {"a": 1}, "x {{ a"),
        ("{{ a }} {% raw %}{{ b }}{% endraw %}", {"a": 1}, "1 {{ b }}"),
        ("{{ nope.x }}{{ o.k }}", {"o": {"k": "{{ b }}"}, "b": 1}, "{{ b }}"),
        ("{{ _conversation[0].input }}", {"_conversation": [{"input": "hi"}]}, "hi"),
    ],
)
def test_texts(raw: str, variables: dict[str, Any], text: str) -> None:
    assert render(raw, variables).text == text


def test_variables_that_multiply_without_end_are_told() -> None:
    with pytest.raises(TemplateError, match="more than"):
        render("{{ a }}", {"a": "{{ a }}" + "x" * 3_000_000})


def test_json_prompts_stay_json() -> None:
    raw = '[{"role": "user", "content": "{{ q }} {{ n }}", "max": 1.0, "{{ q }}": [true, null]}]'
    text = render(raw, {"q": 'say "hi"\n', "n": "{{ q }}"}).text
    assert text.startswith(
        '[\n  {\n    "role": "user",\n    "content": "say \\"hi\\" say \\"hi\\"",\n    "max": 1,'
    )
    assert json.loads(text)[0]["{{ q }}"] == [True, None]


def test_json_prompts_with_an_own_filter_are_rendered_as_text() -> None:
    renderer = Nunjucks(filters={"wrap": lambda value: f"<{value}>"})
    assert render('{"a": "{{ q | wrap }}"}', {"q": "x"}, renderer=renderer).text == '{"a": "<x>"}'


def test_json_handling_can_be_switched_off() -> None:
    env = {"PROMPTFOO_DISABLE_JSON_AUTOESCAPE": "true"}
    assert render('{"a":"{{ q }}"}', {"q": '"'}, env=env).text == '{"a":"""}'


def test_a_wrong_template_is_an_error() -> None:
    with pytest.raises(TemplateError, match="there is no filter nofilter"):
        render("{{ a | nofilter }}", {"a": 1})


def test_variables_in_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n  text {{ b }} \n\n")
    (tmp_path / "c.yaml").write_text("k: 1\nd: 2026-01-31\nl: [1.0, yes]\n")
    (tmp_path / "p.pdf").write_bytes(PDF)
    (tmp_path / "i.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "j.png").write_bytes(b"GIF89a")
    (tmp_path / "s.svg").write_bytes(b"<svg/>")
    (tmp_path / "m.mp3").write_bytes(b"abc")
    variables = {
        name[0]: f"file://{name}" for name in ("a.txt", "c.yaml", "p.pdf", "i.png", "j.png", "s.svg", "m.mp3")
    }
    filled = render("{{ a }}", {**variables, "b": "B"}, base=tmp_path)
    assert filled.text == "text B"
    assert filled.vars["c"] == '{"k":1,"d":"2026-01-31T00:00:00.000Z","l":[1,"yes"]}'
    assert filled.vars["p"] == "Hello paper"
    assert filled.vars["i"] == "data:image/png;base64,iVBORw0KGgo="
    assert filled.vars["j"].startswith("data:image/gif;base64,")
    assert filled.vars["s"].startswith("data:image/svg+xml;base64,")
    assert filled.vars["m"] == base64.b64encode(b"abc").decode()
    assert variables["a"] == "file://a.txt"


def test_media_can_be_left_as_text(tmp_path: Path) -> None:
    (tmp_path / "s.svg").write_text(" <svg/> ")
    env = {"PROMPTFOO_DISABLE_MULTIMEDIA_AS_BASE64": "1"}
    assert render("{{ s }}", {"s": "file://s.svg"}, base=tmp_path, env=env).text == "<svg/>"


@pytest.mark.parametrize(
    ("name", "content", "got"),
    [
        ("gone.txt", None, "no such file"),
        ("gone.pdf", None, "not readable"),
        ("bad.pdf", b"no", "no PDF that can be read"),
        ("bad.yaml", b"a: [", ""),
        ("bad.txt", b"\xff", "is not UTF-8"),
    ],
)
def test_broken_files_of_variables_are_told(
    tmp_path: Path, name: str, content: bytes | None, got: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        render("{{ v }}", {"v": f"file://{name}"}, base=tmp_path)
    assert caught.value.problems[0].file == str(tmp_path / name)
    assert got in caught.value.problems[0].got


def test_functions_make_variables(tmp_path: Path) -> None:
    (tmp_path / "v.py").write_text("def get_var(name, prompt, vars): ...")
    (tmp_path / "w.js").write_text("module.exports = 1")
    scripts = FakeScripts(
        answers={
            "get_var": lambda script: {"output": f" {script.arguments[0]} of {script.arguments[1]} "},
            "module.exports = 1": lambda script: {
                "output": [script.arguments[2]["v"], script.arguments[3]["id"]]
            },
        }
    )
    rendered = render("P", {"v": "file://v.py", "w": "file://w.js"}, base=tmp_path, scripts=scripts)
    assert rendered.vars == {"v": "v of P", "w": ["v of P", "echo"]}
    assert scripts.asked[0].language is Language.PYTHON


@pytest.mark.parametrize("made", [{"error": "no"}, {"output": ""}, {}, None, {"output": 3}])
def test_functions_that_make_no_variable_are_told(tmp_path: Path, made: Any) -> None:
    (tmp_path / "v.py").write_text("x")
    with pytest.raises(ConfigError):
        render("{{ v }}", {"v": "file://v.py"}, base=tmp_path, scripts=FakeScripts(answers={"get_var": made}))


def test_packages_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="functions of packages"):
        render("{{ v }}", {"v": "package:x:y"}, base=tmp_path)


@pytest.mark.parametrize(
    ("made", "text", "config"),
    [
        ("Hi {{ n }}", "Hi Ann", {"c": 1}),
        (
            [{"role": "user", "content": "{{ n }}"}],
            '[\n  {\n    "role": "user",\n    "content": "Ann"\n  }\n]',
            {"c": 1},
        ),
        ({"prompt": "P {{ n }}", "config": {"t": 0}}, "P Ann", {"c": 1, "t": 0}),
        ({"prompt": ["{{ n }}"]}, '[\n  "Ann"\n]', {"c": 1}),
    ],
)
def test_functions_make_prompts(tmp_path: Path, made: Any, text: str, config: dict[str, Any]) -> None:
    (tmp_path / "f.js").write_text("...")
    scripts = FakeScripts(answers={"make": made})
    rendered = render(
        "...",
        {"n": "Ann"},
        base=tmp_path,
        scripts=scripts,
        path=tmp_path / "f.js",
        function="make",
        config={"c": 1},
    )
    assert (rendered.text, rendered.config) == (text, config)
    assert scripts.asked[0].arguments == (
        {"vars": {"n": "Ann"}, "provider": {"id": "echo", "label": "E"}, "config": {"c": 1}},
    )


@pytest.mark.parametrize("made", [None, 3, True])
def test_functions_that_make_no_prompt_are_told(tmp_path: Path, made: Any) -> None:
    (tmp_path / "f.js").write_text("...")
    with pytest.raises(ConfigError, match="messages or"):
        render(
            "...",
            {},
            base=tmp_path,
            scripts=FakeScripts(answers={"f": made}),
            path=tmp_path / "f.js",
            function="f",
        )


def test_a_python_file_without_function_prints_its_prompt(tmp_path: Path) -> None:
    def run(script: Any) -> str:
        assert script.names["path"] == str(tmp_path / "f.py")
        return f"{json.loads(script.names['context'])['vars']['n']}\n\n"

    class Inline(FakeScripts):
        async def run(self, script: Any) -> Any:
            return run(script)

    rendered = render("...", {"n": "Ann"}, base=tmp_path, scripts=Inline(), path=tmp_path / "f.py")
    assert rendered.text == "Ann\n"


def test_programs_print_prompts(tmp_path: Path) -> None:
    command = ("/bin/sh", "-c", r'printf "\033[31mgot\033[0m $0 $1\n"; pwd', "a")
    rendered = render("...", {"n": "Ann"}, base=tmp_path, path=Path("/bin/sh"), command=command)
    assert rendered.text.startswith(
        'got a {"vars":{"n":"Ann"},"provider":{"id":"echo","label":"E"},"config":{}}\n'
    )
    assert rendered.text.endswith(str(tmp_path))


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("/bin/sh", "-c", "exit 3"), "status 3"),
        (("/bin/sh", "-c", "echo bad >&2"), "printed errors only"),
        (("/nowhere/program",), "cannot be started"),
        (("/bin/sh", "-c", "sleep 30"), "took more than 0.05 s"),
    ],
)
def test_programs_that_fail_are_told(tmp_path: Path, command: tuple[str, ...], reason: str) -> None:
    with pytest.raises(ScriptFailed, match=reason):
        render("...", {}, base=tmp_path, path=Path("/bin/sh"), command=command, config={"timeout": 50})


def test_own_filters_are_scripts(tmp_path: Path) -> None:
    (tmp_path / "wrap.js").write_text("wrap it")
    scripts = FakeScripts(answers={"wrap it": lambda script: f"<{','.join(map(str, script.arguments))}>"})
    filters = load_filters({"wrap": "wrap.js", "gone": "gone.js"}, base=tmp_path, scripts=scripts)
    assert list(filters) == ["wrap"]
    renderer = Nunjucks(awaited=filters)
    assert (
        render("{{ a | wrap(2) }} {{ b }}", {"a": 1, "b": "{{ a | wrap }}"}, renderer=renderer).text
        == "<1,2> <1>"
    )
    failing = FakeScripts(answers={"wrap it": ScriptFailed("it raised")})
    renderer = Nunjucks(awaited=load_filters({"wrap": "wrap.js"}, base=tmp_path, scripts=failing))
    with pytest.raises(TemplateError, match="filter wrap failed: it raised"):
        render("{{ 1 | wrap }}", {}, renderer=renderer)


def test_values_of_assertions() -> None:
    renderer = Nunjucks()
    assert render_object({"k": ["{{ a }}", {"{{ a }}": "{{ a }}"}]}, {"a": 1}, renderer) == {
        "k": ["1", {"{{ a }}": "1"}]
    }
