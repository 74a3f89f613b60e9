"""`beforeAll`: extensions see the whole suite and may change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo.expansion import RawScenario, RawTest, Sources
from promptship.evals.promptfoo.hooks import Hooks
from promptship.evals.promptfoo.model import Config, PromptSpec


async def after_before_all(config: Config, sources: Sources, hooks: Hooks) -> tuple[Config, Sources]:
    """Configuration and tests as the extensions leave them. Raises ConfigError: one failed, or left no suite."""
    if not hooks:
        return config, sources
    suite = {
        "description": config.description, "tags": dict(config.tags), "prompts": [_shown(prompt) for prompt in config.prompts],
        "providers": [spec.label or spec.id for spec in config.providers],
        "tests": [dict(test.data) for test in sources.tests],
        "scenarios": [
            {"config": list(scenario.config), "tests": [dict(test.data) for test in scenario.tests]}
            for scenario in sources.scenarios
        ],
        "defaultTest": {"assert": [], **config.default_test}, "nunjucksFilters": dict(config.nunjucks_filters),
        "derivedMetrics": list(config.derived_metrics), "extensions": list(config.extensions),
    }  # fmt: skip
    changed = await hooks.before_all(suite)
    prompts = _listed(changed.get("prompts"), "prompts")
    config = replace(
        config, prompts=tuple(_prompt(item, config) for item in prompts), default_test=dict(changed.get("defaultTest") or {}),
        derived_metrics=tuple(_listed(changed.get("derivedMetrics"), "derivedMetrics")),
    )  # fmt: skip
    tests = _tests(changed.get("tests"), "tests", [test.where for test in sources.tests])
    scenarios = tuple(
        RawScenario(
            config=tuple(_listed(scenario.get("config"), "scenarios.config")),
            tests=_tests(scenario.get("tests"), f"scenarios[{number}].tests", []), where=f"beforeAll: scenarios[{number}]",
        )
        for number, scenario in enumerate(_listed(changed.get("scenarios"), "scenarios"))
    )  # fmt: skip
    return config, Sources(tests=tests, scenarios=scenarios)


def _shown(prompt: PromptSpec) -> dict[str, Any]:
    return {
        "raw": prompt.raw,
        "label": prompt.label,
        **({"config": dict(prompt.config)} if prompt.config else {}),
    }


def _prompt(item: Any, config: Config) -> PromptSpec:
    """The prompt that was shown, when its text and label are still the same: only that one may be a function."""
    if not isinstance(item, Mapping) or not isinstance(item.get("raw"), str):
        raise _wrong("prompts", item, "expected prompts with raw and label")
    label = str(item.get("label") or item["raw"])
    for prompt in config.prompts:
        if prompt.raw == item["raw"] and prompt.label == label:
            return replace(prompt, config=item.get("config") or {})
    return PromptSpec(raw=item["raw"], label=label, config=item.get("config") or {}, base=config.base)


def _tests(given: Any, key: str, known: Sequence[str]) -> tuple[RawTest, ...]:
    tests = []
    for number, test in enumerate(_listed(given, key)):
        if not isinstance(test, Mapping):
            raise _wrong(f"{key}[{number}]", test, "expected a test: a mapping")
        tests.append(RawTest(test, known[number] if number < len(known) else f"beforeAll: {key}[{number}]"))
    return tuple(tests)


def _listed(value: Any, key: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong(key, value, "expected a list")
    return value


def _wrong(key: str, got: Any, expected: str) -> ConfigError:
    return ConfigError([Problem("extensions", f"beforeAll: {key}", repr(got)[:60], expected)])
