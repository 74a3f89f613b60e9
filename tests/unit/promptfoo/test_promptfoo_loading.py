from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo.loading import find, load_config
from promptship.evals.promptfoo.model import Config, Effect

Write = Callable[..., Path]
BASIC = "providers: [echo]\nprompts: [hi]\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str, name: str = "promptfooconfig.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return written


def config(directory: Path, *names: str, env: Mapping[str, str] | None = None) -> Config:
    return load_config([Path(name) for name in names], directory=directory, env=env or {})


def problems(directory: Path, *names: str) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        config(directory, *names)
    return list(caught.value.problems)


# Finding


def test_the_configuration_is_found_in_promptfoos_order(tmp_path: Path, write: Write) -> None:
    for name in ("promptfooconfig.json", "promptfooconfig.yml"):
        write(BASIC, name)
    assert find([], tmp_path) == [tmp_path / "promptfooconfig.yml"]
    write(BASIC)
    assert config(tmp_path).paths == (tmp_path / "promptfooconfig.yaml",)


def test_a_missing_configuration_is_told(tmp_path: Path) -> None:
    assert "promptfooconfig.{yaml," in problems(tmp_path)[0].expected
    assert [problem.got for problem in problems(tmp_path, "a.yaml", "b*.yaml")] == [
        "no such file",
        "no such file",
    ]


def test_json_is_read_like_yaml(tmp_path: Path, write: Write) -> None:
    write('{"providers": "echo", "prompts": "hi", "extra": {"anything": 1}}', "promptfooconfig.json")
    assert [prompt.raw for prompt in config(tmp_path).prompts] == ["hi"]


# Forms


def test_providers_in_all_forms(tmp_path: Path, write: Write) -> None:
    write("id: http\nconfig: {url: 'x', body: file://sub/body.json}\nlabel: one", "one.yaml")
    write(
        "- echo\n- id: file://p.py\n  config: {a: 1}\n- {openai:m: {config: {t: 0}, id: openai:n}}",
        "sub/many.yaml",
    )
    write('{"b": 1}', "sub/body.json")
    write(
        """
prompts: [hi]
env: {OVER: config, N: 5}
targets:
  - openai:gpt-4.1
  - {id: echo, label: "L{{ env.N }}", prompts: [a, b], delay: 20, transform: output, inputs: {x: y}}
  - {openai:gpt: {label: map, config: {k: "{{ env.OVER }} {{ env.MINE }} {{ env.NO }}"}, env: {MINE: own}}}
  - file://one.yaml
  - file://sub/many.yaml
"""
    )
    text, options, mapped, one, *many = config(tmp_path).providers
    assert (text.id, text.label, text.config, text.base) == ("openai:gpt-4.1", "", {}, tmp_path)
    assert (options.label, options.prompts, options.delay_ms) == ("L5", ("a", "b"), 20.0)
    assert (options.transform, options.inputs) == ("output", {"x": "y"})
    assert (mapped.id, mapped.label, mapped.config) == ("openai:gpt", "map", {"k": "config own {{ env.NO }}"})
    assert mapped.env == {"MINE": "own"}
    assert (one.id, one.label, one.config) == ("http", "one", {"url": "x", "body": {"b": 1}})
    assert [(provider.id, provider.config) for provider in many] == [
        ("echo", {}),
        ("file://p.py", {"a": 1}),
        ("openai:n", {"t": 0}),
    ]


def test_prompts_in_all_forms(tmp_path: Path, write: Write) -> None:
    write("file text", "sub/p.md")
    write("providers: echo\nprompts: {p.md: first, 'some words': second}", "sub/map.yaml")
    assert [(prompt.raw, prompt.label) for prompt in config(tmp_path, "sub/map.yaml").prompts] == [
        ("file text", "first"),
        ("some words", "second"),
    ]
    write("providers: echo\nprompts: file://p.md", "sub/text.yaml")
    assert config(tmp_path, "sub/text.yaml").prompts[0].label == "sub/p.md: file text..."
    write(
        "providers: echo\nprompts: [hi, hi, {raw: r, label: l, id: i, config: {a: 1}}, {id: p.md, label: x}]",
        "sub/l.yaml",
    )
    hi, full, named = config(tmp_path, "sub/l.yaml").prompts
    assert hi.raw == "hi"
    assert (full.raw, full.label, full.id, full.config) == ("r", "l", "i", {"a": 1})
    assert (named.raw, named.label) == ("file text", "x")


