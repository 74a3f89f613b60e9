import pytest

from promptship.prompts.lint.delimiters import interpolations
from tests.support.lint import rules, system

DELIMITED = {
    "tags": "Be kind.\n<question>{{ q }}</question>",
    "tags with attributes": '<doc id="1" kind="mail">\nText: {{ q }}\n</doc>',
    "tags around other text": "<data>the user {{ name }} says {{ q }}</data>",
    "inner tag of an order tag": "<instructions>Answer <q>{{ q }}</q>.</instructions>",
    "backticks": "```\n{{ q }}\n```",
    "four backticks with a word": "````text\n{{ q }}\n````",
    "double quotes": 'Text: """{{ q }}"""',
    "single quotes": "'''{{ q }}'''",
    "equal lines": "-----\n{{ q }}\n-----\n",
    "equal lines with a label": "=== user text ===\n{{ q }}\n=== user text ===",
    "begin and end": "--- BEGIN NOTE ---\nfrom {{ q }}\n--- END NOTE ---",
    "angles on lines": "<<<\n{{ q }}\n>>>",
    "angles inline": "text: <<<{{ q }}>>>",
    "as JSON": "{{ q | tojson }}",
    "in a loop inside tags": "<c>{% for x in q %}- {{ x }}\n{% endfor %}</c>",
    "only tested": "{% if q %}Somebody asks.{% endif %}{{ 'yes' if q else 'no' }}",
    "only counted": "{{ q | length }} characters",
    "in a comment": "{# {{ q }} #}",
    "raw": "{% raw %}{{ q }}{% endraw %}",
    "whitespace control": "<q>\n{{- q -}}\n</q>",
}
BARE = {
    "plain": "Answer: {{ q }}",
    "quoted": 'The user says "{{ q }}".',
    "before the tags": "{{ q }} <question></question>",
    "after the tags": "<question></question> {{ q }}",
    "tag not closed": "<question>{{ q }}",
    "closed by another name": "<question>{{ q }}</answer>",
    "order tag only": "<instructions>{{ q }}</instructions>",
    "after a closed fence": "```\ncode\n```\n{{ q }}\n```\ncode\n```",
    "fence not closed": "```\n{{ q }}",
    "another fence": "```\n{{ q }}\n~~~",
    "between sections": "---\nfirst\n---\n{{ q }}\n---\nlast\n---",
    "different lines": "-----\n{{ q }}\n=====",
    "two characters": "--\n{{ q }}\n--",
    "end before begin": "--- END NOTE ---\n{{ q }}\n--- BEGIN NOTE ---",
    "labels differ": "--- BEGIN A ---\n{{ q }}\n--- END B ---",
    "angles closed before": "<<<x>>> {{ q }} >>>",
    "comparison signs": "a < b {{ q }} a > b",
    "through a loop": "{% for x in q %}{{ x }}{% endfor %}",
    "through set": "{% set a = q %}{% set b = a %}{{ b }}",
    "through a captured block": "{% set a %}<q>{{ q }}</q>{% endset %}{{ a }}",
    "through with": "{% with a = q %}{{ a }}{% endwith %}",
    "filtered": "{{ q | upper }}",
    "joined": "{{ 'says ' ~ q }}",
    "second of two": "<q>{{ q }}</q> and {{ q }}",
    "in a condition's value": "{{ q if n else 'nothing' }}",
    "attribute": "{{ q.text }}",
    "whole file in a call": "{{ q.strip() }}",
}


@pytest.mark.parametrize("content", DELIMITED.values(), ids=DELIMITED.keys())
def test_a_delimited_place_is_no_finding(content: str) -> None:
    assert all(part.delimited for part in interpolations(content, {"q"}))
    assert "PS404" not in rules(system(content, q={"untrusted": True}))


@pytest.mark.parametrize("content", BARE.values(), ids=BARE.keys())
def test_a_place_without_delimiters_is_one_finding(content: str) -> None:
    assert not all(part.delimited for part in interpolations(content, {"q"}))
    assert "PS404" in rules(system(content, q={"untrusted": True}))


@pytest.mark.parametrize(
    ("name", "variable", "untrusted"),
    [
        ("question", {}, True),
        ("user_input", {}, True),
        ("customer_message", {}, True),
        ("queries", {}, True),
        ("error_message", {}, False),
        ("topic", {}, False),
        ("topic", {"untrusted": True}, True),
        ("question", {"untrusted": False}, False),
        ("question", {"type": "integer"}, False),
        ("question", {"enum": ["a", "b"]}, False),
        ("question", {"type": "array"}, True),
    ],
)
def test_what_counts_as_untrusted(name: str, variable: dict[str, object], untrusted: bool) -> None:
    assert ("PS404" in rules(system(f"{{{{ {name} }}}}", **{name: variable}))) is untrusted


def test_a_print_statement_cannot_be_placed_and_so_is_not_delimited() -> None:
    parts = list(interpolations("<q>{% print q %}{{ q }}</q>", {"q"}))
    assert [part.delimited for part in parts] == [False, False]
