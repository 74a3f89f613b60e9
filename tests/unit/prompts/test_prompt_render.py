"""Rendering: shape, defaults, limits, errors."""

from typing import Any

import pytest

from promptship.errors import ConfigError, InvalidVariables
from promptship.prompts.model import Message, Prompt, Tool, Variable
from promptship.prompts.render import Rendered, render, template_error, variables_used
from promptship.prompts.templates import infer_variables


def text_of(template: str, **values: Any) -> str:
    kinds = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
    variables = {
        name: Variable.model_validate({"type": kinds[type(value)]}) for name, value in values.items()
    }
    prompt = Prompt(name="p", messages=(Message(role="user", content=template),), variables=variables)
    return render(prompt, values).messages[0]["content"]


def test_the_shape_is_openais() -> None:
    prompt = Prompt(
        name="p",
        model="m",
        messages=(Message(role="system", content="s"), Message(role="user", content="u", name="ann")),
        parameters={"temperature": 0},
        tools=(Tool(name="t", description="d", parameters={"type": "object"}), Tool(name="bare")),
        output_schema={"type": "object"},
    )

    assert render(prompt, {}) == Rendered(
        messages=({"role": "system", "content": "s"}, {"role": "user", "content": "u", "name": "ann"}),
        model="m",
        parameters={"temperature": 0},
        tools=(
            {
                "type": "function",
                "function": {"name": "t", "description": "d", "parameters": {"type": "object"}},
            },
            {"type": "function", "function": {"name": "bare"}},
        ),
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "output", "schema": {"type": "object"}},
        },
    )


@pytest.mark.parametrize(
    ("kind", "declared", "expected"),
    [
        ("string", {}, "[] no"), ("integer", {}, "[] no"), ("boolean", {}, "[False] no"), ("array", {}, "[[]] no"),
        ("object", {}, "[{}] no"), ("string", {"default": "d"}, "[d] yes"), ("integer", {"default": 0}, "[0] no"),
    ],
)  # fmt: skip
def test_what_is_not_given(kind: str, declared: dict[str, Any], expected: str) -> None:
    prompt = Prompt.model_validate(
        {
            "name": "p",
            "messages": [{"role": "user", "content": "[{{ x }}] {% if x %}yes{% else %}no{% endif %}"}],
            "variables": {"x": {"type": kind, "required": False, **declared}},
        }
    )

    assert (
        render(prompt, {}).messages[0]["content"]
        == render(prompt, {"x": None}).messages[0]["content"]
        == expected
    )


