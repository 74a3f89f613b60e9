"""The step of a release that runs its suites: what it asks, and what it does not ask again."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from promptship.adapters.memory.models import ScriptedModels
from promptship.errors import ConfigError, Problem, Refused, Unavailable
from promptship.lifecycle import steps
from promptship.tasks.evaluation import Evaluation, evaluate
from tests.support.house import House
from tests.support.suite_gates import Gate


def linted(house: House, text: str) -> str:
    release_id = house.push(text)
    steps.lint(house.app, release_id)
    return release_id


def run(house: House, release_id: str) -> Evaluation:
    return asyncio.run(evaluate(house.app, release_id, examine=Gate()))


def asked(models: ScriptedModels) -> Counter[str]:
    return Counter(str(request.messages[0]["content"]) for request in models.requests)


def with_models(house: House, models: ScriptedModels) -> ScriptedModels:
    object.__setattr__(house.app, "models", models)
    return models


def test_what_stable_answered_for_one_release_is_not_paid_for_the_next(tmp_path: Path) -> None:
    house = House(root=tmp_path)
    house.adopt("Say hello.")
    models = with_models(house, ScriptedModels(lambda _: "hello"))
    first = run(house, linted(house, "Say hello now."))
    trials = asked(models)["Say hello."]
    assert asked(models) == {"Say hello.": trials, "Say hello now.": trials}
    models = with_models(house, ScriptedModels(lambda _: "hello"))
    second = run(house, linted(house, "Say hello again."))
    assert asked(models) == {"Say hello again.": trials}
    (before,), (after,) = (outcome.verdict["suites"] for outcome in (first, second))
    assert before["stable"]["trials"] == after["stable"]["trials"] == trials


def test_a_release_that_is_evaluated_again_asks_only_what_has_no_score(tmp_path: Path) -> None:
    house = House(root=tmp_path)
    house.adopt("Say hello.")
    wrong = ConfigError([Problem("m", "", "400", "too long")])
    with_models(house, ScriptedModels(["hello", "hello", *[wrong] * 99]))
    release_id = linted(house, "Say hello now.")
    with pytest.raises(Unavailable):
        run(house, release_id)
    models = with_models(house, ScriptedModels(lambda _: "hello"))
    outcome = run(house, release_id)
    (suite,) = outcome.verdict["suites"]
    assert len(models.requests) == suite["candidate"]["trials"] + suite["stable"]["trials"] - 2


def test_a_key_that_is_refused_ends_the_step_and_says_so(tmp_path: Path) -> None:
    house = House(root=tmp_path)
    house.adopt("Say hello.")
    models = with_models(house, ScriptedModels(lambda _: Refused("provider sim: 401")))
    with pytest.raises(Refused, match="401"):
        run(house, linted(house, "Say hello now."))
    assert len(models.requests) <= 16