def test_without_prompts_the_variable_prompt_is_sent(tmp_path: Path, write: Write) -> None:
    write("providers: [echo]\ntests: [{vars: {prompt: x}}]")
    assert [prompt.raw for prompt in config(tmp_path).prompts] == ["{{prompt}}"]
    assert config(tmp_path).notes == ()
    write("providers: [echo]\ntests: [{vars: {other: x}}]")
    assert "no variable `prompt`" in config(tmp_path).notes[0].what


def test_default_tests(tmp_path: Path, write: Write) -> None:
    write("vars: {a: 1}\nassert: [{type: equals, value: x}]", "default.yaml")
    write(BASIC + "defaultTest: file://default.yaml")
    assert config(tmp_path).default_test == {"vars": {"a": 1}, "assert": [{"type": "equals", "value": "x"}]}
    write(BASIC + "defaultTest: {threshold: 0.5}")
    assert config(tmp_path).default_test == {"threshold": 0.5}
    write(BASIC + "defaultTest: default.yaml")
    assert [note.effect for note in config(tmp_path).notes] == [Effect.IGNORED]


def test_everything_else_is_handed_on(tmp_path: Path, write: Write) -> None:
    write("1", "f.js")
    write(
        BASIC
        + """
description: d
tags: {a: b}
tests: [{vars: {a: 1}}, file://t.csv]
scenarios: [{config: [{}], tests: [{}]}]
evaluateOptions: {maxConcurrency: 2, repeat: 3}
commandLineOptions: {maxConcurrency: "7", filterFirstN: 2, table: true}
nunjucksFilters: {f: f.js}
derivedMetrics: [{name: n, value: a / b}]
extensions: [file://e.js:beforeAll]
outputPath: out.json
unknown: {anything: 1}
"""
    )
    read = config(tmp_path)
    assert (read.description, read.tags, read.base) == ("d", {"a": "b"}, tmp_path)
    assert read.tests == ((tmp_path, {"vars": {"a": 1}}), (tmp_path, "file://t.csv"))
    assert read.scenarios == ((tmp_path, {"config": [{}], "tests": [{}]}),)
    assert read.evaluate_options == {"maxConcurrency": 2, "repeat": 3}
    assert read.command_line_options == {"maxConcurrency": 7, "filterFirstN": 2, "table": True}
    assert (read.nunjucks_filters, read.extensions) == ({"f": "f.js"}, ("file://e.js:beforeAll",))
    assert (read.derived_metrics, read.output_paths) == (({"name": "n", "value": "a / b"},), ("out.json",))
    assert read.raw["unknown"] == {"anything": 1}
    assert read.notes == ()


# Environment and references


def test_env_is_filled_in_twice_and_secrets_stay_out_of_raw(tmp_path: Path, write: Write) -> None:
    write("FROM_FILE=file\n", ".env")
    write("LATE=late\n", "late.env")
    write(
        """
env: {BASE: "{{ env.HOME }}/x", AGAIN: "{{ env.BASE }}"}
providers: [{id: echo, config: {key: "{{ env.SECRET }}", late: "{{ env.LATE }}"}}]
prompts: ["{{ env.AGAIN }} {{ env.FROM_FILE }} {{ env.LATE }} {{ x }}"]
commandLineOptions: {envPath: late.env}
"""
    )
    read = config(tmp_path, env={"HOME": "/h", "SECRET": "s3cret"})
    assert read.prompts[0].raw == "{{ env.BASE }} file {{ env.LATE }} {{ x }}"
    assert read.env == {"BASE": "/h/x", "AGAIN": "/h/x"}
    assert read.providers[0].config == {"key": "s3cret", "late": "late"}
    assert read.environment["LATE"] == "late"
    assert "s3cret" not in repr(read.raw)