@pytest.mark.parametrize(
    ("template", "values", "expected"),
    [
        ("{{ x }}\n", {"x": "a\r\nb"}, "a\r\nb\n"),
        ("a\r\nb\rc{{ x }}\r", {"x": "!"}, "a\r\nb\rc!\r"),
        ("{{ 'a\r' }}\ufdd0", {}, "a\r\ufdd0"),
        ("{{ x | tojson }}", {"x": {"b": "<é>", "a": 1}}, '{"a": 1, "b": "<é>"}'),
        ("{{ x | tojson(indent=1) }}", {"x": [1]}, "[\n 1\n]"),
        ("{{ '%.2f' | format(x) }}", {"x": 1.005}, "1.00"),
        ("{{ '%.1f' % x }}", {"x": 2.0}, "2.0"),
        ("{{ x | indent(2) }}", {"x": "a\nb"}, "a\n  b"),
        ("{{ x * 3 }}{{ 2 ** 3 }}", {"x": "ab"}, "ababab8"),
        (
            "{% for i in x %}{{ loop.index }}/{{ loop.length }} {% else %}none{% endfor %}",
            {"x": [5, 6]},
            "1/2 2/2 ",
        ),
        ("{% for i in x %}{% else %}none{% endfor %}", {"x": []}, "none"),
        ("{% for i in x | select %}{{ i }}{% endfor %}", {"x": [0, 1, 2]}, "12"),
        ("{% for i in range(3) %}{{ i }}{% endfor %}", {}, "012"),
        ("{% macro m(v) %}{% for i in v %}{{ i }}{% endfor %}{% endmacro %}{{ m(x) }}", {"x": [1, 2]}, "12"),
        ("{{ '{{ x }}' }}{% raw %}{{ x }}{% endraw %}", {"x": "v"}, "{{ x }}{{ x }}"),
    ],
)
def test_templates(template: str, values: dict[str, Any], expected: str) -> None:
    assert text_of(template, **values) == expected


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(1000000) %}x{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% for i in range(99999) %}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}",
        "{{ 'a' * 9999999 }}",
        "{{ 9999999 * [1] }}",
        "{{ 9 ** 99999 }}",
        "{{ '%99999999d' % 1 }}",
        "{{ '%*d' | format(99999999, 1) }}",
        "{{ 'a'.ljust(99999999) }}",
        "{{ '{:>99999999}'.format(1) }}",
        "{{ 'a' | center(99999999) }}",
        "{{ 'a' | indent(99999999, true) }}",
        "{{ [1] | batch(99999999, 0) | list }}",
        "{{ x.__class__ }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ x.append(1) }}",
        "{{ x | int + 'a' }}",
        "{{ 1 / 0 }}",
        "{{ x.y.z }}",
        "{{ x | tojson(indent=99999999) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ],
)
def test_bombs_and_escapes_are_refused(template: str) -> None:
    with pytest.raises(
        InvalidVariables, match=r"messages\[0\]\.content (renders to too much|cannot be rendered)"
    ):
        text_of(template, x=[1])


def test_an_error_does_not_quote_the_value() -> None:
    with pytest.raises(InvalidVariables) as caught:
        text_of("{{ x | int(base='5ecret') }}{{ 1 + x }}", x="5ecret")

    assert "5ecret" not in str(caught.value)


def test_an_undeclared_variable_is_the_files_fault() -> None:
    with pytest.raises(ConfigError, match=r"p: messages\[0\]\.content is using y"):
        text_of("{{ x }}{{ y }}", x="v")


def test_a_broken_template_is_the_files_fault() -> None:
    with pytest.raises(ConfigError, match=r"messages\[0\]\.content is unexpected"):
        text_of("{{ x ")


@pytest.mark.parametrize(
    ("template", "line", "what"),
    [
        ("ok\n{{ x", 2, "unexpected end"),
        ("\n\n{% if %}", 3, "Expected an expression"),
        ("\n{{ x | shout }}", 2, "no filter named 'shout'"),
        ("{% if x is odder %}{% endif %}", 1, "no test named 'odder'"),
        ("{% if no %}\r\n{{ x | random }}{% endif %}", 2, "no filter named 'random'"),
        ("a\n{% include 'x' %}", 2, "include %} is not available"),
        ("{% import 'x' as y %}", 1, "import"),
        ("{% from 'x' import y %}", 1, "from"),
        ("{% extends 'x' %}", 1, "extends"),
        ("{% for x in y %}", 1, "Unexpected end"),
    ],
)
def test_template_errors_have_a_line(template: str, line: int, what: str) -> None:
    found = template_error(template)

    assert found is not None
    assert found[0] == line
    assert what in found[1]
    assert variables_used(template) == set()


def test_variables_used() -> None:
    template = (
        "{{ a.b }}{% for i in c %}{{ i }}{{ loop.index }}{% endfor %}{% set d = e %}{{ d }}{{ range(f) }}"
    )

    assert variables_used(template) == {"a", "c", "e", "f"}
    assert template_error(template) is None
    assert variables_used("no { markup }") == set()


def test_inferred_types() -> None:
    found = infer_variables(
        ["{{ a }}{% for x in b %}{{ x.y }}{% endfor %}", "{{ c.d }}{{ a.b }}", "{{ broken"]
    )

    assert {name: declared["type"] for name, declared in found.items()} == {
        "a": "object",
        "b": "array",
        "c": "object",
    }
