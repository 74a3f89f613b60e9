from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from promptship.evals.promptfoo import javascript_text
from promptship.evals.promptfoo.model import PromptSpec
from promptship.evals.promptfoo.nunjucks import Nunjucks, TemplateError
from promptship.evals.promptfoo.rendering import render_prompt
from tests.support.services import FakeScripts

RENDERER = Nunjucks(env={})
NAMES = st.sampled_from(["a", "b", "c"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
TAGGED = st.lists(
    st.sampled_from(["{{", "}}", "{%", "%}", "{#", "#}", "a", " ", "|", "raw", "-", '"', "\n"])
).map("".join)
PLAIN = TEXTS.filter(lambda text: "{" not in text and "#}" not in text)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)


def rendered(raw: str, variables: dict[str, Any]) -> str:
    prompt = PromptSpec(raw=raw, label="p", base=Path("/"))
    return asyncio.run(
        render_prompt(
            prompt, variables, provider_id="p", provider_label="", renderer=RENDERER, scripts=FakeScripts(), env={}, base=Path("/")
        )
    ).text  # fmt: skip


def is_json(text: str) -> bool:
    try:
        javascript_text.parse_json(text)
    except ValueError:
        return False
    return True


@given(PLAIN, st.dictionaries(NAMES, VALUES))
def test_text_without_tags_stays_as_it_is(text: str, variables: dict[str, Any]) -> None:
    assert RENDERER.render(text, variables) == text


@given(PLAIN.filter(lambda text: not is_json(text)), st.dictionaries(NAMES, TEXTS))
def test_a_prompt_without_tags_is_sent_as_it_is(text: str, variables: dict[str, str]) -> None:
    plain = {
        name: value
        for name, value in variables.items()
        if not value.startswith(("file://", "package:")) and "{" not in value
    }
    assert rendered(text, plain) == text


@given(st.dictionaries(NAMES, TEXTS, min_size=3))
def test_a_value_is_never_read_as_a_template_of_the_engine(variables: dict[str, str]) -> None:
    assert (
        RENDERER.render("{{ a }}{{ b }}{{ c }}", variables)
        == variables["a"] + variables["b"] + variables["c"]
    )


@given(VALUES, st.dictionaries(NAMES, TEXTS.filter(lambda text: "{" not in text), min_size=3))
def test_json_prompts_stay_json_with_any_values(data: Any, variables: dict[str, str]) -> None:
    variables = {name: f"x{value}" for name, value in variables.items()}
    prompt = json.dumps(
        {"data": [str(data)[:20].replace("{", "").replace("#}", ""), "{{ a }}"], "b": "{{ b }}-{{ c }}"}
    )
    made = json.loads(rendered(prompt, variables))
    stripped = {name: value.removesuffix("\n") for name, value in variables.items()}
    assert made["data"][1] == stripped["a"]
    assert made["b"] == f"{stripped['b']}-{stripped['c']}"


@given(TAGGED | TEXTS, st.dictionaries(NAMES, VALUES))
def test_any_template_renders_or_says_why_not(text: str, variables: dict[str, Any]) -> None:
    try:
        first = RENDERER.render(text, variables)
    except TemplateError:
        return
    assert RENDERER.render(text, variables) == first


@given(VALUES)
def test_json_comes_back_as_it_was(value: Any) -> None:
    for indent in (0, 2):
        assert javascript_text.parse_json(javascript_text.json_text(value, indent)) == value


@given(VALUES)
def test_dump_and_load_are_inverse(value: Any) -> None:
    again = RENDERER.render("{{ v | dump | load | dump }}", {"v": value})
    assert javascript_text.parse_json(again) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_written_so_that_they_come_back(number: float) -> None:
    assert float(javascript_text.number_text(number)) == number


@given(st.lists(VALUES, max_size=5), st.sampled_from(["a", "b"]))
def test_a_loop_visits_every_item_once_in_order(items: list[Any], separator: str) -> None:
    template = (
        "{% for x in v %}{{ loop.index0 }}" + separator + "{% if not loop.last %},{% endif %}{% endfor %}"
    )
    expected = ",".join(f"{index}{separator}" for index in range(len(items)))
    assert RENDERER.render(template, {"v": items}) == expected
