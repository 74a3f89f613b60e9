"""What promptfoo sees in a text before it renders it."""

from __future__ import annotations

import pytest

from promptship.evals.promptfoo.placeholders import first_placeholder, is_unfinished, used_names


@pytest.mark.parametrize(
    ("text", "tag", "name"),
    [
        ("{{ a }}", "{{ a }}", "a"),
        ("x {{a1_}} {{ b }}", "{{a1_}}", "a1_"),
        ("{{ a.b }}{{\u00a0c\n}}", "{{\u00a0c\n}}", "c"),
        ("{{{ a }}}", "{{ a }}", "a"),
        ("{{ x {{ a }}", "{{ a }}", "a"),
        ("}} {{ a }}", "{{ a }}", "a"),
        ("{{ a } }} {{ b }}", "{{ b }}", "b"),
    ],
)
def test_the_first_tag_with_nothing_but_a_name(text: str, tag: str, name: str) -> None:
    found = first_placeholder(text)
    assert found is not None
    assert (text[found.start : found.end], found.content) == (tag, name)


@pytest.mark.parametrize(
    "text", ["", "{{ a", "a }}", "{{ a | b }}", "{{- a }}", "{{}}", "{{ }}", "{{ ü }}", "{ {a} }"]
)
def test_a_text_without_such_a_tag(text: str) -> None:
    assert first_placeholder(text) is None


@pytest.mark.parametrize(
    ("text", "unfinished"),
    [
        ("{{ a", True),
        ("{{ a }} {{ b", True),
        ("{% if a", True),
        ("{# a", True),
        ("{{ a\n}}", True),
        ("{{ a\u2028}}", True),
        ("{{ a }\n", False),
        ("{{ a }}\n{% b %}{# c #}", False),
        ("a }} %} #}", False),
        ("{ {", False),
        ("{% raw %}{{ a{% endraw %}", False),
        ("{%raw%}{%  endraw  %}{{ a", False),
        ("{%- raw %}{% endraw %}\n{{ a", True),
        ("{% raw %}{{ a", True),
    ],
)
def test_a_line_that_opens_a_tag_and_does_not_close_it(text: str, *, unfinished: bool) -> None:
    assert is_unfinished(text) is unfinished


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{{ a }}{{b.c | upper}}{{ d[0] }}", {"a", "b", "d"}),
        ("{{ a + b }}{{- c }}{{ d -}}{{ 'e' }}{{ 3 }}", set()),
        ("{{ f(a) }}{{ a | default({}) }}", {"f"}),
        ("{% if a %}{%if b.c == d %}{%- if e %}{% if (f) %}{% elif g %}", {"a", "b"}),
        ("{% if not a %}", {"not"}),
        ("{% for x in xs %}{{ x }}{% endfor %}", {"xs"}),
        ("{% for x in xs %}{{ x.y }}{{ loop.index }}{% endfor %}", {"xs", "x", "loop"}),
        ("{% for x in o.xs %}{{ x }}{% endfor %}", {"x"}),
        ("{% for k, v in o %}{% endfor %}", {"k"}),
        ("{# {{ a }} #}{{ b }}{# open {{ c }}", {"b", "c"}),
        ("{% set a = b %}plain", set()),
    ],
)
def test_the_names_that_a_text_seems_to_use(text: str, names: set[str]) -> None:
    assert used_names(text) == names
