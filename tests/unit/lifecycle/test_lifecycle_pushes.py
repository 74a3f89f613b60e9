"""What a push opens beside the prompts it changes, and pushes that are found by looking."""

from __future__ import annotations

import threading

import pytest

from promptship.errors import Unavailable
from promptship.lifecycle.app import App
from promptship.lifecycle.changes import what_changed
from promptship.lifecycle.ending import roll_back_prompt
from promptship.lifecycle.opening import Taken, open_release, take_push
from promptship.lifecycle.pushes import follow, pause_after, poll, receive_push, seen
from promptship.release.phase import Phase
from tests.support.house import PATH, PROMPT, STAGES, SUITE, House

OTHER = "prompts/other.yaml"
OTHER_TEXT = PROMPT.format(text="Say other things.").replace("name: support", "name: other")
ZEROS = "0" * 40


@pytest.fixture
def house() -> House:
    house = House()
    house.adopt()
    return house


def pushed(house: House, files: dict[str, str | None]) -> Taken:
    before = house.repository.resolve("main").id
    changes = {path: None if text is None else text.encode() for path, text in files.items()}
    after = house.repository.commit(changes, author="dev@example.org")
    return take_push(house.app, before=before, after=after, actor="push:dev@example.org")


def names(taken: Taken) -> list[str]:
    return [one.prompt for one in taken.opened]


def rejected(house: House, text: str = "Say hi.") -> str:
    release = house.push(text)
    assert house.run_flow(release, passes=False) == "rejected"
    return release


NEW_SUITE = SUITE.replace("hello,", "greeting,")


def test_a_suite_opens_the_rejected_prompt_that_it_judges_again(house: House) -> None:
    first = rejected(house)
    taken = pushed(house, {"suites/support.yaml": NEW_SUITE})
    assert names(taken) == ["support"]
    assert taken.opened[0].release_id != first


def test_a_suite_of_what_is_served_releases_nothing_and_says_so(house: House) -> None:
    taken = pushed(house, {"suites/support.yaml": NEW_SUITE})
    assert (taken.opened, taken.as_served) == ((), ("support",))


def test_a_text_that_was_rolled_back_is_not_tried_again_because_of_a_suite(house: House) -> None:
    release = house.push("Say hi.")
    assert house.run_flow(release) == "canary"
    roll_back_prompt(house.app, "support", actor="person:test", reason="rude")
    taken = pushed(house, {"suites/support.yaml": NEW_SUITE})
    assert (taken.opened, taken.rolled_back) == ((), ("support",))


@pytest.mark.parametrize("text", [NEW_SUITE, None])
def test_a_suite_of_another_prompt_opens_nothing(house: House, text: str | None) -> None:
    rejected(house)
    house.commit("Say hi.", **{"suites/unused.yaml": SUITE})
    taken = pushed(house, {"suites/unused.yaml": text})
    assert (taken.opened, taken.as_served) == ((), ())


@pytest.mark.parametrize("path", ["suites/checks/tone.py", "suites/data.json"])
def test_what_suites_share_counts_for_all_of_them(house: House, path: str) -> None:
    rejected(house)
    house.commit("Say hi.", **{"suites/support.yaml": f"# see data.json\n{SUITE}"})
    assert names(pushed(house, {path: "[1]"})) == ["support"]


def test_a_plan_counts_for_the_prompts_that_follow_it(house: House) -> None:
    rejected(house)
    house.commit("Say hi.", **{OTHER: OTHER_TEXT + "release: {plan: careful}\n"})
    plans = house.plan + "\n[plans.careful]\n"
    taken = pushed(house, {"promptship.toml": plans + 'on_newer = "cancel"\n'})
    assert names(taken) == ["other"]
    taken = pushed(house, {"promptship.toml": plans.replace("requests_min = 20", "requests_min = 30")})
    assert names(taken) == ["other", "support"]


def test_other_settings_of_the_file_count_for_nobody(house: House) -> None:
    rejected(house)
    taken = pushed(house, {"promptship.toml": house.plan + '\n[slack]\nchannel = "#x"\n'})
    assert taken == Taken()


def test_plans_that_cannot_be_read_open_nothing_until_they_are_mended(house: House) -> None:
    rejected(house)
    assert pushed(house, {"promptship.toml": "[plans"}) == Taken()
    assert names(pushed(house, {"promptship.toml": house.plan})) == ["support"]


def test_a_removed_prompt_is_named(house: House) -> None:
    taken = pushed(house, {PATH: None})
    assert (taken.opened, taken.removed) == ((), ("support",))


def test_a_moved_prompt_is_not_removed(house: House) -> None:
    taken = pushed(house, {PATH: None, "prompts/new place/späte.yaml": PROMPT.format(text="Say hi.")})
    assert (names(taken), taken.removed) == (["support"], ())


def test_a_suite_is_no_reason_to_end_a_canary_of_the_same_text() -> None:
    house = House(plan=STAGES.replace('"wait"', '"cancel"'))
    house.adopt()
    release = house.push("Say hi.")
    assert house.run_flow(release) == "canary"
    assert names(pushed(house, {"suites/support.yaml": NEW_SUITE})) == ["support"]
    assert house.release(release).phase is Phase.CANARY
    pushed(house, {PATH: PROMPT.format(text="Say hi twice.")})
    assert house.release(release).phase is Phase.CANCELLED


