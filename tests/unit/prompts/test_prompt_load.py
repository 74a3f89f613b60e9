"""Every format reads into the same prompt; every problem is reported at once, with its line."""

from typing import Any

import pytest

from promptship.errors import ConfigError
from promptship.prompts.dump import dump
from promptship.prompts.load import is_prompt_path, load
from promptship.prompts.model import Loaded, SourceMap

NATIVE = """\
# how we answer
name: reply
model: small
variables:
  question: {type: string}
messages:
  - role: system
    content: |
      Be kind.
      Be short.
  - role: user
    content: "{{ question }}"
"""
TEXT = "---\nmodel: small\nname: reply\n---\nSay {{ word }}\n{% for x in xs %}{{ x.y }}{% endfor %}"
CHAT = '[\n {"role": "system", "content": "Be kind.\\nBe short."},\n {"role": "user",\n  "content": "{{ question }}"}\n]'
DOTPROMPT = '---\nmodel: small\ninput:\n  schema:\n    question: string\n---\n\n{{role "system"}}Be kind.\n{{role "user"}}{{question}}\n'
PROMPTY = '---\nname: My Reply\nmodel:\n  configuration: {name: small}\nsample:\n  question: "Why?"\n---\nBe kind.\n\nuser:\n\n{{ question }}\n'


def texts(loaded: Loaded) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in loaded.prompt.messages]


def problems(path: str, content: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, content.encode() if isinstance(content, str) else content)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("p.prompt.yaml", NATIVE),
        ("p.md", TEXT),
        ("p.json", CHAT),
        ("p.prompt", DOTPROMPT),
        ("p.prompty", PROMPTY),
    ],
)
def test_load_dump_load_is_the_same(path: str, content: str) -> None:
    prompt = load(path, content.encode()).prompt

    assert load("p.prompt.yaml", dump(prompt).encode()).prompt == prompt
    assert load(path, content.replace("\n", "\r\n").encode()).prompt == prompt
    assert load(path, b"\xef\xbb\xbf" + content.encode()).prompt == prompt


def test_native_yaml_knows_its_lines() -> None:
    loaded = load("p.prompt.yaml", NATIVE.encode())

    assert texts(loaded) == [("system", "Be kind.\nBe short.\n"), ("user", "{{ question }}")]
    lines = {
        key: loaded.source.line(key) for key in ("name", "variables.question.type", "messages[0].content")
    }
    assert lines == {"name": 2, "variables.question.type": 5, "messages[0].content": 9}
    assert loaded.source.line("messages[1].content") == 12
    assert loaded.source.line("messages[1].name") == 11
    assert loaded.source.line("owner") == 1


@pytest.mark.parametrize("key", ["a[b", "a.", "[", "..", "x.y[", "a]b", "messages[0"])
def test_a_strange_key_has_a_line_too(key: str) -> None:
    assert SourceMap(path="p", lines={}).line(key) == 1


def test_a_text_file_is_one_message_and_declares_what_it_uses() -> None:
    loaded = load("dir/Say It.en.md", TEXT.replace("name: reply\n", "role: system\n").encode())

    assert texts(loaded) == [("system", "Say {{ word }}\n{% for x in xs %}{{ x.y }}{% endfor %}")]
    assert loaded.prompt.name == "say-it"
    assert {name: variable.type for name, variable in loaded.prompt.variables.items()} == {
        "word": "string",
        "xs": "array",
    }
    assert loaded.source.line("messages[0].content") == 5
    assert texts(load("p.txt", b"user:\nhi\n")) == [("user", "user:\nhi\n")]
    assert texts(load("p.md", b"---\nno front matter")) == [("user", "---\nno front matter")]


def test_chat_json() -> None:
    loaded = load("p.json", CHAT.encode())

    assert texts(loaded) == [("system", "Be kind.\nBe short."), ("user", "{{ question }}")]
    assert list(loaded.prompt.variables) == ["question"]
    assert (loaded.source.line("messages[1]"), loaded.source.line("messages[1].content")) == (3, 4)
    tool = '{"messages": [{"role": "user", "content": "\\ud83d\\ude00"}], "tools": [{"type": "function", "function": {"name": "t"}}]}'
    assert load("p.json", tool.encode()).prompt.tools[0].name == "t"
    assert load("p.json", tool.encode()).prompt.messages[0].content == "😀"


def test_dotprompt() -> None:
    loaded = load("greeting.formal.prompt", DOTPROMPT.encode())

    assert texts(loaded) == [("system", "Be kind.\n"), ("user", "{{ question }}")]
    assert loaded.prompt.name == "greeting.formal"
    assert loaded.source.line("messages[1].content") == 9
    assert loaded.prompt.variables["question"].required


def test_prompty() -> None:
    loaded = load("p.prompty", PROMPTY.encode())

    assert texts(loaded) == [("system", "Be kind."), ("user", "{{ question }}")]
    assert (loaded.prompt.name, loaded.prompt.model) == ("my-reply", "small")
    assert loaded.prompt.variables["question"].examples == ("Why?",)
    assert loaded.source.line("messages[0].content") == 8
    assert loaded.source.line("messages[1].content") == 12


def test_all_problems_of_a_file_at_once() -> None:
    text = "mesages: []\nname: A b\nmessages:\n  - role: sytem\n    content: yes\n  - role: user\n    content: 1e3\n    nme: x\n"
    text += "temperature: 1\nvariables:\n  a-b: {}\n  c: {type: text}\n"

    found = problems("p.prompt.yaml", text)

    assert [line.split(" ")[0] for line in found] == [
        f"p.prompt.yaml:{n}:" for n in (1, 2, 4, 7, 8, 9, 11, 12)
    ]
    assert "did you mean messages?" in found[0]
    assert "content is 1000.0; expected text (put it in quotes)" in found[3]
    assert "did you mean name?" in found[4]
    assert "did you mean parameters.temperature?" in found[5]


