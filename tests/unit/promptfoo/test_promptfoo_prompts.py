from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from promptship.errors import ConfigError
from promptship.evals.promptfoo.model import Effect, Note, PromptSpec
from promptship.evals.promptfoo.paths import glob_files
from promptship.evals.promptfoo.prompts import PromptEntry, is_path, load_prompts, matches

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return written


def load(base: Path, *entries: str | PromptEntry, env: dict[str, str] | None = None) -> list[PromptSpec]:
    return list(loaded(base, *entries, env=env)[0])


def loaded(
    base: Path, *entries: str | PromptEntry, env: dict[str, str] | None = None
) -> tuple[tuple[PromptSpec, ...], tuple[Note, ...]]:
    wanted = [PromptEntry(raw=entry) if isinstance(entry, str) else entry for entry in entries]
    return load_prompts(wanted, base, shown=Path(), env=env)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("file://anything", True),
        ("prompt.txt", True),
        ("prompt.py:make", True),
        ("dir/prompt", True),
        ("all *", True),
        ("back\\slash", True),
        ("prompt.abc", True),
        ("prompt.ab", True),
        ("Translate {{x}} to yes/no", True),
        ("Hello there", False),
        ("Hello {{name}}.", False),
        ("It is v1.2345", False),
        ("two/lines\nof.txt", False),
        ("langfuse://a/b", False),
        ("", False),
    ],
)
def test_which_texts_are_paths(text: str, *, path: bool) -> None:
    assert is_path(text) is path


def test_a_text_file_is_split_at_its_separator(tmp_path: Path, write: Write) -> None:
    write("p.txt", "one\n  more\n---\n\n two \r\n --- \nthree\n---\n")
    prompts = load(tmp_path, "file://p.txt")
    assert [prompt.raw for prompt in prompts] == ["one\n  more", "two", "three"]
    assert prompts[1].label == "p.txt: two"
    labelled = load(
        tmp_path, PromptEntry(raw="p.txt", label="L"), env={"PROMPTFOO_PROMPT_SEPARATOR": "three"}
    )
    assert [prompt.label for prompt in labelled] == [
        "L: p.txt: one\n  more\n---\n\n two \n ---",
        "L: p.txt: ---",
    ]


def test_json_and_yaml_become_one_line_of_json(tmp_path: Path, write: Write) -> None:
    write("sub/inner.json", '{"deep": "{{x}}"}')
    write("p.yaml", "- role: user\n  content: 'é {{x}}'\n- file://sub/inner.json\n- 2026-01-31\n")
    write("p.json", '[{"a": 1.0, "2": true, "1": null}]')
    write("broken.json", '{"a": {{x}}}')
    (yaml, json), notes = loaded(tmp_path, "p.yaml", "p.json")
    assert yaml.raw == '[{"role":"user","content":"é {{x}}"},{"deep":"{{x}}"},"2026-01-31T00:00:00.000Z"]'
    assert yaml.label == f"p.yaml: {yaml.raw[:80]}"
    assert (json.raw, json.label) == ('[{"1":null,"2":true,"a":1}]', 'p.json: [{"1":null,"2":true,"a":1}]')
    assert notes == ()
    (broken,), (note,) = loaded(tmp_path, "broken.json")
    assert broken.raw == '{"a": {{x}}}'
    assert note.effect is Effect.DIFFERS


def test_json_lines_are_a_prompt_each(tmp_path: Path, write: Write) -> None:
    write("p.jsonl", '{"a":1}\n\n{"b":2}\r\n')
    write("one.jsonl", '{"a":1}\n')
    assert [(p.raw, p.label) for p in load(tmp_path, "p.jsonl", PromptEntry(raw="one.jsonl", label="L"))] == [
        ('{"a":1}', 'p.jsonl: {"a":1}'),
        ('{"b":2}', 'p.jsonl: {"b":2}'),
        ('{"a":1}', "L"),
    ]


def test_tables_have_prompts_and_labels(tmp_path: Path, write: Write) -> None:
    write("p.csv", 'prompt,label\n"hi {{x}}, you",L1\n yo ,\nyo,\n,skipped\n')
    write("lines.csv", "prompt\nfirst one\n\nsecond one\n")
    prompts = load(tmp_path, "p.csv", PromptEntry(raw="lines.csv", label="B", id="i"))
    assert [(p.raw, p.label, p.id) for p in prompts] == [
        ("hi {{x}}, you", "L1", ""),
        ("yo", "Prompt 2 - yo", ""),
        ("yo", "Prompt 3 - yo", ""),
        ("first one", "B: first one", "i:1"),
        ("second one", "B: second one", "i:2"),
    ]
    semicolons = write("semi.csv", "prompt;label\na, b;L\n")
    assert load(tmp_path, semicolons.name, env={"PROMPTFOO_CSV_DELIMITER": ";"})[0].raw == "a, b"


def test_a_table_that_is_none_is_read_by_lines(tmp_path: Path, write: Write) -> None:
    write("p.csv", "Hello, world\nOne, two, three\n")
    assert [prompt.raw for prompt in load(tmp_path, "p.csv")] == ["Hello, world", "One, two, three"]


