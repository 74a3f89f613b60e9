"""load(dump(p)) is p, for every prompt."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.prompts.digest import canonical, digest
from promptship.prompts.dump import dump
from promptship.prompts.json_values import compact
from promptship.prompts.load import load
from promptship.prompts.model import Message, Prompt
from promptship.prompts.schema import prompt_schema
from tests.property.prompt_values import NASTY, json_values, prompts, texts

pytestmark = pytest.mark.slow


def written(prompt: Prompt) -> str:
    # As JSON: unlike Python's, its equality tells 1 from true and from 1.0.
    return compact(prompt.model_dump(mode="json"))


@settings(max_examples=60, deadline=None)
@given(prompts)
def test_a_dumped_prompt_loads_as_itself(prompt: Prompt) -> None:
    loaded = load("any.prompt.yaml", dump(prompt).encode()).prompt

    assert loaded == prompt
    assert written(loaded) == written(prompt)
    assert list(loaded.variables) == list(prompt.variables)
    assert digest(loaded) == digest(prompt)
    assert dump(loaded) == dump(prompt)


@settings(max_examples=75, deadline=None)
@given(texts)
def test_every_text_survives_the_dump(text: str) -> None:
    prompt = Prompt(name="p", messages=(Message(role="user", content=text),))

    assert load("p.yaml", dump(prompt).encode()).prompt.messages[0].content == text


def test_every_nasty_text_survives_in_every_place() -> None:
    for text in NASTY:
        prompt = Prompt(
            name="p",
            messages=(Message(role="user", content=text, name=text),),
            parameters={text: [text, {text: text}]},
            description=text,
            release={"a": {text: text}},
        )
        assert load("p.yaml", dump(prompt).encode()).prompt == prompt, repr(text)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), json_values, max_size=3))
def test_yaml_and_json_files_mean_the_same(parameters: dict[str, object]) -> None:
    native = {"name": "p", "messages": [{"role": "user", "content": "hi"}], "parameters": parameters}

    from_json = load("p.json", json.dumps(native).encode()).prompt
    from_yaml = load("p.yaml", dump(from_json).encode()).prompt

    assert compact(canonical(from_json)) == compact(canonical(from_yaml))
    assert compact(from_json.parameters) == compact(parameters)


@settings(max_examples=25, deadline=None)
@given(prompts)
def test_what_is_dumped_fits_the_published_schema(prompt: Prompt) -> None:
    import jsonschema

    jsonschema.validate(load_plain(dump(prompt)), prompt_schema())


def load_plain(text: str) -> object:
    from promptship.prompts.formats.draft import Draft
    from promptship.prompts.formats.yaml_tree import read_yaml

    return read_yaml(Draft(path="p.yaml"), text)


@settings(max_examples=50, deadline=None)
@given(texts)
def test_other_yaml_readers_see_text_as_text(text: str) -> None:
    dumped = dump(Prompt(name="p", messages=(Message(role="user", content=text),)))

    assert yaml.safe_load(dumped)["messages"][0]["content"] == text
