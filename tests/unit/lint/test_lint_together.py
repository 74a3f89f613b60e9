"""PS615 and PS616: groups of prompts that do not exist, or cannot stand at the same point."""

from __future__ import annotations

from datetime import date

import pytest

from promptship.lifecycle.lint import lint_tree
from promptship.settings import ModelSettings, Settings
from tests.support.lint import Files

SETTINGS = Settings(models={"sim-1": ModelSettings(context_tokens=8000)})
PROMPT = "name: {name}\nowner: team\nmodel: sim-1\nmessages: [{{role: system, content: Hi}}]\n{more}"


def found(config: str = "", only: str | None = None, **more: str) -> list[tuple[str, str, int]]:
    """(rule, path, line) of what is wrong with groups."""
    files = {f"prompts/{name}.yaml": PROMPT.format(name=name, more=text) for name, text in more.items()}
    files |= {f"suites/{name}.yaml": "cases: []" for name in more}
    if config:
        files["promptship.toml"] = config
    report = lint_tree(
        Files(files),
        SETTINGS,
        today=date(2026, 11, 22),
        paths=None if only is None else [f"prompts/{only}.yaml"],
    )
    return [(one.rule, one.path, one.line) for one in report.findings if one.rule in {"PS615", "PS616"}]


def test_a_group_of_equal_plans_is_fine() -> None:
    assert found(a="release: {together: [b]}", b="") == []
    assert found(a="release: {together: [b]}", b="release: {give_up_after: 2h}") == []


def test_a_name_that_does_not_exist_stands_where_it_is_named() -> None:
    assert found(a="release: {together: [c]}", b="") == [("PS615", "prompts/a.yaml", 5)]
    assert found(a="release: {together: [c]}", b="release: {together: [a]}") == [
        ("PS615", "prompts/a.yaml", 5)
    ]


@pytest.mark.parametrize(
    "other",
    [
        "{canary: {lease: 2m}}", "{on_newer: cancel}", "{canary: {holdback: 0.1}}", "{experiment: {allowed: false}}",
        "{canary: {stages: [{share: 0.1}]}}",
    ],
)  # fmt: skip
def test_plans_that_part_units_are_found_on_both_sides_and_when_only_one_is_linted(other: str) -> None:
    files = {"a": "release: {together: [b]}", "b": f"release: {other}"}
    assert [(rule, path) for rule, path, _ in found(**files)] == [
        ("PS616", "prompts/a.yaml"), ("PS616", "prompts/b.yaml"),
    ]  # fmt: skip
    assert [path for _, path, _ in found(only="b", **files)] == ["prompts/b.yaml"]


def test_over_a_third_prompt_and_over_a_plan_of_the_settings() -> None:
    chain = {
        "a": "release: {together: [b]}",
        "b": "release: {together: [c]}",
        "c": "release: {on_newer: cancel}",
    }
    assert [path for _, path, _ in found(only="a", **chain)] == ["prompts/a.yaml"]
    config = '[plans.default]\ntogether = ["a"]\n'
    assert found(config, a="", b="", only="b") == []
    assert [rule for rule, _, _ in found(config, a="", b="release: {on_newer: cancel}", only="b")] == [
        "PS616"
    ]
