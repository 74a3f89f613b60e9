"""Re-tests of production prompts: what they say, that nothing is paid twice, and what is proposed."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promptship.errors import Unavailable
from promptship.lifecycle import retests
from promptship.prompts.load import load
from promptship.release.model_changes import ChangeKind, ModelChange
from promptship.release.retest import Result, Retest, Standing
from promptship.render.retest import lines, report
from promptship.tasks.retesting import run_retest
from tests.support.house import PATH
from tests.support.model_world import CASES, ModelWorld, model_world

EACH = CASES
"""Answers of one model: one trial, enough where a case always says the same."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ModelWorld]:
    with model_world(tmp_path, trials=1) as world:
        yield world


def opened(world: ModelWorld, kind: ChangeKind = ChangeKind.APPEARED, **more: Any) -> Retest:
    change = ModelChange(**{"kind": kind, "provider": "sim", "model": "sim-1", "to": "sim-2", **more})
    return retests.open_retest(world.app, change, actor="test")[0]


def outcome(world: ModelWorld, retest: Retest | None = None) -> tuple[Retest, Result]:
    done = run_retest(world.app, retest or opened(world))
    (result,) = done.results.values()
    return done, result


@pytest.mark.parametrize(
    ("current", "new", "standing"),
    [
        (set(), set(), Standing.CANNOT_TELL),  # twelve cases that all pass cannot show a margin of 5 points
        (set(range(8)), set(), Standing.BETTER),
        (set(), set(range(8)), Standing.WORSE),
        ({1}, {2}, Standing.CANNOT_TELL),
    ],
)
def test_each_standing(world: ModelWorld, current: set[int], new: set[int], standing: Standing) -> None:
    world.provider.fails = {"sim-1": current, "sim-2": new}
    done, result = outcome(world)
    assert result.standing is standing
    assert world.provider.asked == 2 * EACH
    (suite,) = result.suites
    assert suite.current == pytest.approx(1 - len(current) / CASES)
    assert suite.new == pytest.approx(1 - len(new) / CASES)
    assert len(suite.regressed) == min(len(new - current), 10)
    assert done.told_at is not None
    assert f"support: {'WORSE' if standing is Standing.WORSE else standing}" in world.told()[-1]


@pytest.mark.parametrize("current", [set(), {1}])
def test_the_same_where_the_margin_lets_it_be_shown_and_an_improvement_is_not(
    tmp_path: Path, current: set[int]
) -> None:
    with model_world(tmp_path, trials=1) as world:
        world.house.plan += "[plans.default.regression]\nmargin = 0.3\n"
        world.house.commit("Say hello.", **{"suites/support.yaml": _suite(world)})
        world.provider.fails["sim-1"] = current
        _, result = outcome(world)
        assert result.standing is Standing.SAME


def _suite(world: ModelWorld) -> str:
    tree = world.house.repository.tree(world.house.repository.resolve("main").id)
    return tree.read("suites/support.yaml").decode()


def test_cost_and_latency_are_compared_and_what_is_not_known_is_said(world: ModelWorld) -> None:
    world.provider.costs = {"sim-1": 0.001, "sim-2": 0.002}
    _, result = outcome(world)
    assert result.cost_change == pytest.approx(1.0)
    assert result.latency_change == pytest.approx(0.0)
    assert result.spent_usd == pytest.approx(EACH * 0.003)
    _, again = outcome(world, opened(world, attempt=1))
    assert again.latency_change is None, "kept answers took no time"
    assert again.spent_usd == 0


def test_what_was_answered_before_a_kill_is_not_asked_again(world: ModelWorld) -> None:
    complete = world.provider.complete

    def dies(request: Any) -> Any:
        if world.provider.asked >= EACH:
            raise SystemError("killed")
        return complete(request)

    world.app.models._answer = dies  # type: ignore[attr-defined]
    retest = opened(world)
    with pytest.raises(SystemError):
        run_retest(world.app, retest)
    assert retests.read(world.app, retest.id).results == {}
    assert world.provider.asked == EACH
    world.app.models._answer = complete  # type: ignore[attr-defined]
    outcome(world, retest)
    assert world.provider.asked == 2 * EACH
    assert len(world.told()) == 1


def test_a_provider_that_is_down_leaves_the_re_test_open(world: ModelWorld) -> None:
    retest = opened(world)
    world.provider.down = True
    with pytest.raises(Unavailable):
        run_retest(world.app, retest)
    assert [one.id for one in retests.open_ones(world.app)] == [retest.id]
    assert world.told() == []


