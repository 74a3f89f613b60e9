"""The suite gate in a release: before anything is spent, once per suite and content, and kept beside the evaluation."""

import asyncio
import os
from pathlib import Path

import pytest

from promptship.adapters.memory.models import ScriptedModels
from promptship.errors import ConfigError
from promptship.lifecycle import steps
from promptship.tasks.evaluation import Evaluation, evaluate, evaluations
from promptship.tasks.gate import GATES, KEPT_MAX, gate_markdown, gated, gates
from tests.support.house import SUITE, House
from tests.support.suite_gates import Gate
from tests.support.suites import suite_of


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(root=tmp_path)
    house.adopt()
    return house


def linted(house: House, text: str, suite: str = SUITE) -> str:
    release_id = house.push(text, **{"suites/support.yaml": suite})
    steps.lint(house.app, release_id)
    return release_id


def run(house: House, release_id: str, gate: Gate) -> Evaluation:
    return asyncio.run(evaluate(house.app, release_id, examine=gate))


def test_the_gate_sees_plain_facts_and_its_page_is_kept(house: House) -> None:
    gate = Gate()
    release_id = linted(
        house,
        "Say hello now.",
        "slices: [greetings]\n" + SUITE.replace("id: hello", "id: hello, tags: [greetings]"),
    )
    run(house, release_id, gate)
    ((name, columns, slices),) = gate.shown
    assert (name, columns["id"], columns["checks"], slices) == ("support", ["hello"], [1], {"greetings": 1})
    directory = evaluations(house.app, release_id)
    (kept,) = gates(directory)
    assert kept.page == directory / "support.gate.html"
    assert kept.page.read_text() == "<html>page</html>"
    assert (kept.suite, kept.cases, kept.problems, kept.warnings) == ("support", 1, (), ())


def test_a_suite_with_problems_is_not_run_and_every_problem_names_the_file(house: House) -> None:
    gate = Gate("a, b: hold a credential", "c: demand nothing")
    release_id = linted(house, "Say hello now.")
    with pytest.raises(ConfigError) as caught:
        run(house, release_id, gate)
    assert [(one.file, one.got) for one in caught.value.problems] == [
        ("suites/support.yaml", "a, b: hold a credential"), ("suites/support.yaml", "c: demand nothing"),
    ]  # fmt: skip
    models = house.app.models
    assert isinstance(models, ScriptedModels)
    assert models.requests == []
    (kept,) = gates(evaluations(house.app, release_id))
    assert kept.problems == gate.said.problems, "the result of a bad suite is kept, too"
    said = gate_markdown(kept)
    assert "is not run" in said
    assert "- a, b: hold a credential" in said
    assert "| expect_x | id | warning |" in said


def test_warnings_stand_in_the_verdict(house: House) -> None:
    gate = Gate(warnings=("a: ask nearly what an earlier case asks",))
    (suite,) = run(house, linted(house, "Say hello now."), gate).verdict["suites"]
    assert suite["warnings"][-1] == "suite gate: a: ask nearly what an earlier case asks"


def test_a_suite_is_looked_at_once_as_long_as_it_stays_the_same(house: House) -> None:
    gate = Gate(warnings=("w",))
    first = linted(house, "Say hello now.")
    run(house, first, gate)
    (suite,) = run(house, first, gate).verdict["suites"]
    assert suite["warnings"][-1] == "suite gate: w"
    second = linted(house, "Say hello again.")
    run(house, second, gate)
    assert len(gate.shown) == 1
    assert [kept.suite for kept in gates(evaluations(house.app, second))] == ["support"]
    run(house, linted(house, "Say hello once more.", SUITE.replace("id: hello", "id: greets")), gate)
    assert len(gate.shown) == 2


def test_a_kept_word_that_is_not_whole_is_not_believed(house: House) -> None:
    gate = Gate()
    release_id = linted(house, "Say hello now.")
    run(house, release_id, gate)
    for path in (house.app.settings.data / "suite-gates").iterdir():
        path.write_bytes(path.read_bytes()[:20])
    run(house, release_id, gate)
    assert len(gate.shown) == 2


def test_what_the_gate_said_is_forgotten_when_it_is_old_and_was_not_used(tmp_path: Path) -> None:
    def again(number: int) -> None:
        suite = suite_of(SUITE.replace("id: hello", f"id: h{number}"))
        gated(tmp_path, tmp_path / "release", suite, gate)
        for path in directory.iterdir():  # a second goes by
            os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns - 10**9))

    gate, directory = Gate(), tmp_path / GATES
    for number in range(KEPT_MAX + 2):
        again(number)
        again(0)
    assert len(list(directory.iterdir())) == KEPT_MAX
    assert len(gate.shown) == KEPT_MAX + 2, "what is used stays"
    again(1)
    assert len(gate.shown) == KEPT_MAX + 3