def test_references_are_replaced(tmp_path: Path, write: Write) -> None:
    write("x: {y~z: [{type: contains, value: other}]}", "shared/other.yaml")
    write(
        BASIC
        + """
templates:
  one: {type: contains, value: a, weight: 1}
  two: {$ref: '#/templates/one', value: b}
tests:
  - assert: [{$ref: '#/templates/one'}, {$ref: '#/templates/two'}, {$ref: 'shared/other.yaml#/x/y~0z/0'}]
"""
    )
    assert config(tmp_path).tests[0][1]["assert"] == [
        {"type": "contains", "value": "a", "weight": 1},
        {"type": "contains", "value": "b", "weight": 1},
        {"type": "contains", "value": "other"},
    ]


def test_schemas_of_tools_keep_their_references(tmp_path: Path, write: Write) -> None:
    tools = "[{type: function, function: {name: f, parameters: {$ref: '#/definitions/x'}}}]"
    write(f"prompts: [hi]\nproviders: [{{id: echo, config: {{tools: {tools}}}}}]")
    assert config(tmp_path).providers[0].config["tools"][0]["function"]["parameters"] == {
        "$ref": "#/definitions/x"
    }


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("#/nope", "there is no 'nope'"),
        ("gone.yaml#/a", "expected a file"),
        ("https://x/y.json", "addresses are not fetched"),
        ("#/a", "it refers to itself"),
    ],
)
def test_references_to_nothing_are_told(tmp_path: Path, write: Write, reference: str, expected: str) -> None:
    write(BASIC + f"a:\n  b:\n    $ref: '{reference}'\n")
    (problem,) = problems(tmp_path)
    assert expected in problem.expected
    assert (problem.file, problem.line) == (str(tmp_path / "promptfooconfig.yaml"), 5)


# Several files


def test_files_are_merged_by_promptfoos_rules(tmp_path: Path, write: Write) -> None:
    write("q", "sub/q.md")
    write(
        """
description: A
providers: [echo, {id: echo, label: x}]
prompts: [one, file://sub/q.md]
tests: [{vars: {a: 1}}]
tags: {k: a, l: a}
defaultTest: {vars: {v: a, w: a}, options: {o: a}, threshold: 1, assert: [{type: equals, value: a}]}
evaluateOptions: {repeat: 1, delay: 5}
env: {E: a}
scenarios: [{config: [], tests: []}]
""",
        "a.yaml",
    )
    write(
        """
providers: [{id: echo, label: x}, http]
prompts: [file://q.md, one, two]
tests: t.yaml
tags: {k: b}
defaultTest: {vars: {v: b}, metadata: {m: b}, threshold: 2, assert: [{type: equals, value: b}]}
evaluateOptions: {repeat: 2}
env: {E: b}
outputPath: [x.json, y.csv]
""",
        "sub/b.yaml",
    )
    read = config(tmp_path, "a.yaml", "sub/*.yaml")
    assert read.description == "A, "
    assert [(provider.id, provider.label) for provider in read.providers] == [
        ("echo", ""),
        ("echo", "x"),
        ("http", ""),
    ]
    assert [prompt.raw for prompt in read.prompts] == ["one", "q", "two"]
    assert read.tests == ((tmp_path, {"vars": {"a": 1}}), (tmp_path / "sub", "t.yaml"))
    assert read.tags == {"k": "b", "l": "a"}
    assert read.default_test == {
        "vars": {"v": "b", "w": "a"}, "options": {"o": "a"}, "metadata": {"m": "b"}, "threshold": 2,
        "assert": [{"type": "equals", "value": "a"}, {"type": "equals", "value": "b"}],
    }  # fmt: skip
    assert read.evaluate_options == {"repeat": 2, "delay": 5}
    assert (read.env, read.output_paths, len(read.scenarios)) == ({"E": "b"}, ("x.json", "y.csv"), 1)


def test_maps_and_lists_of_prompts_do_not_mix(tmp_path: Path, write: Write) -> None:
    write(BASIC, "a.yaml")
    write("providers: [echo]\nprompts: {hi: label}", "b.yaml")
    assert "the same form in all files" in problems(tmp_path, "a.yaml", "b.yaml")[0].expected
