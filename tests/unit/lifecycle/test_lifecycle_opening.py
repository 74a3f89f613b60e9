"""Pushes that come together, in the wrong order, or are announced twice."""

import pytest

from promptship.lifecycle import steps
from promptship.lifecycle.ending import cancel
from promptship.lifecycle.opening import open_for_push
from promptship.release.events import Requested
from promptship.release.phase import Phase
from tests.support.house import PATH, PROMPT, STAGES, House

CANCEL = STAGES.replace('"wait"', '"cancel"')


@pytest.fixture
def house() -> House:
    house = House()
    house.adopt()
    return house


def announce(house: House, before: str, after: str) -> str:
    (opened,) = open_for_push(house.app, before=before, after=after, actor="push:dev@example.org")
    return opened.release_id


def test_an_older_release_is_superseded_even_while_it_moves(house: House) -> None:
    older = house.push("Say hello twice.")
    house.ledger.meanwhile = [lambda: steps.lint(house.app, older)]
    newer = house.push("Say hello three times.")
    assert house.release(older).phase is Phase.SUPERSEDED
    assert house.run_flow(newer) == "canary"


def test_a_canary_that_ends_by_itself_does_not_stop_the_push_that_wanted_it_cancelled() -> None:
    house = House(plan=CANCEL)
    house.adopt()
    running = house.push("Say hello twice.")
    house.run_flow(running)
    house.ledger.meanwhile = [lambda: cancel(house.app, running, actor="person:test", reason="first")]
    newer = house.push("Say hello three times.")
    assert house.release(running).reason == "first"
    assert newer in house.orchestrator.started


def test_room_is_made_even_when_the_one_who_opened_died_before(house: House) -> None:
    older = house.push("Say hello twice.")
    before = house.repository.resolve("main").id
    after = house.commit("Say hello three times.")
    fact = Requested(prompt="support", path=PATH, commit=after, author="dev@example.org")
    newer, _ = house.ledger.open_release(fact, actor="push:dev@example.org", at=house.clock.now())
    assert announce(house, before, after) == newer
    assert house.release(older).phase is Phase.SUPERSEDED
    assert house.release(newer).phase is Phase.REQUESTED


def test_an_announcement_that_is_late_does_not_replace_what_was_built_on_it(house: House) -> None:
    start = house.repository.resolve("main").id
    first = house.commit("Say hello twice.")
    second = house.commit("Say hello three times.")
    newer = announce(house, first, second)
    older = announce(house, start, first)
    assert house.release(older).phase is Phase.SUPERSEDED
    assert newer in house.release(older).reason
    assert house.release(newer).phase is Phase.REQUESTED
    assert house.run_flow(newer) == "canary"


def test_a_late_announcement_does_not_cancel_the_canary_of_what_was_built_on_it() -> None:
    house = House(plan=CANCEL)
    house.adopt()
    start = house.repository.resolve("main").id
    first = house.commit("Say hello twice.")
    second = house.commit("Say hello three times.")
    newer = announce(house, first, second)
    house.run_flow(newer)
    older = announce(house, start, first)
    assert house.release(newer).phase is Phase.CANARY
    assert house.release(older).phase is Phase.SUPERSEDED


def test_a_push_back_to_an_older_commit_is_the_newer_push(house: House) -> None:
    first = house.commit("Say hello twice.")
    second = house.commit("Say hello three times.")
    ahead = announce(house, first, second)
    house.repository.branch("main", first)
    back = announce(house, second, first)
    assert house.release(ahead).phase is Phase.SUPERSEDED
    assert house.release(back).phase is Phase.REQUESTED


def test_what_has_ended_is_not_opened_again_by_another_announcement(house: House) -> None:
    start = house.repository.resolve("main").id
    release = house.push("Say hello {{ nobody }}.")
    assert house.run_flow(release) == "rejected"
    assert announce(house, start, house.repository.resolve("main").id) == release
    assert house.release(release).phase is Phase.REJECTED


BROKEN = {
    "a promptship.toml that is none": ({"promptship.toml": "[plans.default\n"}, "promptship.toml"),
    "an unknown key of a plan": ({"promptship.toml": "[plans.default]\nstages = 1\n"}, "stages"),
    "an expiry that no calendar has": ({"promptship.toml": "[plans.default.approval]\nexpires = inf\n"}, "expires"),
    "a prompt that is no YAML": ({PATH: "name: [support\n"}, PATH),
    "an empty prompt": ({PATH: ""}, PATH),
    "a prompt that is no text": ({PATH: "\x00\x01"}, PATH),
    "a plan nobody wrote": ({PATH: PROMPT.format(text="Hi") + "release: {plan: fast}\n"}, "fast"),
    "a plan silenced instead of corrected": (
        {PATH: PROMPT.format(text="Hi") + "# promptship: ignore[PS601]\nrelease: {plan: fast}\n"},
        "fast",
    ),
    "no suite": ({"suites/support.yaml": "cases: []", "promptship.toml": '[plans.default.regression]\nsuites = ["x"]'}, "x"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_in_a_commit_is_rejected_by_lint_and_says_where(house: House, what: str) -> None:
    files, named = BROKEN[what]
    release = house.push("Hi", **files)
    assert house.run_flow(release) == "rejected"
    assert named in house.release(release).reason
    assert house.kinds(release) == ["requested", "rejected", "concluded"]


def test_two_files_of_one_name_are_rejected_whichever_of_them_was_pushed(house: House) -> None:
    before = house.repository.resolve("main").id
    after = house.commit("Say hello twice.", **{"prompts/a-copy.yaml": PROMPT.format(text="Say hello.")})
    opened = open_for_push(house.app, before=before, after=after, actor="push:dev@example.org")
    (release,) = {one.release_id for one in opened}
    assert house.run_flow(release) == "rejected"
    assert "PS002" in house.release(release).reason
    again = house.push("Say hello three times.")
    assert house.run_flow(again) == "rejected"
    assert "prompts/a-copy.yaml" in house.release(again).reason


def test_who_begins_to_wait_in_the_instant_the_other_ends_does_not_wait(house: House) -> None:
    running = house.push("Say hello twice.")
    house.run_flow(running)
    newer = house.push("Say hello three times.")
    house.ledger.meanwhile = [lambda: cancel(house.app, running, actor="person:test", reason="make room")]
    assert house.run_flow(newer) == "canary"
    assert house.kinds(newer) == ["requested", "stumbled", "linted", "evaluated", "stage_started"]
