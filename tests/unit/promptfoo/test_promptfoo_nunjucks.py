from __future__ import annotations

import asyncio
from typing import Any

import pytest

from promptship.evals.promptfoo.nunjucks import Nunjucks, TemplateError
from promptship.evals.promptfoo.nunjucks.running import STEPS_MAX

RENDERER = Nunjucks(env={"KEY": "k"})


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__ }}",
        "{{ o.__class__.__mro__ }}",
        "{{ range.__globals__ }}",
        "{{ cycler.__init__ }}",
        "{{ cycler('a').next.__self__ }}",
        "{{ s.format }}",
        "{{ [].append }}",
        "{{ o.items }}",
        "{{ o['__class__'] }}",
        "{{ r/a/.compiled }}",
    ],
)
def test_nothing_of_python_can_be_reached(template: str) -> None:
    assert RENDERER.render(template, {"o": {"a": 1}, "s": "text"}) == ""


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(100000000) %}x{% endfor %}",
        "{% for a in range(2000) %}{% for b in range(2000) %}{% endfor %}{% endfor %}",
        "{{ 'x'.repeat(999999999) }}",
        "{{ 'x' | center(999999999) }}",
        "{{ 'x\ny' | indent(999999999) }}",
        "{{ 'x'.padStart(999999999) }}",
        "{% set x = 'ab' %}{% for i in range(60) %}{% set x = x ~ x %}{% endfor %}",
        "{% set x = 'ab' %}{% for i in range(60) %}{% set x = x | replace('a', x) %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ 1" + " + 1" * 20000 + " }}",
        "{{ [1] | batch(9999999999, 'x') }}",
        "{{ [1] | slice(9999999999) }}",
        "{% set a = [] %}{% for i in range(9) %}{% set a = [a, a, a, a, a, a, a, a, a, a] %}{% endfor %}{{ a }}",
    ],
)
def test_no_template_runs_or_grows_without_end(template: str) -> None:
    with pytest.raises(TemplateError):
        RENDERER.render(template, {})


def test_as_many_turns_as_are_allowed_are_taken() -> None:
    half = STEPS_MAX // 2
    assert RENDERER.render(f"{{% for i in range({half}) %}}{{% endfor %}}done", {}) == "done"


def test_errors_say_the_line_but_no_value() -> None:
    with pytest.raises(TemplateError, match="line 3: filter upper needs a text") as caught:
        RENDERER.render("a\n\n{{ x | upper }}", {"x": {"secret": 1}})
    assert "secret" not in str(caught.value)


def test_variables_stay_as_they_are_when_a_template_changes_them() -> None:
    variables = {"a": [3, 1]}
    assert RENDERER.render("{% set _ = a.push(9) %}{{ a.sort() }}", variables) == "1,3,9"
    assert RENDERER.render("{% set m = 'push' %}{{ a[m](1) }}", variables) == "3"
    assert variables == {"a": [3, 1]}


def test_own_filters_come_before_built_in_ones() -> None:
    renderer = Nunjucks(filters={"upper": lambda value: f"<{value}>", "add": lambda a, b=1: a + b})
    assert renderer.render("{{ 'x' | upper }}{{ 1 | add }}{{ 1 | add(4) }}", {}) == "<x>25"
    assert renderer.plain().render("{{ 'x' | upper }}", {}) == "X"
    with pytest.raises(TemplateError, match="there is no filter add"):
        renderer.plain().render("{{ 1 | add }}", {})


def test_filters_that_take_time_are_awaited_in_order() -> None:
    asked: list[tuple[Any, ...]] = []

    async def slow(*arguments: Any) -> str:
        asked.append(arguments)
        await asyncio.sleep(0)
        return f"[{','.join(map(str, arguments))}]"

    renderer = Nunjucks(awaited={"slow": slow})
    template = "{% for i in [1, 2] %}{{ i | slow }}{% endfor %}{{ 'a' | slow('b') | slow | upper }}"
    assert asyncio.run(renderer.render_async(template, {})) == "[1][2][[A,B]]"
    assert asked == [(1,), (2,), ("a", "b"), ("[a,b]",)]
    assert asyncio.run(renderer.render_async("plain {{ 1 }}", {})) == "plain 1"
    with pytest.raises(TemplateError, match="filter slow is a script"):
        renderer.render(template, {})


def test_switched_off_it_leaves_everything() -> None:
    assert Nunjucks(enabled=False).render("{{ a }}{% if %}", {"a": 1}) == "{{ a }}{% if %}"


@pytest.mark.parametrize(
    ("template", "uses"),
    [
        ("{{ _conversation }}", True),
        ("{% for m in _conversation %}{{ m.input }}{% endfor %}", True),
        ("{{ x | f(_conversation) }}", True),
        ("{{ a._conversation }}", False),
        ("{{ '_conversation' }}", False),
        ("_conversation", False),
        ("{# {{ _conversation }} #}", False),
        ("{% raw %}{{ _conversation }}{% endraw %}", False),
        ("{% set _conversation = 1 %}{{ _conversation }}", False),
        ("{{ _conversation }}{% set _conversation = 1 %}", True),
        ("{% for _conversation in x %}{{ _conversation }}{% endfor %}", False),
        ("{% macro m(_conversation) %}{{ _conversation }}{% endmacro %}", False),
        ("{% macro m(a=_conversation) %}{% endmacro %}", True),
        ("{% macro m() %}{{ _conversation }}{% endmacro %}", True),
        ("{% call(_conversation) m() %}{{ _conversation }}{% endcall %}", False),
        ("{{ {_conversation: 1} | dump }}", False),
        ("{{ _conversation", True),
    ],
)
def test_which_templates_use_a_variable(template: str, *, uses: bool) -> None:
    assert RENDERER.mentions(template, "_conversation") is uses