def test_a_late_push_is_superseded_also_by_one_that_has_ended(house: House) -> None:
    start = house.repository.resolve("main").id
    older = house.commit("Say hi.")
    newer = house.push("Say hi twice.")
    assert house.run_flow(newer, passes=False) == "rejected"
    (late,) = take_push(house.app, before=start, after=older, actor="push:dev@example.org").opened
    assert house.release(late.release_id).phase is Phase.SUPERSEDED


def test_what_a_person_asks_for_is_not_older_than_anything(house: House) -> None:
    start = house.repository.resolve("main").id
    older = house.commit("Say hi.")
    newer = house.push("Say hi twice.")
    by_hand = open_release(house.app, prompt="support", ref=older, actor="person:mira")
    assert house.release(newer).phase is Phase.SUPERSEDED
    for before, after in ((start, older), (older, house.repository.resolve("main").id)):
        take_push(house.app, before=before, after=after, actor="push:dev@example.org")
    assert house.release(by_hand.release_id).phase is Phase.REQUESTED
    assert house.release(newer).phase is Phase.SUPERSEDED


def test_a_branch_that_goes_back_and_forth_releases_where_it_stands(house: House) -> None:
    first = house.commit("Say hi.")
    second = house.commit("Say hi twice.")

    def told(before: str, after: str) -> str:
        (one,) = take_push(house.app, before=before, after=after, actor="push:dev@example.org").opened
        return one.release_id

    for before, after in ((first, second), (second, first), (first, second)):
        house.repository.branch("main", after)
        standing = told(before, after)
        assert house.release(standing).phase is Phase.REQUESTED
        assert house.release(standing).commit == after
    open_ones = [one for one in house.ledger.summaries() if house.release(one.id).is_open]
    assert [one.commit for one in open_ones] == [second]


def test_an_unknown_past_judges_everything_that_is_not_served(house: House) -> None:
    commit = house.commit("Say hi.", **{OTHER: OTHER_TEXT})
    assert names(take_push(house.app, before="9" * 40, after=commit, actor="push:x")) == ["other", "support"]
    assert what_changed(house.repository, house.app.settings, ZEROS, commit).prompts == ()


# -- found by looking --------------------------------------------------------------------------------------------------


def polled(house: House, every: float = 60.0) -> App:
    one = house.app
    place = one.settings.repository.model_copy(update={"poll": every})
    settings = one.settings.model_copy(update={"repository": place})
    return App(**{**{name: getattr(one, name) for name in App.__slots__}, "settings": settings})


def test_the_first_look_releases_nothing_old(house: House) -> None:
    app = polled(house)
    house.commit("Say hi.")
    assert poll(app) is None
    assert seen(app) == house.repository.resolve("main").id
    assert list(house.ledger.summaries()) == []


def test_a_look_finds_what_was_pushed_since_the_last_one_once(house: House) -> None:
    app = polled(house)
    poll(app)
    house.commit("Say hi.")
    after = house.commit("Say hi twice.")
    found = poll(app)
    assert found is not None
    assert [(one.prompt, house.release(one.release_id).commit) for one in found.opened] == [
        ("support", after)
    ]
    assert poll(app) is None


def test_what_a_hook_has_told_is_not_found_again(house: House) -> None:
    app = polled(house)
    poll(app)
    before = house.repository.resolve("main").id
    after = house.commit("Say hi.")
    receive_push(app, before=before, after=after)
    assert seen(app) == after
    assert poll(app) is None
    assert len(house.ledger.summaries()) == 1


def test_hooks_in_the_wrong_order_and_a_look_open_nothing_twice(house: House) -> None:
    app = polled(house)
    poll(app)
    start = house.repository.resolve("main").id
    first = house.commit("Say hi.")
    second = house.commit("Say hi twice.")
    receive_push(app, before=first, after=second)
    receive_push(app, before=start, after=first)
    poll(app)
    assert {one.commit for one in house.ledger.summaries()} == {first, second}
    assert poll(app) is None


def test_a_branch_that_was_deleted_leaves_everything_as_it_is(house: House) -> None:
    app = polled(house)
    poll(app)
    house.repository.branch("main", None)
    assert poll(app) is None
    assert list(house.ledger.summaries()) == []


def test_a_remote_that_is_down_is_looked_at_again(house: House) -> None:
    app = polled(house)
    poll(app)
    house.commit("Say hi.")
    house.repository.down = True
    with pytest.raises(Unavailable):
        poll(app)
    house.repository.down = False
    assert poll(app) is not None


def test_looks_get_rarer_while_the_remote_is_down() -> None:
    pauses = [pause_after(failed, 60.0) for failed in range(1, 8)]
    assert pauses == [120, 240, 480, 900, 900, 900, 900]
    assert pause_after(3, 3600.0) == 3600


def test_the_watcher_looks_until_it_is_told_to_stop(house: House) -> None:
    app = polled(house, every=0.001)
    stop = threading.Event()

    class Looks(type(house.repository)):  # type: ignore[misc]
        def fetch(self, *refs: str) -> None:
            stop.set()

    house.repository.__class__ = Looks
    follow(app, stop=stop)
    assert seen(app) == house.repository.resolve("main").id
