"""What a plan is simulated with: the plan of the tree, stable's telemetry, and options, each named."""

from pathlib import Path

import pytest

from promptship.adapters.files import WorkingTree
from promptship.canary.laws import LatencyLaw, RateLaw
from promptship.errors import ConfigError, NotFound
from promptship.lifecycle.planning import known, tree_of
from tests.support.house import PATH, STAGES, House

PLAN = STAGES + '[[plans.default.canary.guardrails]]\nmetric = "latency_p95"\nprove = false\n'


@pytest.fixture
def house() -> House:
    house = House(plan=PLAN)
    house.adopt()
    return house


def tree(house: House) -> object:
    return house.repository.tree(house.repository.resolve("main").id)


def test_history_gives_traffic_and_base_rates(house: House) -> None:
    house.traffic(600, bad=0.1, seconds=300.0)
    house.measurements.ingest()
    found = known(house.app, tree(house), "support")  # type: ignore[arg-type]
    assert found.prompt == "support"
    assert found.traffic.requests_per_s == pytest.approx(2.0, rel=0.05)
    escalated, slow = found.measured
    assert isinstance(escalated.law, RateLaw)
    assert escalated.law.rate == pytest.approx(0.1, abs=0.01)
    assert isinstance(slow.law, LatencyLaw)
    assert found.plan.canary.stages[0].share == 0.2
    assert "of 600 requests" in " ".join(found.sources)


def test_options_go_before_history(house: House) -> None:
    house.traffic(600, bad=0.1, seconds=300.0)
    house.measurements.ingest()
    found = known(
        house.app, tree(house), "prompts/support.yaml", requests_per_s=9.0,  # type: ignore[arg-type]
        base_rates={"feedback:escalated": 0.3}, parts={"feedback:escalated": 0.5},
    )  # fmt: skip
    assert found.traffic.requests_per_s == 9.0
    assert found.measured[0].law == RateLaw(0.3)
    assert found.measured[0].part == 0.5
    assert "as given" in found.sources[0]


def test_what_is_neither_measured_nor_given_is_asked_for_all_at_once(house: House) -> None:
    with pytest.raises(ConfigError) as refused:
        known(house.app, tree(house), "support")  # type: ignore[arg-type]
    keys = [problem.key for problem in refused.value.problems]
    assert keys == ["feedback:escalated", "latency_p95", "traffic"]
    assert "--base-rate feedback:escalated=" in str(refused.value)


@pytest.mark.parametrize(
    ("rates", "parts"),
    [
        ({"error_rate": 0.1}, {}),
        ({"feedback:escalated": 1.5}, {}),
        ({"latency_p95": 0.0}, {}),
        ({}, {"latency_p95": 0.0}),
    ],
)
def test_options_that_do_not_fit_the_plan_are_refused(
    house: House, rates: dict[str, float], parts: dict[str, float]
) -> None:
    with pytest.raises(ConfigError, match="expected"):
        known(house.app, tree(house), "support", base_rates=rates, parts=parts)  # type: ignore[arg-type]


def test_an_unknown_prompt_is_answered_with_those_there_are(house: House) -> None:
    with pytest.raises(NotFound, match="support"):
        known(house.app, tree(house), "suport")  # type: ignore[arg-type]


def test_a_plan_that_cannot_be_read_is_refused_with_its_place() -> None:
    house = House(plan="[plans.default]\nspeed = 1\n")
    commit = house.commit()
    with pytest.raises(ConfigError, match="speed"):
        known(house.app, house.repository.tree(commit), "support")


def test_the_files_as_they_are_go_before_the_branch_and_a_commit_before_both(
    house: House, tmp_path: Path
) -> None:
    empty = WorkingTree(tmp_path)
    head = house.repository.resolve("main").id
    assert tree_of(house.app, empty, None).name == house.repository.tree(head).name
    (tmp_path / "prompts").mkdir()
    (tmp_path / PATH).write_text("name: support", encoding="utf-8")
    assert tree_of(house.app, WorkingTree(tmp_path), None).name == str(tmp_path)
    assert tree_of(house.app, WorkingTree(tmp_path), "main").name == house.repository.tree(head).name