def test_after_days_without_an_answer_nobody_can_tell(world: ModelWorld) -> None:
    retest = opened(world)
    world.provider.down = True
    world.house.clock.advance(4 * 86_400)
    _, result = outcome(world, retest)
    assert result.standing is Standing.CANNOT_TELL
    assert "no answer for 3 days" in result.because


def test_a_version_is_tested_once_per_change_and_a_new_version_again(world: ModelWorld) -> None:
    retest = opened(world)
    done, _ = outcome(world, retest)
    assert run_retest(world.app, done) == done
    assert world.provider.asked == 2 * EACH
    assert opened(world).id == retest.id
    assert len(world.told()) == 1
    shutil.rmtree(world.app.settings.data)  # another machine, without rows and kept answers
    assert run_retest(world.app, done) == done
    assert world.provider.asked == 2 * EACH


def test_a_budget_is_kept(tmp_path: Path) -> None:
    with model_world(tmp_path, trials=1, spend_max_usd=0.01) as world:
        _, result = outcome(world)
        assert result.standing is Standing.CANNOT_TELL
        assert result.spent_usd is None or result.spent_usd <= 0.02
        assert world.provider.asked < 2 * EACH


def test_a_prompt_without_a_suite_cannot_be_told(world: ModelWorld) -> None:
    world.house.repository.commit({"suites/support.yaml": None})
    done, result = outcome(world)
    assert (result.standing, world.provider.asked) == (Standing.CANNOT_TELL, 0)
    assert "nothing proposed: the re-test says cannot tell" in "\n".join(lines(done))


def test_better_is_proposed_as_a_branch_with_one_word_changed(world: ModelWorld) -> None:
    world.provider.fails["sim-1"] = set(range(8))
    done, result = outcome(world)
    (proposal,) = done.proposals.values()
    repository = world.house.repository
    before, after = (
        repository.tree(repository.resolve(ref).id).read(PATH) for ref in ("main", proposal.branch)
    )
    assert after == before.replace(b"sim-1", b"sim-2")
    assert load(PATH, after).prompt.model == "sim-2"
    assert repository.is_ancestor("main", proposal.commit)
    assert f"branch {proposal.branch}" in world.told()[-1]
    assert result.version in repr(done.proposals)
    assert "improvement: +66.67 points" in report(done)


def test_worse_is_not_proposed(world: ModelWorld) -> None:
    world.provider.fails["sim-2"] = set(range(8))
    done, _ = outcome(world)
    (proposal,) = done.proposals.values()
    assert (proposal.branch, proposal.why_not) == ("", "the re-test says worse")


def test_a_branch_that_holds_another_version_is_left_alone(world: ModelWorld) -> None:
    world.provider.fails["sim-1"] = set(range(8))
    world.house.commit("Say hello in another way.", **{"suites/support.yaml": _suite(world)})
    done, _ = outcome(world)
    (proposal,) = done.proposals.values()
    assert "main holds another version of support than production serves" in proposal.why_not


def test_proposals_can_be_off(tmp_path: Path) -> None:
    with model_world(tmp_path, trials=1, propose=False) as world:
        world.provider.fails["sim-1"] = set(range(8))
        done, _ = outcome(world)
        (proposal,) = done.proposals.values()
        assert proposal.why_not == "proposals are off: [retest] propose"


@pytest.mark.slow  # over HTTP
def test_a_model_nobody_configured_is_asked_at_its_provider_and_the_proposal_says_what_is_missing(
    tmp_path: Path,
) -> None:
    with model_world(tmp_path, known=(), http=True, trials=1) as world:
        first = world.app.settings.providers["sim"].model_copy(update={"base_url": "http://127.0.0.1:1/v1"})
        providers = {"first": first, **world.app.settings.providers}
        world.app = replace(
            world.app, settings=world.app.settings.model_copy(update={"providers": providers})
        )
        world.provider.fails["sim-1"] = set(range(8))
        done, result = outcome(world)
        (proposal,) = done.proposals.values()
        assert result.standing is Standing.BETTER
        assert proposal.needs.startswith('add [models."sim-2"] with provider = "sim"')


def test_a_moved_alias_is_pinned_only_when_what_answered_before_is_better(world: ModelWorld) -> None:
    world.provider.fails["sim-1"] = set(range(8))
    done, _ = outcome(world, opened(world, ChangeKind.MOVED, to="sim-2"))
    (proposal,) = done.proposals.values()
    assert proposal.branch
    assert "what answered before is better than what answers now" in report(done)
