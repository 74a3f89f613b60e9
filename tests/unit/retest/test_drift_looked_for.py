"""Silent drift: probes of models, and prompts tested again on the model that nobody changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from promptship.chat import ChatAnswer
from promptship.errors import Unavailable
from promptship.evals.probes import PROBES, TRIALS, kind_of
from promptship.lifecycle import model_use
from promptship.prompts.digest import digest, from_canonical
from promptship.routing.table import Version
from promptship.tasks import drifting
from tests.support.model_world import CASES, ModelWorld, model_world

WEEK_S = 7 * 86_400
ROUND = len(PROBES) * TRIALS


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ModelWorld]:
    with model_world(tmp_path, trials=2) as world:
        yield world


def look(world: ModelWorld) -> list[str]:
    return [
        notice.kind
        for one in drifting.drift_due(world.app)
        for notice in drifting.look_for_drift(world.app, *one)
    ]


def probed(world: ModelWorld) -> list[str]:
    notices, problems = drifting.probe(world.app)
    assert problems == []
    return [notice.kind for notice in notices]


def test_the_first_look_is_the_baseline_and_the_next_comes_in_a_week(world: ModelWorld) -> None:
    assert look(world) == []
    assert world.provider.asked == 2 * CASES
    assert look(world) == []
    assert world.provider.asked == 2 * CASES, "not due"
    world.house.clock.advance(WEEK_S)
    assert look(world) == []
    assert world.provider.asked == 4 * CASES, "no kept answer is taken: the question is what comes today"


def test_what_gets_worse_is_told_once_and_is_the_new_baseline(world: ModelWorld) -> None:
    look(world)
    world.provider.fails["sim-1"] = set(range(CASES))
    told = []
    for _ in range(4):
        world.house.clock.advance(WEEK_S)
        told += look(world)
    assert told == ["drifted"]
    assert (
        "support has become worse on sim-1 although nobody changed either: 100% of trials passed before"
        in world.told()[0]
    )


def test_a_look_that_was_cut_off_pays_only_what_is_missing(world: ModelWorld) -> None:
    complete = world.provider.complete

    def dies(request: object) -> object:
        if world.provider.asked >= CASES:
            raise SystemError("killed")
        return complete(request)  # type: ignore[arg-type]

    world.app.models._answer = dies  # type: ignore[attr-defined]
    with pytest.raises(SystemError):
        look(world)
    world.app.models._answer = complete  # type: ignore[attr-defined]
    look(world)
    assert world.provider.asked == 2 * CASES
    assert len(world.app.journal.entries("drift:support")) == 1


def test_a_provider_that_is_down_is_no_look(world: ModelWorld) -> None:
    world.provider.down = True
    with pytest.raises(Unavailable):
        look(world)
    assert world.app.journal.entries("drift:support") == ()


def test_another_version_begins_anew(world: ModelWorld) -> None:
    look(world)
    world.house.clock.advance(WEEK_S)
    look(world)
    ((used, prompt, _),) = [(one, "support", "") for one in model_use.in_use(world.app)]
    assert world.app.journal.entries("drift:support")[-1].data["state"]["looks"] == 2
    version = adopt_another(world)
    drifting.look_for_drift(world.app, used, prompt, version)
    state = world.app.journal.entries("drift:support")[-1].data["state"]
    assert (state["version"], state["looks"]) == (version, 1)


def adopt_another(world: ModelWorld) -> str:
    route = world.app.routes.get("support")
    assert route is not None
    assert route.stable is not None
    kept = world.app.routes.version(route.stable)
    content = {**kept.content, "parameters": {"temperature": 1}}
    other = Version(digest=digest(from_canonical("support", content)), commit=kept.commit, content=content)
    world.app.routes.keep_version(other)
    return other.digest


def test_no_time_between_means_no_looks(tmp_path: Path) -> None:
    with model_world(tmp_path, every=0) as world:
        assert drifting.drift_due(world.app) == []


def test_probes_are_asked_once_a_day(world: ModelWorld) -> None:
    assert probed(world) == probed(world) == []
    assert world.provider.asked == ROUND
    world.house.clock.advance(86_400)
    assert probed(world) == []
    assert world.provider.asked == 2 * ROUND


def test_probes_can_be_off(tmp_path: Path) -> None:
    with model_world(tmp_path, probes=False) as world:
        assert probed(world) == []
        assert world.provider.asked == 0


def test_another_model_under_the_name_is_noticed_by_its_answers_and_prompts_are_looked_at(
    world: ModelWorld,
) -> None:
    look(world)
    told = []
    for day in range(6):
        if day == 3:
            world.provider.probe = "heron"
        told += probed(world)
        world.house.clock.advance(86_400)
    assert told == ["drifted"]
    assert drifting.drift_due(world.app), "before the week is over"


def test_another_fingerprint_makes_prompts_be_looked_at(world: ModelWorld) -> None:
    world.provider.fingerprint = "fp-1"
    probed(world)
    look(world)
    world.house.clock.advance(86_400)
    probed(world)
    assert drifting.drift_due(world.app) == []
    world.provider.fingerprint = "fp-2"
    world.house.clock.advance(86_400)
    assert probed(world) == []
    assert drifting.drift_due(world.app)


def test_probes_notice_who_answers(world: ModelWorld) -> None:
    world.provider.answers_as["sim-1"] = "sim-1-2026-01-01"
    assert probed(world) == []
    world.house.clock.advance(86_400)
    world.provider.answers_as["sim-1"] = "sim-1-2026-03-01"
    assert probed(world) == ["moved"]


def test_case_and_punctuation_of_an_answer_do_not_count() -> None:
    assert kind_of(ChatAnswer(text=" Heron.\n")) == kind_of(ChatAnswer(text="heron"))
    assert kind_of(ChatAnswer(text="🐢")) == kind_of(ChatAnswer(text=" 🐢"))
