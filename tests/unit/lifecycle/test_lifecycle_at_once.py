"""Lint right after a push, traffic right after a yes; and the run that comes later finds it done."""

from __future__ import annotations

import pytest

from promptship.errors import Unavailable
from promptship.lifecycle.approval import approve
from promptship.lifecycle.at_once import lint_at_once
from promptship.lifecycle.opening import NUDGED_MAX
from promptship.lifecycle.pushes import receive_push
from promptship.release.phase import Phase
from tests.support.house import PROMPT, House


def test_a_push_is_linted_before_any_run() -> None:
    house = House()
    before = house.adopt()
    after = house.commit("Say hello kindly.", **{"prompts/broken.md": "---\nname: broken\n---\n{{"})
    taken = receive_push(house.app, before=before, after=after)
    phases = {one.prompt: house.release(one.release_id).phase for one in taken.opened}
    assert phases == {"support": Phase.LINTED, "broken": Phase.REJECTED}
    (good,) = [one.release_id for one in taken.opened if one.prompt == "support"]
    assert house.kinds(good) == ["requested", "linted"]
    assert house.run_flow(good) == "canary"
    assert house.kinds(good)[:3] == ["requested", "linted", "evaluated"]


def test_one_that_cannot_be_linted_keeps_no_other_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    before = house.adopt()
    after = house.commit(
        "Say hello kindly.", **{"prompts/b.yaml": PROMPT.format(text="Hi.").replace("support", "b")}
    )
    read = house.repository.tree
    failing = iter([Unavailable("down"), OSError("torn")])

    def tree(commit: str) -> object:
        error = next(failing, None)
        if error is not None:
            raise error
        return read(commit)

    taken = receive_push(house.app, before=before, after=after)
    assert len(taken.opened) == 2
    house.repository.tree = tree  # type: ignore[method-assign, assignment]
    lint_at_once(house.app, ["r-unknown", *(one.release_id for one in taken.opened)])


def test_a_large_push_asks_for_few_runs_and_the_reconciler_for_the_others() -> None:
    house = House()
    before = house.adopt()
    files = {
        f"prompts/p{n}.yaml": PROMPT.format(text="Hi.").replace("support", f"p{n}")
        for n in range(NUDGED_MAX + 3)
    }
    taken = receive_push(house.app, before=before, after=house.commit(**files))
    assert len(taken.opened) == NUDGED_MAX + 3
    assert len(house.orchestrator.started) == NUDGED_MAX
    house.clock.advance(1)
    house.look()
    assert len(set(house.orchestrator.started)) == NUDGED_MAX + 3


def test_a_yes_is_traffic_at_once_and_the_run_tells_it() -> None:
    house = House()
    house.adopt()
    release = house.in_question("Say hello twice.")
    house.run_flow(release)
    assert approve(house.app, release, who="mira", via="cli").phase is Phase.PROMOTED
    assert house.serving() == house.release(release).version
    assert house.run_flow(release) == "promoted"
    assert house.kinds(release)[-3:] == ["approved", "promoted", "concluded"]


@pytest.mark.parametrize("error", [Unavailable("down"), OSError("torn")])
def test_a_yes_whose_effect_fails_is_kept_and_the_run_does_it(error: Exception) -> None:
    house = House()
    house.adopt()
    release = house.in_question("Say hello twice.")
    house.run_flow(release)

    def down(prompt: str) -> None:
        raise error

    read, house.routes.get = house.routes.get, down  # type: ignore[method-assign]
    assert approve(house.app, release, who="mira", via="cli").phase is Phase.APPROVED
    house.routes.get = read  # type: ignore[method-assign]
    assert house.run_flow(release) == "promoted"


def test_a_push_asks_an_orchestrator_that_hangs_once() -> None:
    house = House()
    before = house.adopt()
    asked: list[str] = []

    def hangs(release_id: str, *, key: str) -> str:
        asked.append(release_id)
        raise Unavailable("no answer")

    house.orchestrator.start = hangs  # type: ignore[method-assign]
    files = {f"prompts/p{n}.yaml": PROMPT.format(text="Hi.").replace("support", f"p{n}") for n in range(3)}
    taken = receive_push(house.app, before=before, after=house.commit(**files))
    assert len(taken.opened) == 3
    assert len(asked) == 1
    assert Phase.REQUESTED not in {house.release(one.release_id).phase for one in taken.opened}, (
        "linted all the same"
    )
