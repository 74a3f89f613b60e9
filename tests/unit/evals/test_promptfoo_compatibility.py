"""What is said before a promptfoo run: mistakes that stop it, and everything that is not as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from promptship.errors import ConfigError
from promptship.evals.promptfoo.assertion_types import ALL_TYPES, BASE_TYPES, NOT_IGNORED_BY
from promptship.evals.promptfoo.loading import load_config
from promptship.evals.promptfoo.model import Effect
from promptship.evals.promptfoo.providers import Providers
from promptship.evals.promptfoo.run import Plan, plan
from tests.support.promptfoo import planned, written
from tests.support.services import FakeScripts


def test_the_list_of_types_is_promptfoos() -> None:
    assert len(BASE_TYPES) == len(set(BASE_TYPES)) == 66
    assert len(ALL_TYPES) == 66 * 2 + 4
    assert set(BASE_TYPES) >= NOT_IGNORED_BY
    assert len(NOT_IGNORED_BY) == 10


async def refused(directory: Path, *asserts: Any, **more: Any) -> ConfigError:
    tests = [{"vars": {"text": "x"}, "assert": list(asserts), **more}]
    (directory / "tests.yaml").write_text(yaml.safe_dump(tests), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        await planned(written(directory, tests=["tests.yaml"]))
    return caught.value


async def noted(directory: Path, *asserts: Any, **config: Any) -> list[tuple[Effect, str]]:
    tests = [{"vars": {"text": "x"}, "assert": list(asserts)}]
    made = await planned(written(directory, **{"tests": tests, **config}))
    return [(note.effect, note.what) for note in made.notes]


@pytest.mark.parametrize(
    ("kind", "near"),
    [("contain", "contains"), ("not-is-jsn", "not-is-json"), ("max-lenght", None), ("llm_rubric", "llm-rubric"), ("and", None), ("not-human", None)],
)  # fmt: skip
async def test_an_unknown_type_stops_the_run_with_the_nearest_name(
    kind: str, near: str | None, tmp_path: Path
) -> None:
    error = await refused(tmp_path, {"type": "contains", "value": "x"}, {"type": kind, "value": "x"})
    (problem,) = error.problems
    assert problem.key == "[0].assert[1].type"
    assert problem.got == repr(kind)
    assert near is None or problem.advice == f"did you mean {near}?"


async def test_everything_that_is_wrong_with_assertions_is_said_at_once(tmp_path: Path) -> None:
    error = await refused(
        tmp_path, "text", {"value": "x"}, {"type": 3}, {"type": "contains", "threshold": "high", "weight": -1, "metric": 4, "config": 5},
        {"type": "assert-set"}, {"type": "assert-set", "assert": [{"type": "nothing"}, {"type": "assert-set", "assert": []}]},
    )  # fmt: skip
    keys = [problem.key for problem in error.problems]
    assert [key.removeprefix("[0].") for key in keys] == [
        "assert[0]", "assert[1].type", "assert[2].type", "assert[3].threshold", "assert[3].weight", "assert[3].metric",
        "assert[3].config", "assert[4].assert", "assert[5].assert[0].type", "assert[5].assert[1].type",
    ]  # fmt: skip


async def test_an_assertion_of_the_default_test_is_named_once(tmp_path: Path) -> None:
    tests = [{"vars": {"text": str(n)}} for n in range(5)]
    with pytest.raises(ConfigError) as caught:
        await planned(written(tmp_path, tests=tests, defaultTest={"assert": [{"type": "nothing"}]}))
    assert len(caught.value.problems) == 1


async def test_names_that_nothing_has(tmp_path: Path) -> None:
    error = await refused(tmp_path, providers=["nobody"], prompts=["none"])
    assert [(problem.key, problem.got) for problem in error.problems] == [
        ("[0].providers", "'nobody'"),
        ("[0].prompts", "'none'"),
    ]
    assert "fake" in error.problems[0].expected


@pytest.mark.parametrize("kind", sorted(NOT_IGNORED_BY))
async def test_not_is_reported_where_promptfoo_ignores_it(kind: str, tmp_path: Path) -> None:
    notes = await noted(tmp_path, {"type": f"not-{kind}", "value": "x"})
    assert [effect for effect, what in notes if "ignores not-" in what] == [Effect.IGNORED]
    assert not [what for _, what in await noted(tmp_path, {"type": kind, "value": "x"}) if "not-" in what]


async def test_what_cannot_run_is_ignored_or_differs(tmp_path: Path) -> None:
    (tmp_path / "h.js").write_text("module.exports = () => null")
    notes = await noted(
        tmp_path, {"type": "human"}, {"type": "promptfoo:redteam:harmful"}, {"type": "contains", "value": "x", "vlaue": 1, "weight": 0, "metric": "m"},
        derivedMetrics=[{"name": "d", "value": "m.filter(x)"}], commandLineOptions={"filterPattern": "x", "repeat": 1},
        defaultTest={"provider": "fake", "vars": {"assert": []}},
    )  # fmt: skip
    said = "\n".join(f"{effect}: {what}" for effect, what in notes)
    for wanted in (
        "unsupported: human verdicts", "unsupported: promptfoo:redteam:harmful", "ignored: contains has no vlaue",
        "ignored: metric m of an assertion that weighs 0", "unsupported: d: ", "command line: filterPattern",
        "ignored: a provider that is only named", "ignored: assert stands inside of vars",
    ):  # fmt: skip
        assert wanted in said, said


async def test_a_column_that_is_asked_nothing_is_reported(tmp_path: Path) -> None:
    notes = await noted(
        tmp_path, providers=["fake", "idle"], tests=[{"vars": {"text": "x"}, "providers": ["fake"]}]
    )
    assert [what for _, what in notes if "idle is asked nothing" in what]


async def test_an_assertion_that_can_never_be_made_is_reported_before_the_run(tmp_path: Path) -> None:
    notes = await noted(tmp_path, {"type": "cost"}, {"type": "contains", "value": "x"})
    assert [effect for effect, what in notes if what.startswith("cost cannot be used: threshold")] == [
        Effect.UNSUPPORTED
    ]
    assert len(notes) == 1


async def test_a_plain_configuration_has_nothing_to_report(tmp_path: Path) -> None:
    assert await noted(tmp_path, {"type": "contains", "value": "x"}) == []


async def test_a_provider_with_an_empty_list_of_prompts_is_asked_nothing(tmp_path: Path) -> None:
    providers = [{"id": "echo", "prompts": []}, {"id": "echo", "label": "all"}]
    made = await planned(written(tmp_path, tests=[{"vars": {"text": "x"}}], providers=providers))
    assert {column.label for column in made.columns} == {"all"}
    assert [note.what for note in made.notes] == ["echo is asked nothing: its list of prompts is empty"]
    with pytest.raises(ConfigError, match="at least one row"):
        await planned(written(tmp_path, tests=[{"vars": {"text": "x"}}], providers=providers[:1]))


async def really_planned(directory: Path) -> Plan:
    """With the providers as they are made for users."""
    providers = Providers(env={})
    try:
        config = load_config([], directory=directory, env={})
        return await plan(config, scripts=FakeScripts(), make=providers.make, env={})
    finally:
        await providers.aclose()


async def test_providers_and_assertions_that_are_wrong_are_named_together_with_their_lines(
    tmp_path: Path,
) -> None:
    (tmp_path / "promptfooconfig.yaml").write_text(
        "prompts: ['say {{q}}']\n"
        "providers:\n"
        "  - echo\n"
        "  - {id: 'openai:chat:gpt-4.1', config: {apiBaseUrl: 'nonsense', apiKey: k}}\n"
        "tests:\n"
        "  - vars: {q: x}\n"
        "    assert: [{type: contans, value: x}]\n"
    )
    with pytest.raises(ConfigError) as error:
        await really_planned(tmp_path)
    found = {(Path(problem.file).name, problem.line) for problem in error.value.problems}
    assert found == {("promptfooconfig.yaml", 4), ("promptfooconfig.yaml", 7)}


async def test_a_missing_file_of_tests_hides_no_provider(tmp_path: Path) -> None:
    (tmp_path / "promptfooconfig.yaml").write_text(
        "prompts: ['say {{q}}']\nproviders: ['nobody:knows']\ntests: file://nowhere.yaml\n"
    )
    with pytest.raises(ConfigError) as error:
        await really_planned(tmp_path)
    said = str(error.value)
    assert "nowhere.yaml" in said
    assert "nobody:knows" in said
