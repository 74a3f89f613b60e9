"""Prompty files."""

import pytest

from promptship.errors import ConfigError
from promptship.prompts.load import load

FULL = """\
---
name: Contoso Chat
description: answers
authors: [ann, bob]
tags: [x]
version: "1"
model:
  api: chat
  configuration:
    type: azure_openai
    azure_endpoint: ${env:ENDPOINT}
    api_key: ${env:KEY}
    azure_deployment: gpt-4o
  parameters:
    max_tokens: 128
    tools:
      - type: function
        function: {name: look, description: d, parameters: {type: object}}
inputs:
  question: {type: string, description: what, sample: "Why?"}
  count: {type: int, default: 3}
  style: kind of thing
  items: list
outputs:
  score: {type: int}
  why: {type: string, description: d}
template: {format: jinja2, parser: prompty}
---
system:
Be kind.

  # Assistant:
ok
user[name="ann"]:
{% for i in items %}{{ i }}{% endfor %}
assistant:
"""


def test_everything_is_read() -> None:
    prompt = load("x.prompty", FULL.encode()).prompt

    assert (prompt.name, prompt.owner, prompt.model) == ("contoso-chat", "ann, bob", "gpt-4o")
    assert prompt.parameters == {"max_tokens": 128}
    assert prompt.tools[0].name == "look"
    assert {name: (v.type.value, v.default, v.examples) for name, v in prompt.variables.items()} == {
        "question": ("string", None, ("Why?",)),
        "count": ("integer", 3, ()),
        "style": ("string", None, ("kind of thing",)),
        "items": ("array", None, ()),
    }
    assert prompt.output_schema is not None
    assert list(prompt.output_schema["properties"]) == ["score", "why"]
    assert prompt.output_schema["properties"]["score"] == {"type": "integer"}
    assert [(m.role, m.name, m.content) for m in prompt.messages] == [
        ("system", None, "Be kind."),
        ("assistant", None, "ok"),
        ("user", "ann", "{% for i in items %}{{ i }}{% endfor %}"),
        ("assistant", None, ""),
    ]


@pytest.mark.parametrize(
    ("front", "body", "what"),
    [
        ("model: {api: completion}", "hi", "x.prompty:2: model.api is 'completion'; only chat"),
        ("model: {response: all}", "hi", "only first is supported"),
        (
            "model: {configuration: {azure_deployment: '${env:X}'}}",
            "hi",
            "must not depend on the environment",
        ),
        ("model: {configuration: {api_key: sk-123}}", "hi", "a key in clear text; keys stay out of files"),
        ("model: {configuration: {nme: x}}", "hi", "did you mean name?"),
        ("model: {parameters: 3}", "hi", "model.parameters is 3"),
        ("template: mustache", "hi", "expected jinja2"),
        ("sample: sample.json", "hi", "a sample in another file is not supported"),
        ("inputs: {q: {type: string, smaple: x}}", "hi", "did you mean sample?"),
        ("inputs: {q: {type: text}}", "hi", "variables.q.type is 'text'"),
        ("authors: ann", "hi", "expected a list of names"),
        ("nam: x", "hi", "did you mean name?"),
        ("name: x", "user:\n![thread]", "x.prompty:5: ![thread]; threads are not supported"),
        ("name: x", "user:\n![a](b.png)", "x.prompty:5: an image; messages are text"),
        ("name: x", "function:\nhi", "x.prompty:4: the role function"),
        ("name: x", "user[id=3]:\nhi", 'only [name="..."] is supported'),
        ("name: x", "", "an empty body"),
    ],
)
def test_what_is_wrong_is_named(front: str, body: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load("x.prompty", f"---\n{front}\n---\n{body}".encode())

    assert what in str(caught.value)
    assert "sk-123" not in str(caught.value)


def test_a_key_in_clear_text_is_never_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        load("x.prompty", b"---\nmodel: {configuration: {api_key: sk-123}}\n---\nhi")

    assert "sk-123" not in str(caught.value)
