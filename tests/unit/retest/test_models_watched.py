"""What is noticed of models in production, each thing once."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from promptship.errors import Unavailable
from promptship.lifecycle import model_use, retests
from promptship.lifecycle.models_seen import Watched, note_answer, watch
from promptship.release.model_changes import ChangeKind
from tests.support.model_world import ModelWorld, model_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ModelWorld]:
    with model_world(tmp_path) as world:
        yield world


def look(world: ModelWorld) -> Watched:
    return asyncio.run(watch(world.app))


def kinds(seen: Watched) -> list[str]:
    return [notice.kind for notice in seen.notices]


def test_what_is_there_at_the_first_look_is_no_news(world: ModelWorld) -> None:
    world.provider.models["sim-9"] = None
    assert kinds(look(world)) == []
    assert model_use.seen_models(world.app, "sim") == {"sim-1", "sim-9"}
    assert kinds(look(world)) == []


def test_a_newer_model_of_a_family_in_use_is_noticed_once_and_re_tested(world: ModelWorld) -> None:
    look(world)
    world.provider.models |= {"sim-2": None, "sim-0": None, "other-7": None}
    assert kinds(look(world)) == ["appeared"]
    assert kinds(look(world)) == []
    (opened,) = retests.open_ones(world.app)
    assert (opened.change.kind, opened.change.model, opened.change.to) == (
        ChangeKind.APPEARED,
        "sim-1",
        "sim-2",
    )
    assert "1 production prompt (support)" in world.told()[0]


def test_an_ignored_family_is_seen_but_not_tested(tmp_path: Path) -> None:
    with model_world(tmp_path, ignore=("sim",)) as world:
        look(world)
        world.provider.models["sim-2"] = None
        assert kinds(look(world)) == []
        assert "sim-2" in model_use.seen_models(world.app, "sim")


def test_a_retirement_is_told_at_each_lead_time_once(world: ModelWorld) -> None:
    today = world.house.clock.now().date()
    world.provider.models |= {"sim-1": (today + timedelta(days=100)).isoformat(), "sim-2": None}
    told = []
    for day in range(103):
        if kinds(look(world)):
            told.append(100 - day)
        world.house.clock.advance(86_400)
    assert told == [90, 30, 7, 1, 0]
    assert all("to be re-tested with sim-2" in text for text in world.told())
    assert len(retests.retests(world.app)) == 1, "one re-test however often it is told"


def test_after_a_long_absence_it_is_told_once(world: ModelWorld) -> None:
    today = world.house.clock.now().date()
    world.provider.models["sim-1"] = (today + timedelta(days=5)).isoformat()
    assert kinds(look(world)) == ["retiring"]
    assert kinds(look(world)) == []
    assert "choose one and run `promptship retest" in world.told()[0]


def test_a_new_date_is_told_anew(world: ModelWorld) -> None:
    today = world.house.clock.now().date()
    for days in (20, 10):
        world.provider.models["sim-1"] = (today + timedelta(days=days)).isoformat()
        assert kinds(look(world)) == ["retiring"]
    assert model_use.announced(world.app, "sim", "sim-1") == (today + timedelta(days=10)).isoformat()


def test_the_settings_know_of_a_retirement_that_no_list_tells(tmp_path: Path) -> None:
    with model_world(tmp_path) as world:
        world.provider.has_list = False
        known = world.app.settings.models["sim-1"].model_copy(update={"retires_on": "2026-01-03"})
        world.app.settings.models["sim-1"] = known
        assert kinds(look(world)) == ["retiring"]
        assert "retires on 2026-01-03, in 2 days" in world.told()[0]


def test_a_model_that_leaves_the_list_is_told_once(world: ModelWorld) -> None:
    look(world)
    del world.provider.models["sim-1"]
    assert kinds(look(world)) == ["gone"]
    assert kinds(look(world)) == []


def test_while_people_cannot_be_told_it_stays_news(world: ModelWorld) -> None:
    look(world)
    world.provider.models["sim-2"] = None
    world.house.approvals.down = True
    seen = look(world)
    assert kinds(seen) == []
    assert isinstance(seen.problems[0], Unavailable)
    world.house.approvals.down = False
    assert kinds(look(world)) == ["appeared"]
    assert len(retests.retests(world.app)) == 1


def test_a_provider_that_is_down_is_a_problem_and_no_empty_list(world: ModelWorld) -> None:
    look(world)
    world.provider.down = True
    seen = look(world)
    assert (seen.notices, seen.lists, len(seen.problems)) == ((), (), 1)


def test_an_alias_that_is_answered_by_another_model_is_compared_with_the_one_before(
    world: ModelWorld,
) -> None:
    world.provider.models |= {"sim-1-2026-01-01": None, "sim-1-2026-03-01": None}
    look(world)
    (one,) = model_use.in_use(world.app)
    assert note_answer(world.app, one, model="sim-1-2026-01-01", fingerprint="a") is None
    assert note_answer(world.app, one, model="sim-1-2026-01-01", fingerprint="b") is None
    notice = note_answer(world.app, one, model="sim-1-2026-03-01", fingerprint="c")
    assert notice is not None
    assert (notice.kind, notice.payload["before"]) == ("moved", "sim-1-2026-01-01")
    assert note_answer(world.app, one, model="sim-1-2026-01-01", fingerprint="a") is None, (
        "machines change over one by one"
    )
    (opened,) = retests.open_ones(world.app)
    assert (opened.change.kind, opened.change.to) == (ChangeKind.MOVED, "sim-1-2026-01-01")


def test_a_move_from_a_model_that_cannot_be_asked_any_more_is_told_without_a_comparison(
    world: ModelWorld,
) -> None:
    look(world)
    (one,) = model_use.in_use(world.app)
    note_answer(world.app, one, model="sim-1-old", fingerprint="")
    notice = note_answer(world.app, one, model="sim-1-new", fingerprint="")
    assert notice is not None
    assert notice.payload["retest"] == ""
    assert not list(retests.open_ones(world.app))
