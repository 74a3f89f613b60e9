"""A release is taken again from its ledger alone; what does not follow from it is named."""

import json
from typing import Any

import pytest

from promptship.canary.differences import Replay, differing
from promptship.lifecycle.replay import replay
from promptship.release import events as e
from promptship.release.events import FACT
from promptship.render.replay import replay_text
from tests.support.house import STAGES, House

PLAN = STAGES + '[[plans.default.canary.guardrails]]\nmetric = "latency_p95"\nprove = false\n'


def released(bad: float) -> tuple[House, str]:
    house = House(plan=PLAN)
    house.adopt()
    house.traffic(200, bad=0.1)
    release = house.push("Say hello, please.")
    house.run_flow(release)
    house.until(release, "awaiting_approval", "rolled_back", bad=bad)
    return house, release


@pytest.fixture(scope="module")
def good() -> tuple[House, str]:
    return released(0.05)


class Rewritten(House):
    """A house whose ledger tells something else."""

    def __init__(self, house: House, change: Any) -> None:
        super().__init__()
        self.told = house
        self.change = change

    def replay(self, release: str) -> Replay:
        ledger, change = self.told.ledger, self.change

        class Told:
            def verify(self, release_id: str) -> Any:
                return ledger.verify(release_id)

            def events(self, release_id: str) -> Any:
                events = ledger.events(release_id)
                kept = [(event, change(event.fact.model_dump(mode="json"))) for event in events]
                return [
                    event.model_copy(update={"fact": FACT.validate_python(fact)})
                    for event, fact in kept
                    if fact is not None
                ]

        from dataclasses import replace

        return replay(replace(self.told.app, ledger=Told()), release)  # type: ignore[arg-type]


def looks(house: House, release: str) -> list[e.Looked]:
    return [event.fact for event in house.ledger.events(release) if isinstance(event.fact, e.Looked)]


def test_every_look_of_a_release_that_passed_comes_out_the_same(good: tuple[House, str]) -> None:
    house, release = good
    found = replay(house.app, release)
    assert found.agrees
    assert found.looks == found.equal == len(looks(house, release)) > 2
    assert "taken again from the ledger alone" in replay_text(found)


def test_every_look_of_a_rollback_comes_out_the_same_and_its_effect_must_follow() -> None:
    house, release = released(0.6)
    assert house.release(release).phase == "rolled_back"
    assert replay(house.app, release).agrees

    def change(fact: dict[str, Any]) -> dict[str, Any] | None:
        return None if fact["kind"] == "rolled_back" else fact

    without = Rewritten(house, change).replay(release)
    assert [(one.what, one.recomputed) for one in without.differences] == [
        ("effect", "roll_back: rolled_back")
    ]


def test_a_look_with_other_counts_is_named(good: tuple[House, str]) -> None:
    house, release = good

    def change(fact: dict[str, Any]) -> dict[str, Any]:
        if fact["kind"] == "looked" and fact["look"] == 2:
            fact["given"]["counts"]["rates"]["feedback:escalated"]["candidate"]["events"] += 3
        return fact

    found = Rewritten(house, change).replay(release)
    assert not found.agrees
    assert {one.look for one in found.differences} == {2}
    assert any("e_" in one.what for one in found.differences)
    assert "in the ledger" in replay_text(found)


def test_a_verdict_that_says_something_else_is_named_with_what_followed_from_it(
    good: tuple[House, str],
) -> None:
    house, release = good
    last = looks(house, release)[-1].look

    def change(fact: dict[str, Any]) -> dict[str, Any]:
        if fact["kind"] == "looked" and fact["look"] == last:
            fact["verdict"]["findings"][0]["outcome"] = "hold"
        return fact

    found = Rewritten(house, change).replay(release)
    assert [one.what for one in found.differences] == ["verdict.findings.0.outcome", "effect"]


def test_an_effect_without_its_look_is_named(good: tuple[House, str]) -> None:
    house, release = good
    last = looks(house, release)[-1].look

    def change(fact: dict[str, Any]) -> dict[str, Any] | None:
        return None if fact["kind"] == "looked" and fact["look"] == last else fact

    found = Rewritten(house, change).replay(release)
    assert [(one.what, one.recorded) for one in found.differences] == [("effect", "approval_requested")]


def test_looks_of_an_older_promptship_are_said_not_to_be_recomputed(good: tuple[House, str]) -> None:
    house, release = good

    def change(fact: dict[str, Any]) -> dict[str, Any]:
        fact.pop("given", None)
        return fact

    found = Rewritten(house, change).replay(release)
    assert not found.agrees
    assert found.differences == ()
    assert len(found.unrecorded) == found.looks
    assert "older promptship" in replay_text(found)


def test_what_a_look_was_given_is_small(good: tuple[House, str]) -> None:
    house, release = good
    assert all(len(json.dumps(look.given)) < 1500 for look in looks(house, release))


def test_a_release_without_a_look_has_nothing_to_recompute() -> None:
    house = House()
    house.adopt()
    release = house.push("Say hello, please.")
    found = replay(house.app, release)
    assert found.agrees
    assert "no look" in replay_text(found)


def test_numbers_differ_only_beyond_the_ninth_digit() -> None:
    assert not [*differing("x", {"a": [1.0, 2]}, {"a": (1.0 + 1e-12, 2)})]
    assert [*differing("x", {"a": [1.0]}, {"a": [1.0 + 1e-6]})] == [("x.a.0", "1.0", "1.000001")]
    assert [*differing("x", {"a": 1}, {})] == [("x.a", "1", "None")]
    assert [*differing("x", True, 1)] == []
    assert [*differing("x", [1], [1, 2])] == [("x", "[1]", "[1, 2]")]
