"""Formatting does not change the digest; anything the model sees does."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.errors import ConfigError
from promptship.prompts.digest import canonical, digest, from_canonical, short
from promptship.prompts.dump import dump
from promptship.prompts.json_values import compact
from promptship.prompts.load import load
from promptship.prompts.model import Prompt
from promptship.prompts.render import render
from tests.property.prompt_values import json_values, prompts, shuffled, texts

SCHEMAS = {"output_schema", "tools"}


def native(prompt: Prompt) -> dict[str, Any]:
    values: dict[str, Any] = prompt.model_dump(mode="json", exclude_none=False)
    return values


@settings(max_examples=25, deadline=None)
@given(prompts, st.integers(0, 9), st.sampled_from(["'", '"', "flow"]))
def test_formatting_does_not_change_it(prompt: Prompt, seed: int, style: str) -> None:
    values = native(prompt)
    mixed = shuffled({key: value for key, value in values.items() if key not in SCHEMAS}, seed)
    mixed |= {key: values[key] for key in sorted(SCHEMAS)}

    as_json = load("p.json", json.dumps(mixed, indent=seed).encode()).prompt
    text = (
        json.dumps(mixed) if style == "flow" else yaml.safe_dump(mixed, default_style=style, sort_keys=False)
    )
    as_yaml = load("p.yaml", text.encode()).prompt

    assert (
        digest(as_json)
        == digest(as_yaml)
        == digest(load("q.yaml", dump(prompt).encode()).prompt)
        == digest(prompt)
    )


@settings(max_examples=25, deadline=None)
@given(prompts, texts, st.sampled_from(["low", "medium", "high"]), json_values)
def test_what_is_only_about_the_prompt_does_not_change_it(
    prompt: Prompt, text: str, risk: str, value: object
) -> None:
    values = native(prompt) | {
        "name": "other",
        "description": text,
        "owner": text,
        "risk": risk,
        "release": {"a": value},
    }
    for variable in values["variables"].values():
        variable |= {"description": text, "examples": [value], "untrusted": not variable["untrusted"]}

    assert digest(Prompt.model_validate(values)) == digest(prompt)


def set_in(path: str) -> Callable[[Any, object], None]:
    def change(values: Any, value: object) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            values = values[int(parent)] if isinstance(values, list) else values[parent]
        values[last] = value

    return change


BASE: dict[str, Any] = {
    "name": "p",
    "model": "m",
    "messages": [{"role": "user", "content": "hi {{ x }}", "name": "n"}],
    "parameters": {"temperature": 1, "stop": ["a"]},
    "variables": {"x": {"type": "string", "required": True, "default": "d", "enum": ["d", "e"]}},
    "tools": [{"name": "t", "description": "d", "parameters": {"type": "object"}}],
    "output_schema": {"properties": {"why": {}, "answer": {}}},
}
SEEN = {
    "model": texts, "messages.0.content": texts, "messages.0.name": texts, "parameters.temperature": json_values,
    "parameters.new": json_values, "variables.x.default": json_values, "tools.0.description": texts,
    "tools.0.parameters": st.dictionaries(texts, json_values, max_size=2),
    "output_schema": st.dictionaries(texts, json_values, max_size=2), "messages.0.role": st.sampled_from(["system", "user"]),
    "variables.x.required": st.booleans(), "variables.x.type": st.sampled_from(["string", "array"]),
}  # fmt: skip


@settings(max_examples=75, deadline=None)
@given(st.data(), st.sampled_from(sorted(SEEN)))
def test_it_changes_exactly_when_something_the_model_sees_does(data: st.DataObject, path: str) -> None:
    values = json.loads(json.dumps(BASE))
    changed = json.loads(json.dumps(BASE))
    set_in(path)(changed, data.draw(SEEN[path]))
    if path == "variables.x.default" and changed["variables"]["x"]["default"] is None:
        del values["variables"]["x"]["default"], changed["variables"]["x"]["default"]
        assert digest(Prompt.model_validate(changed)) != digest(Prompt.model_validate(BASE))
        set_in(path)(changed, None)  # null is the same as none given
        set_in(path)(values, None)

    ordered = path.startswith(("output_schema", "tools"))
    same = json.dumps(values) == json.dumps(changed) if ordered else compact(values) == compact(changed)
    if path == "parameters.new":
        same = False

    assert (digest(Prompt.model_validate(changed)) == digest(Prompt.model_validate(values))) == same


def test_the_order_of_answer_keys_is_content() -> None:
    other = BASE | {"output_schema": {"properties": {"answer": {}, "why": {}}}}

    assert Prompt.model_validate(other) == Prompt.model_validate(BASE)
    assert digest(Prompt.model_validate(other)) != digest(Prompt.model_validate(BASE))


def test_true_one_and_one_point_zero_differ() -> None:
    found = {
        digest(Prompt.model_validate(BASE | {"parameters": {"n": value}})) for value in (True, 1, 1.0, "1")
    }

    assert len(found) == 4


@settings(max_examples=30, deadline=None)
@given(prompts)
def test_a_prompt_is_rebuilt_from_stored_canonical_content(prompt: Prompt) -> None:
    stored = json.loads(json.dumps(canonical(prompt), sort_keys=True))

    rebuilt = from_canonical(prompt.name, stored)

    assert digest(rebuilt) == digest(prompt)
    assert compact(canonical(rebuilt)) == compact(stored)
    assert json.dumps(rebuilt.output_schema) == json.dumps(prompt.output_schema)


def test_equal_digests_render_equal_bytes() -> None:
    text = "{% for k in x %}{{ k }}{% endfor %}{{ x }}{{ x | tojson }}"
    values = {"messages": [{"role": "user", "content": text}], "variables": {"x": {"type": "object"}}}
    one, other = (
        Prompt.model_validate(
            {**values, "name": "p", "variables": {"x": {"type": "object", "default": default}}}
        )
        for default in ({"b": 1, "a": {"d": 1, "c": 2}}, {"a": {"c": 2, "d": 1}, "b": 1})
    )

    assert digest(one) == digest(other)
    assert render(one, {}) == render(other, {}) == render(from_canonical("p", canonical(one)), {})


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {1: "a"}, {"a": [object()]}, "\ud800", {"\ud800": 1}]
)
def test_what_json_cannot_carry_is_refused(value: object) -> None:
    prompt = Prompt.model_validate(BASE | {"parameters": {"x": value}})

    for action in (canonical, digest, dump):
        with pytest.raises(ConfigError, match=r"p: parameters\.x"):
            action(prompt)


DAMAGED: list[dict[str, Any]] = [
    {},
    {"messages": []},
    {"messages": [{"role": "user"}]},
    {"messages": 1, "x": 2},
]
PARTS: list[dict[str, Any]] = [{"tools": [{}]}, {"tools": 1}, {"output_schema": "{"}]


@pytest.mark.parametrize(
    "content", DAMAGED + [{"messages": [{"role": "user", "content": ""}], **part} for part in PARTS]
)
def test_damaged_content_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="p: "):
        from_canonical("p", content)


def test_people_are_shown_twelve_characters() -> None:
    assert short("0123456789abcdef") == "0123456789ab"