def test_whole_files(tmp_path: Path, write: Write) -> None:
    write("p.md", "# {{x}}\n\n---\n")
    write("p.j2", "{% if x %}{{x}}{% endif %}" + "-" * 60)
    (markdown, jinja), notes = loaded(
        tmp_path, PromptEntry(raw="p.md", config={"a": 1}), PromptEntry(raw="p.j2", config={"a": 1})
    )
    assert (markdown.raw, markdown.label, markdown.config) == (
        "# {{x}}\n\n---\n",
        "p.md: # {{x}}\n\n---\n...",
        {},
    )
    assert (len(jinja.label), jinja.config) == (len("p.j2: ...") + 50, {"a": 1})
    assert [note.effect for note in notes] == [Effect.IGNORED]


def test_functions_and_programs(tmp_path: Path, write: Write) -> None:
    write("f.py", "def make(context): ...")
    write("f.js", "module.exports = () => 'x'")
    program = write("run.sh", "#!/bin/sh\necho hi")
    bare = write("tool", "#!/bin/sh\necho hi")
    bare.chmod(0o755)
    prompts = load(
        tmp_path, "f.py:make", "file://f.js", "exec:run.sh a 'b c'", "run.sh", "./tool", "exec:env -i"
    )
    named, script, with_arguments, plain, executable, on_path = prompts
    assert (named.label, named.function, named.path) == ("f.py:make", "make", tmp_path / "f.py")
    assert (script.label, script.command, script.is_function) == ("f.js", (), True)
    assert with_arguments.command == (str(program), "a", "b c")
    assert (plain.raw, plain.label) == ("#!/bin/sh\necho hi", "run.sh")
    assert executable.command == (str(bare),)
    assert Path(on_path.command[0]).name == "env"


def test_literal_texts_keep_label_id_and_config(tmp_path: Path) -> None:
    (prompt,) = load(tmp_path, PromptEntry(raw="Hi {{x}}", label="L", id="i", config={"a": 1}))
    assert (prompt.raw, prompt.label, prompt.id, prompt.config) == ("Hi {{x}}", "L", "i", {"a": 1})
    assert load(tmp_path, "Hi")[0].label == "Hi"


def test_wildcards_find_files_from_z_to_a(tmp_path: Path, write: Write) -> None:
    for name in ("p/b.txt", "p/a.txt", "p/z/c.txt", "p/y/d.txt", "p/.hidden.txt"):
        write(name, name)
    assert [prompt.raw for prompt in load(tmp_path, "p/**/*.txt")] == [
        "p/b.txt",
        "p/a.txt",
        "p/z/c.txt",
        "p/y/d.txt",
    ]
    assert [prompt.label for prompt in load(tmp_path, "p/*.txt")] == ["p/b.txt: p/b.txt", "p/a.txt: p/a.txt"]
    assert [path.name for path in glob_files("p/{a,b}.txt", tmp_path)] == ["a.txt", "b.txt"]
    (_, notes) = loaded(tmp_path, PromptEntry(raw="p/*.txt", label="L"))
    assert notes[0].effect is Effect.IGNORED


def test_a_pattern_that_finds_nothing_is_a_text(tmp_path: Path) -> None:
    assert load(tmp_path, "What is 2*3?")[0].raw == "What is 2*3?"


def test_every_missing_file_is_told_at_once(tmp_path: Path, write: Write) -> None:
    write("empty.txt", "\n---\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "file://a.txt", "say yes/no", "fine", "empty.txt", f"yes/no {'x' * 5000}")
    assert [problem.got for problem in caught.value.problems] == [
        "'file://a.txt', which is no file",
        "'say yes/no', which is no file",
        "'empty.txt', a file without prompts",
        f"'yes/no {'x' * 73}', which is no file",
    ]
    assert "counts as a path" in caught.value.problems[1].advice


@pytest.mark.parametrize("raw", ["langfuse://p:1", "helicone://p:1.0", "portkey://p"])
def test_prompts_of_services_are_left_out_and_told(tmp_path: Path, raw: str) -> None:
    prompts, (note,) = loaded(tmp_path, PromptEntry(raw=raw, where="f.yaml:2: prompts[0]"))
    assert prompts == ()
    assert (note.effect, note.where) == (Effect.UNSUPPORTED, "f.yaml:2: prompts[0]")


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ((), True),
        (("Group:a",), True),
        (("Group",), True),
        (("Group:*",), True),
        (("Gr*",), True),
        (("the-id",), True),
        (("the-*",), True),
        (("Gr",), False),
        (("group:a",), False),
        (("other", "Group"), True),
    ],
)
def test_filters_match_labels_and_ids(filters: tuple[str, ...], *, found: bool) -> None:
    assert matches(PromptSpec(raw="r", label="Group:a", id="the-id", base=Path()), filters) is found


def test_labels_begin_like_the_configuration_was_named(tmp_path: Path, write: Write) -> None:
    write("sub/p.md", "x")
    ((prompt,), _) = load_prompts([PromptEntry(raw="p.md")], tmp_path / "sub", shown=Path("sub"))
    assert prompt.label == f"sub{os.sep}p.md: x..."
