"""Dotprompt renders here as it does there; what it cannot is refused by name and line."""

from typing import Any

import pytest

from promptship.errors import ConfigError
from promptship.prompts.load import load
from promptship.prompts.render import render


def rendered(body: str, variables: dict[str, Any], front: str = "") -> list[tuple[str, str]]:
    schema = front or "input: {schema: {a?: string, xs?(array): any, o?(object): {k: string}, on?: boolean}}"
    prompt = load("p.prompt", f"---\n{schema}\n---\n{body}".encode()).prompt
    return [(message["role"], message["content"]) for message in render(prompt, variables).messages]


@pytest.mark.parametrize(
    ("body", "variables", "expected"),
    [
        ("Hi {{a}}!", {"a": "<b> {{x}}"}, "Hi <b> {{x}}!"),
        ("{{{a}}} {{ a }} {{~a~}} .", {"a": "v"}, "v vv."),
        ("{{#if a}}yes{{else}}no{{/if}}", {"a": "v"}, "yes"),
        ("{{#if a}}yes{{else}}no{{/if}}", {}, "no"),
        ("{{#unless a}}none{{/unless}}", {}, "none"),
        ("{{#if a}}A{{else if on}}B{{else}}C{{/if}}", {"on": True}, "B"),
        ("{{#each xs}}{{this}},{{/each}}", {"xs": ["p", "q"]}, "p,q,"),
        ("{{#each xs}}{{@index}}{{#unless @last}};{{/unless}}{{else}}none{{/each}}", {"xs": [1, 2]}, "0;1"),
        ("{{#each xs}}{{else}}none of {{a}}{{/each}}", {"a": "v"}, "none of v"),
        (
            "{{#each xs}}{{n}}{{this.m.[0]}}{{../a}}{{@root.a}}{{/each}}",
            {"a": "!", "xs": [{"n": "N", "m": [7]}]},
            "N7!!",
        ),
        (
            "{{#each xs}}{{#each items}}{{this}}{{../../a}}{{/each}}{{/each}}",
            {"a": ".", "xs": [{"items": [1, 2]}]},
            "1.2.",
        ),
        ("{{#each xs as |x i|}}{{i}}{{x.n}}{{/each}}", {"xs": [{"n": "N"}]}, "0N"),
        ("{{#each xs}}[{{missing}}]{{#if gone}}x{{/if}}{{/each}}", {"xs": [{}]}, "[]"),
        ("{{#with o}}{{k}}{{else}}no {{a}}{{/with}}", {"o": {"k": "K"}}, "K"),
        ("{{#with o}}{{k}}{{else}}no {{a}}{{/with}}", {"a": "v"}, "no v"),
        ("{{o.k}}|{{o.z}}", {"o": {"k": "K"}}, "K|"),
        ("{{on}}", {"on": True}, "true"),
        (
            '{{#ifEquals a "v"}}eq{{else}}ne{{/ifEquals}}{{#unlessEquals a 1}}!{{/unlessEquals}}',
            {"a": "v"},
            "eq!",
        ),
        ("{{json o}}", {"o": {"k": "é<"}}, '{"k": "é<"}'),
        (r"\{{a}} {{! gone }}x{{!-- {{a}} --}}y", {}, "{{a}} xy"),
        ("{% raw %} {# c #} {%", {}, "{% raw %} {# c #} {%"),
        ("x {%{{! c }}{% y", {}, "x {%{% y"),
        ("{{#if on}}\n  in\n{{/if}}\nout", {"on": True}, "  in\nout"),
        ("a\n  {{#if on}}  \nb\n  {{/if}}\nc {{#if on}}d{{/if}}\n", {"on": True}, "a\nb\nc d"),
        ("a\n{{! alone }}\nb", {}, "a\nb"),
        ("a\n{{#each xs}}\n- {{this}}\n{{/each}}\nb", {"xs": [1, 2]}, "a\n- 1\n- 2\nb"),
        ("a  {{~#if on~}}  b  {{~/if~}}  c", {"on": True}, "abc"),
    ],
)
def test_handlebars(body: str, variables: dict[str, Any], expected: str) -> None:
    front = "input: {schema: {type: object, properties: {a: {type: string}, xs: {type: array}, o: {type: object}, on: {type: boolean}}}}"
    assert rendered(body, variables, front) == [("user", expected)]


