from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo.loading import _EXPORTED, load, load_config
from promptship.evals.promptfoo.model import Config, Effect
from tests.support.services import FakeScripts

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


def config(directory: Path, *names: str) -> Config:
    return load_config([Path(name) for name in names], directory=directory, env={})


def problems(directory: Path, *names: str) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        config(directory, *names)
    return list(caught.value.problems)


# What is wrong


def test_everything_that_is_fatal_is_told_at_once(tmp_path: Path, write: Write) -> None:
    write(
        """\
providers:
  - [no]
  - {id: echo, config: text}
prompts:
  - file://gone.txt
  - {id: x}
  - 5
commandLineOptions:
  maxConcurrency: 0
  filterFirstN: many
tests:
  - assert: {type: equals}
  - assert:
      - value: x
      - text
      - {type: assert-set}
      - {type: assert-set, assert: [{value: 1}]}
defaultTest:
  assert: [{type: 5}]
"""
    )
    found = {(problem.key, problem.line) for problem in problems(tmp_path)}
    assert found == {
        ("providers[0]", 2), ("providers[1].config", 3), ("prompts[1]", 6), ("prompts[2]", 7),
        ("commandLineOptions.maxConcurrency", 9), ("commandLineOptions.filterFirstN", 10), ("tests[0].assert", 12),
        ("tests[1].assert[0]", 14), ("tests[1].assert[1]", 15), ("tests[1].assert[2]", 16),
        ("tests[1].assert[3].assert[0]", 17), ("defaultTest.assert[0]", 19),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "key", "got"),
    [
        ("prompts: [hi]", "providers", "missing"),
        ("prompts: [hi]\nproviders: []", "providers", "missing"),
        ("prompts: [hi]\nproviders: {id: echo}", "providers", "a mapping"),
        ("providers: [echo]\nprompts: []", "prompts", "empty"),
        ("providers: [echo]\nprompts: ['langfuse://x']", "prompts", "empty"),
        (
            "providers: [file://gone.yaml]\nprompts: [hi]",
            "providers[0]",
            "'file://gone.yaml', a file that does not exist",
        ),
        ("- providers", "", "a list"),
        ("providers: [echo]\nproviders: [echo]", "providers", "written twice"),
    ],
)
def test_fatal(tmp_path: Path, write: Write, text: str, key: str, got: str) -> None:
    write(text)
    assert [(problem.key, problem.got) for problem in problems(tmp_path)] == [(key, got)]


def test_secrets_in_wrong_values_are_not_shown(tmp_path: Path, write: Write) -> None:
    write("prompts: [hi]\nproviders: [{apiKey: s3cret, other: s3cret}]")
    assert "s3cret" not in str(problems(tmp_path)[0])


def test_what_promptfoo_warns_about_is_a_note(tmp_path: Path, write: Write) -> None:
    write(
        """\
providers: [ignored]
targets: [echo]
prompts: [hi]
description: 5
tags: {a: 1}
evaluateOptions: {maxConcurrency: many, generateSuggestions: true}
redteam: {plugins: [x]}
tracing: {enabled: true}
sharing: true
outputPath: https://docs.google.com/spreadsheets/x
nunjucksFilters: {f: gone.js}
tests: [{vars: {date: 2026-01-31}}]
"""
    )
    read = config(tmp_path)
    told = {(note.where.rpartition(": ")[2], note.effect) for note in read.notes}
    assert told == {
        ("providers", Effect.IGNORED), ("description", Effect.DIFFERS), ("tags", Effect.DIFFERS),
        ("evaluateOptions.maxConcurrency", Effect.IGNORED), ("evaluateOptions.generateSuggestions", Effect.UNSUPPORTED),
        ("redteam", Effect.UNSUPPORTED), ("tracing", Effect.UNSUPPORTED), ("sharing", Effect.UNSUPPORTED),
        ("outputPath", Effect.UNSUPPORTED), ("nunjucksFilters.f", Effect.DIFFERS),
        ("tests[0].vars.date", Effect.DIFFERS),
    }  # fmt: skip
    assert [provider.id for provider in read.providers] == ["echo"]
    assert read.tests[0][1] == {"vars": {"date": {}}}
    assert any(note.where == f"{tmp_path / 'promptfooconfig.yaml'}:7: redteam" for note in read.notes)


def test_nothing_is_said_about_what_is_off(tmp_path: Path, write: Write) -> None:
    write(BASIC + "sharing: false\nredteam:\n")
    assert config(tmp_path).notes == ()


# JavaScript


def test_configurations_in_javascript_are_run(tmp_path: Path, write: Write) -> None:
    write("the code", "promptfooconfig.js")
    code = _EXPORTED
    scripts = FakeScripts(
        answers={code: {"providers": ["echo"], "prompts": ["{{ env.A }}"], "tests": [{"assert": [{}]}]}}
    )
    with pytest.raises(ConfigError, match=r"tests\[0\].assert\[0\]"):
        asyncio.run(load([], directory=tmp_path, env={"A": "a"}, scripts=scripts))
    scripts.answers = {code: {"providers": ["echo"], "prompts": ["{{ env.A }}"]}}
    assert asyncio.run(load([], directory=tmp_path, env={"A": "a"}, scripts=scripts)).prompts[0].raw == "a"
    with pytest.raises(ConfigError, match="cannot be run here"):
        asyncio.run(load([], directory=tmp_path, env={}))
    with pytest.raises(ConfigError, match="a script that failed"):
        asyncio.run(load([], directory=tmp_path, env={}, scripts=FakeScripts()))


def test_typescript_is_told(tmp_path: Path, write: Write) -> None:
    write("export default {}", "promptfooconfig.ts")
    assert problems(tmp_path)[0].got == "TypeScript"