def test_yaml_has_no_surprises() -> None:
    contents = ["yes", "2024-01-01", "1:30", "off", "012a", "=", "0b1", "1_000"]
    text = "messages:\n" + "".join(f"  - role: user\n    content: {content}\n" for content in contents)

    assert [content for _, content in texts(load("p.yaml", text.encode()))] == contents


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("p.yaml", "", "p.yaml:1: an empty file"),
        ("p.yaml", "- a", "expected keys and values"),
        ("p.yaml", "a: [1", "p.yaml:1: broken YAML"),
        ("p.yaml", "a: 1\nb:\t- x: [", "broken YAML"),
        ("p.yaml", "a: 1\n---\nb: 2", "p.yaml:2: broken YAML"),
        ("p.yaml", "a: \x01", "broken YAML: the character U+0001"),
        ("p.yaml", "a: |\n  x\u2028y", "p.yaml:2: the file holds a bare U+2028"),
        ("p.yaml", "model: a\nmodel: b", "p.yaml:2: model is given twice; expected once; first on line 1"),
        ("p.yaml", "parameters:\n  50256: -100", "p.yaml:2: parameters is a mapping with the key '50256'"),
        ("p.yaml", "a: &a [*a]", "an alias of itself"),
        ("p.yaml", "a: &a {}\nparameters:\n  <<: *a", "p.yaml:3: parameters.<< is a merge key"),
        ("p.yaml", "parameters: {a: .nan}", "parameters.a is .nan"),
        ("p.yaml", "parameters: {a: !!python/name:os.system x}", "tagged"),
        ("p.yaml", 'description: "\\ud800"', "half of a surrogate pair"),
        ("p.yaml", "parameters:\n a: &a [1,1,1,1,1,1,1,1,1,1]\n b: &b [" + "*a," * 99 + "]\n c: [" + "*b," * 999 + "]", "more than 100,000"),
        ("p.yaml", "[" * 1500, "nested too deeply"),
        ("p.json", "[" * 100000, "nested too deeply"),
        ("p.json", '{"messages": [,]}', "p.json:1: broken JSON: expected a value; see column 15"),
        ("p.json", '{"a": 1,\n "a": 2}', "p.json:2: a is given twice; expected once; first on line 1"),
        ("p.json", '["\\ud800"]', "half of a surrogate pair"),
        ("p.json", "[1e999]", "1e999; expected a number that fits"),
        ("p.json", "3", "expected a list of messages"),
        ("p.json", "[] 3", "expected the end of the file"),
        ("p.json", '["a\nb"]', "broken JSON"),
        ("p.txt", " \n", "empty; expected the text"),
        ("p.txt", b"a\n\xff", "p.txt:2: the byte 0xff; expected UTF-8"),
        ("p.md", "---\n- a\n---\n", "p.md:2: front matter that is"),
        ("p.md", "---\nmesages: []\n---\nx", "p.md:2: mesages is an unknown key"),
        ("Größe!.txt", "x", "rename the file or set `name`"),
        ("p.docx", "x", "p.docx: a .docx file; a prompt is one of .yaml"),
        ("p", "x", "a file without extension"),
        ("p.yaml", b"a" * 2_000_001, "at most 2,000,000"),
    ],
)  # fmt: skip
def test_bad_files_get_a_clear_error(path: str, content: str | bytes, expected: str) -> None:
    assert any(expected in problem for problem in problems(path, content)), problems(path, content)


@pytest.mark.parametrize(
    ("path", "globs", "wanted"),
    [
        ("prompts/a.txt", ["prompts/**"], True),
        ("prompts/x/y/a.prompt.yaml", ["prompts/**"], True),
        ("prompts/a.py", ["prompts/**"], False),
        ("other/a.txt", ["prompts/**"], False),
        ("prompts", ["prompts/**"], False),
        ("prompts.txt", ["prompts/**"], False),
        ("prompts/a.txt", ["prompts/*.txt"], True),
        ("prompts/x/a.txt", ["prompts/*.txt"], False),
        ("prompts/x/a.txt", ["prompts/**/*.txt"], True),
        ("prompts/a.txt", ["prompts/**/*.txt"], True),
        ("a.txt", ["**/*.txt"], True),
        ("a.txt", ["**"], True),
        ("x/a.txt", ["*.txt"], False),
        ("a1.txt", ["a[0-9].txt"], True),
        ("ab.txt", ["a[!0-9].txt"], True),
        ("a/.txt", ["a[!0-9].txt"], False),
        ("a].md", ["a[]].md"], True),
        ("a.md", ["./?.md"], True),
        ("prompts/drafts/a.txt", ["prompts/**", "!prompts/drafts/**"], False),
        ("prompts/drafts/a.txt", ["!prompts/drafts/**", "prompts/**"], True),
        ("prompts/README.md", ["prompts/**"], False),
        ("prompts/_part.prompt", ["prompts/**"], False),
        ("prompts/.a.txt", ["prompts/**"], False),
        ("PROMPTS/A.TXT", ["PROMPTS/**"], True),
        ("a.txt", [], False),
    ],
)
def test_globs(path: str, globs: list[str], wanted: bool) -> None:
    assert is_prompt_path(path, globs) == wanted


def test_a_broken_glob_is_our_error() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        is_prompt_path("a.txt", ["[z-a].txt"])


def test_the_schema_names_what_is_required() -> None:
    from promptship.prompts.schema import prompt_schema

    schema: dict[str, Any] = prompt_schema()

    assert schema["required"] == ["messages"]
    assert schema["additionalProperties"] is False
