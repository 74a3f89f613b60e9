"""Judges whose key is missing are told before the run, like providers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from promptship.errors import ConfigError
from promptship.evals.calls import Calls
from promptship.evals.promptfoo.graders import PromptfooGraders
from promptship.evals.promptfoo.judge_checks import refuse_unjudged
from promptship.evals.promptfoo.providers import Providers
from tests.support.promptfoo import planned, written
from tests.support.services import FakeScripts

RUBRIC = {"type": "llm-rubric", "value": "kind"}
OWN = {"type": "not-llm-rubric", "value": "rude", "provider": "anthropic:messages:claude-haiku-4-5"}
LIKE = {"type": "similar", "value": "x"}


async def refused(
    directory: Path, asserts: list[Any], env: Mapping[str, str], **config: Any
) -> list[tuple[str, str]]:
    tests = [{"vars": {"text": str(number)}, "assert": copy.deepcopy(asserts)} for number in range(3)]
    plan = await planned(written(directory, tests=tests, **config))
    providers = Providers(env=env)
    options = plan.config.default_test.get("options") or {}
    graders = PromptfooGraders(providers, Calls(), FakeScripts(), directory, default=options.get("provider"))
    try:
        refuse_unjudged(plan, graders)
    except ConfigError as error:
        return [(problem.key, problem.got) for problem in error.problems]
    finally:
        await providers.aclose()
    return []


OPENAI = {"OPENAI_API_KEY": "k"}


@pytest.mark.parametrize(
    ("asserts", "env", "told"),
    [
        ([{"type": "contains", "value": "x"}], {}, []),
        ([RUBRIC, LIKE], OPENAI, []),
        ([RUBRIC], {"ANTHROPIC_API_KEY": "k"}, []),
        ([RUBRIC], {}, [("tests[0].assert[0]", "llm-rubric, and 2 more: no key for a default text grader")]),
        ([RUBRIC, LIKE], {"ANTHROPIC_API_KEY": "k"}, [("tests[0].assert[1]", "similar, and 2 more: no key for a default embedding grader")]),
        ([{"type": "assert-set", "assert": [OWN]}], OPENAI,
         [("tests[0].assert[0].assert[0]", "not-llm-rubric, and 2 more: providers[anthropic:messages:claude-haiku-4-5].config.apiKey is not set")]),
        ([OWN], {"ANTHROPIC_API_KEY": "k"}, []),
    ],
)  # fmt: skip
async def test_a_judge_without_a_key_is_refused_and_no_other(
    asserts: list[Any], env: dict[str, str], told: list[tuple[str, str]], tmp_path: Path
) -> None:
    assert await refused(tmp_path, asserts, env) == told


async def test_the_default_judge_of_the_configuration_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "judge.yaml").write_text("- {id: 'openai:chat:gpt-4.1', config: {apiKeyEnvar: MY_KEY}}\n")
    default = {"options": {"provider": "file://judge.yaml"}}
    assert await refused(tmp_path, [RUBRIC], {"MY_KEY": "k"}, defaultTest=default) == []
    ((_, got),) = await refused(tmp_path, [RUBRIC], {}, defaultTest=default)
    assert "providers[openai:chat:gpt-4.1].config.apiKey is not set" in got
