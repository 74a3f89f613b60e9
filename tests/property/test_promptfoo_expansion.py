"""From tests to rows: how many there are, in which order, with which variables and assertions."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship.errors import ConfigError
from promptship.evals.promptfoo import model
from promptship.evals.promptfoo.expansion import RawScenario, RawTest, Sources, expand
from promptship.evals.promptfoo.filters import Filters, ranged, sampled
from promptship.evals.promptfoo.model import Config
from tests.support.services import FakeScripts

BASE = Path(__file__).parent

texts = st.lists(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=3)
objects = st.lists(st.dictionaries(st.sampled_from("kl"), st.integers()), min_size=1, max_size=3)
values = st.one_of(
    st.text("xyz", max_size=3), st.integers(), st.none(), st.booleans(), texts, objects, st.just([])
)
variables = st.dictionaries(st.sampled_from(["p", "q", "r"]), values, max_size=3)
asserts = st.lists(
    st.builds(lambda text: {"type": "contains", "value": text}, st.text("ab", max_size=2)), max_size=2
)
tests = st.builds(
    lambda v, a, n: {"vars": v, "assert": a, "options": {"repeat": n} if n else {}}, variables, asserts, st.sampled_from([0, 0, 2, 3])
)  # fmt: skip


def expanded(
    raw: list[dict[str, Any]],
    default: dict[str, Any] | None = None,
    scenarios: tuple[RawScenario, ...] = (),
    **more: Any,
) -> tuple[model.TestCase, ...]:
    config = Config(paths=(BASE / "c.yaml",), base=BASE, default_test=default or {})
    sources = Sources(tests=tuple(RawTest(one, f"t{n}") for n, one in enumerate(raw)), scenarios=scenarios)
    expanding = expand(config, sources, scripts=more.pop("scripts", FakeScripts()), **more)
    try:
        expanding.send(None)  # the fake scripts never wait, so no event loop is needed
    except StopIteration as done:
        made: tuple[model.TestCase, ...] = done.value
        return made
    raise AssertionError


def choices(value: Any) -> int:
    return len(value) if isinstance(value, list) and value and isinstance(value[0], str) else 1


@given(st.lists(tests, min_size=1, max_size=4), variables, st.sampled_from([1, 2]))
def test_every_list_of_texts_multiplies_and_nothing_else_does(
    raw: list[dict[str, Any]], default: dict[str, Any], repeat: int
) -> None:
    cases = expanded(raw, {"vars": default}, repeat=repeat)
    wanted = [math.prod(choices(value) for value in {**default, **test["vars"]}.values()) for test in raw]
    assert len(cases) == sum(wanted)
    assert [case.index for case in cases] == list(range(len(cases)))
    rows = [case.first + trial * case.step for case in cases for trial in range(case.repeat or 1)]
    repeats = [test["options"].get("repeat", repeat) for test in raw]
    assert sorted(rows) == list(range(sum(n * r for n, r in zip(wanted, repeats, strict=True))))


@given(st.lists(tests, min_size=1, max_size=3))
def test_switched_off_nothing_multiplies(raw: list[dict[str, Any]]) -> None:
    assert [case.vars for case in expanded(raw, multiply=False)] == [test["vars"] for test in raw]


@given(variables)
def test_the_first_variable_changes_slowest(given_vars: dict[str, Any]) -> None:
    cases = expanded([{"vars": given_vars}])
    lists = [
        value if isinstance(value, list) and value and isinstance(value[0], str) else [value]
        for value in given_vars.values()
    ]
    assert [tuple(case.vars.values()) for case in cases] == list(itertools.product(*lists))


@given(asserts, asserts, st.booleans())
def test_assertions_of_the_default_come_first_unless_they_are_switched_off(
    own: list[dict[str, Any]], inherited: list[dict[str, Any]], off: bool
) -> None:
    test = {"vars": {"a": 1}, "assert": own, "options": {"disableDefaultAsserts": off}}
    (case,) = expanded([test], {"assert": inherited})
    assert list(case.asserts) == ([] if off else inherited) + own


@given(st.lists(variables, min_size=1, max_size=3), st.lists(variables, min_size=1, max_size=3))
def test_a_scenario_crosses_each_part_with_each_test(
    partial: list[dict[str, Any]], own: list[dict[str, Any]]
) -> None:
    parts = tuple({"vars": one, "assert": [{"type": "contains", "value": "part"}]} for one in partial)
    raw = tuple(RawTest({"vars": one, "assert": [{"type": "contains", "value": "test"}]}, "t") for one in own)
    cases = expanded([], scenarios=(RawScenario(parts, raw, "s"),))
    pairs = [{**part, **test} for part in partial for test in own]
    assert len(cases) == sum(math.prod(choices(value) for value in one.values()) for one in pairs)
    assert all([one["value"] for one in case.asserts] == ["part", "test"] for case in cases)
    assert {case.metadata["conversationId"] for case in cases} == {
        f"__scenario_{n}__" for n in range(len(partial))
    }


def test_what_a_test_says_wins_over_the_default() -> None:
    default = {
        "threshold": 0.5, "options": {"a": 1, "b": 1}, "metadata": {"x": 1}, "prompts": ["p"], "providers": ["q"],
        "provider": {"id": "echo"}, "assertScoringFunction": "file://f.js",
    }  # fmt: skip
    one, two = expanded(
        [{"vars": {}, "options": {"b": 2}}, {"threshold": 0, "metadata": {"x": 2}, "prompts": ["z"]}], default
    )
    assert (one.threshold, dict(one.options), dict(one.metadata)) == (0.5, {"a": 1, "b": 2}, {"x": 1})
    assert (one.prompts, one.providers, one.provider) == (("p",), ("q",), {"id": "echo"})
    assert (two.threshold, dict(two.metadata), two.prompts) == (0, {"x": 2}, ("z",))


def test_a_provider_that_is_only_named_in_the_default_does_not_count() -> None:
    assert expanded([{"vars": {}}], {"provider": "echo"})[0].provider is None
    assert expanded([{"vars": {}, "provider": "echo"}], {})[0].provider == "echo"


def test_no_test_at_all_is_one_empty_test_but_filters_that_leave_none_leave_none() -> None:
    assert len(expanded([])) == 1
    assert expanded([{"vars": {}}], filters=Filters(pattern="nothing")) == ()


def test_variables_may_be_made_by_a_script() -> None:
    scripts = FakeScripts({"made": lambda script: {"b": script.names["vars"]["a"] + 1}})
    (case,) = expanded([{"vars": {"a": 1}, "options": {"transformVars": "made"}}], scripts=scripts)
    assert case.vars == {"a": 1, "b": 2}
    with pytest.raises(ConfigError, match="an object of variables"):
        expanded([{"options": {"transformVars": "made"}, "vars": {}}], scripts=FakeScripts({"made": 3}))


def test_too_many_rows_and_missing_files_are_said_at_once() -> None:
    many = {"vars": {name: list("abcdefghij") for name in "ABCDEFGH"}}
    with pytest.raises(ConfigError) as caught:
        expanded([many, {"vars": {"f": "file://nowhere/*.txt"}}])
    assert [
        problem.where if hasattr(problem, "where") else problem.key for problem in caught.value.problems
    ] == ["vars", "vars.f"]


@given(st.lists(st.integers(), max_size=12), st.integers(0, 14), st.text("ab0", max_size=4))
def test_a_sample_is_drawn_without_repetition_and_the_same_for_a_seed(
    tests: list[int], count: int, seed: str
) -> None:
    numbered = list(enumerate(tests))
    drawn = sampled(numbered, count, seed)
    assert len(drawn) == min(count, len(tests))
    assert set(drawn) <= set(numbered)
    assert len(set(drawn)) == len(drawn)
    assert drawn == sampled(numbered, count, seed)


def test_samples_are_those_that_promptfoo_draws() -> None:
    assert sampled(range(10), 4, "42") == [2, 5, 4, 8]
    assert sampled(range(10), 5, "7") == [2, 8, 1, 7, 9]


def test_filters_of_the_command_line() -> None:
    raw = [
        {"description": f"t{n}", "vars": {"n": n}, "metadata": {"k": ["a", f"v{n}"], "on": True}}
        for n in range(6)
    ]

    def left(**given_filters: Any) -> list[int]:
        return [case.vars["n"] for case in expanded(raw, filters=Filters(**given_filters))]

    assert left(pattern="t[12]") == [1, 2]
    assert left(metadata=("k=v3",)) == [3]
    assert left(metadata=("k=a", "on=true"), range="2:4") == [2, 3]
    assert left(range="4:") == [4, 5]
    assert left(first_n=2) == [0, 1]
    assert left(pattern="t", range=":3", first_n=2) == [0, 1]
    assert len(left(sample=3)) == 3
    for wrong in (":", "3", "4:2", "a:b", "-1:2"):
        with pytest.raises(ConfigError):
            ranged([1], wrong)
    with pytest.raises(ConfigError, match="key=value"):
        left(metadata=("k",))
    with pytest.raises(ConfigError, match="regular expression"):
        left(pattern="(")


def test_a_range_counts_over_scenarios_too() -> None:
    scenario = RawScenario(
        ({"vars": {"s": 1}},), (RawTest({"vars": {"n": 8}}, "t"), RawTest({"vars": {"n": 9}}, "t")), "s"
    )
    raw = [{"vars": {"n": n}} for n in range(3)]
    cases = expanded(raw, scenarios=(scenario,), filters=Filters(range="2:4"))
    assert [case.vars["n"] for case in cases] == [2, 8]