def test_roles_split_the_body() -> None:
    body = 'first {{a}}\n{{role "model"}}two{{role "system"}}  {{role "user"}}three'

    assert rendered(body, {"a": "v"}, "model: m") == [
        ("user", "first v\n"),
        ("assistant", "two"),
        ("user", "three"),
    ]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{{history}}", "{{history}}; history is not supported"),
        ("{{media url=a}}", "media is not supported"),
        ('{{section "x"}}', "sections are not supported"),
        ("{{> header}}", "partials are not supported"),
        ("{{shout a}}", "the helper shout does not exist here"),
        ("{{#shout a}}{{/shout}}", "the block #shout is not supported"),
        ("{{^a}}", "inverted sections"),
        ('{{#if a}}{{role "user"}}{{/if}}', "a role inside {{#if}}"),
        ('{{role "king"}}', "expected one of system, user"),
        ("{{role a}}", "expected one role"),
        ("{{#if a}}", "{{#if}} without an end"),
        ("{{/if}}", "no block is open"),
        ("{{#if a}}{{/each}}{{/if}}", "expected {{/if}}"),
        ("{{else}}", "else outside of a block"),
        ("{{#if a}}{{else}}{{else}}{{/if}}", "a second else"),
        ("{{#each xs}}{{else if a}}{{/each}}", "else if is not supported here"),
        ("{{#each xs}}{{@key}}{{/each}}", "@key is not supported"),
        ("{{@index}}", "@index is not supported"),
        ("{{this}}", "`this` outside"),
        ("{{../a}}", "more ../ than blocks"),
        ("{{#if a b}}{{/if}}", "#if takes 1 value"),
        ("{{#each a.b c}}{{name}}{{/each}}", "#each takes 1 value"),
        ("{{not}}", "cannot be the name of a variable"),
        ("{{a-b}}", "cannot be the name of a variable"),
        ("{{}}", "an empty tag"),
        ("{{a", "{{ without an end"),
        ("{{json a b}}", "json takes one value"),
    ],
)
def test_what_is_not_supported_is_named_with_its_line(line: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load("p.prompt", f"---\nmodel: m\n---\n\nfirst\n{line}\n{{{{history}}}} end".encode())

    found = [str(problem) for problem in caught.value.problems]
    assert any(problem.startswith("p.prompt:6: ") and what in problem for problem in found), found
    assert any(problem.startswith("p.prompt:7: {{history}}") for problem in found) or "without an end" in what


def test_each_over_an_object_is_refused_when_the_schema_says_so() -> None:
    with pytest.raises(ConfigError, match="over an object"):
        load("p.prompt", b"---\ninput: {schema: {o(object): {k: string}}}\n---\n{{#each o}}{{/each}}")


def test_front_matter() -> None:
    text = """\
# licence

---
name: greet Me
variant: formal
model: m
config: {topP: 0.5, stopSequences: [x], seed: 1}
tools: [look]
toolDefs:
  - {name: look, description: d, inputSchema: {id: "string, which one"}}
input:
  schema:
    who: string, whom to greet
    tone?(enum, how): [warm, cold]
    list(array, things): {id: integer}
    n?: number
  default: {tone: warm}
output:
  format: json
  schema: {answer: string, "why?": string, "(*)": any}
metadata: {x: 1}
other.ext: 1
promptship.owner: team
promptship.risk: high
---
{{who}}
"""
    prompt = load("p.prompt", text.encode()).prompt

    assert (prompt.name, prompt.model, prompt.owner, prompt.risk.value) == (
        "greet-me.formal",
        "m",
        "team",
        "high",
    )
    assert prompt.parameters == {"top_p": 0.5, "stop": ["x"], "seed": 1}
    assert {name: (v.type.value, v.required, v.default) for name, v in prompt.variables.items()} == {
        "who": ("string", True, None), "tone": ("string", False, "warm"), "list": ("array", True, None), "n": ("number", False, None),
    }  # fmt: skip
    assert prompt.variables["tone"].enum == ("warm", "cold")
    assert prompt.variables["who"].description == "whom to greet"
    assert prompt.output_schema == {
        "type": "object",
        "properties": {"answer": {"type": "string"}, "why": {"type": ["string", "null"]}},
        "required": ["answer"],
        "additionalProperties": {},
    }
    assert prompt.tools[0].parameters["properties"] == {"id": {"type": "string", "description": "which one"}}


@pytest.mark.parametrize(
    ("front", "what"),
    [
        ("input: {schema: {x: text}}", "p.prompt:2: input.schema.x is 'text'"),
        ("input: {schema: {x: any}}", "expected one type"),
        ("input: {schema: Named}", "named schemas are not supported"),
        ("input: {schema: {(*): string}}", "every variable needs a name"),
        ("input: {schema: {x(list): string}}", "a property of kind list"),
        ("input: {schema: {x(enum): a}}", "expected a list of values"),
        ("input: {schemas: {}}", "did you mean schema?"),
        ("tools: [look]", "expected a tool defined in `toolDefs`"),
        ("config: {version: x}", "write the exact version as `model`"),
        ("output: {format: media}", "expected json or text"),
        ("modell: x", "did you mean model?"),
        ("input:\n  schema:\n    a-b: string", "p.prompt:4: variables.a-b"),
    ],
)
def test_bad_front_matter(front: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load("p.prompt", f"---\n{front}\n---\nhi".encode())

    assert what in str(caught.value)
