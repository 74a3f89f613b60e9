"""Releases that go together, through their whole life: the same share at every moment, and every end is the end of all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from promptship.errors import PromptshipError
from promptship.lifecycle import freezes
from promptship.lifecycle import kill as switch
from promptship.lifecycle.approval import approve, reject
from promptship.lifecycle.ending import cancel, roll_back_prompt
from promptship.lifecycle.groups import companions, described, going_along, left_behind
from promptship.lifecycle.opening import open_release
from promptship.lifecycle.pausing import pause, resume
from promptship.lifecycle.replay import replay
from promptship.release.phase import Phase
from promptship.render.release import release_list, release_text
from promptship.server.views import list_rows, release_view
from tests.support.group_house import GroupHouse, hold_together


def begun(**more: str) -> tuple[GroupHouse, dict[str, str]]:
    """Support and tools in their canary."""
    house = GroupHouse()
    house.begin("support", "tools", **more)
    ids = house.change(support="Say hi.", tools="Say hi, too.")
    house.run_due()
    return house, ids


def phases(house: GroupHouse, ids: dict[str, str]) -> set[str]:
    return {house.release(one).phase.value for one in ids.values()}


def test_a_change_of_both_goes_through_its_stages_and_is_promoted_together() -> None:
    house, ids = begun()
    assert set(ids) == {"support", "tools"}
    assert phases(house, ids) == {"canary"}
    assert house.shares("support", "tools") == {(0.2, min(ids.values()))}
    assert house.until_all(ids, "awaiting_approval") == ["awaiting_approval"] * 2
    hold_together(house)
    house.run_due()
    approve(house.app, ids["support"], who="mira", via="cli")
    assert house.release(ids["support"]).phase is Phase.APPROVED
    assert "waits for tools" in " ".join(
        event.fact.reason for event in house.ledger.events(ids["support"]) if event.fact.kind == "stumbled"
    )
    hold_together(house)
    approve(house.app, ids["tools"], who="noor", via="cli")
    house.run_due()
    assert phases(house, ids) == {"promoted"}
    assert house.shares("support", "tools") == {(0.0, "")}
    hold_together(house)


def test_nobody_gets_traffic_before_all_have_passed_their_suites() -> None:
    house = GroupHouse()
    house.begin("support", "tools")
    ids = house.change(support="Say hi.", tools="Say hi, too.")
    assert house.run_flow(ids["support"]) == "evaluated"
    assert house.shares("support", "tools") == {(0.0, "")}
    assert house.run_flow(ids["tools"], passes=False) == "rejected"
    support = house.release(ids["support"])
    assert support.phase is Phase.CANCELLED
    assert support.reason == f"goes together with tools, whose release {ids['tools']} was rejected: made up"


def test_a_prompt_alone_and_a_group_that_did_not_change_are_as_before() -> None:
    house = GroupHouse()
    house.begin("support", "tools", "router")
    ids = house.change(router="Say hi.")
    assert set(ids) == {"router"}
    assert house.run_flow(ids["router"]) == "canary"
    ids = house.change(tools="Say hi, tools.")
    assert set(ids) == {"tools"}, "support is what is served already"
    assert house.run_flow(ids["tools"]) == "canary"
    assert house.release(ids["tools"]).group == ()


def test_the_stage_of_all_waits_for_the_slowest() -> None:
    house, ids = begun()
    for _ in range(3):
        house.serve(80, seconds=10, bad={"tools": 0.16})  # not proven to be no worse, and not worse
        house.look()
        hold_together(house)
    assert {house.release(one).stage for one in ids.values()} == {0}
    assert house.until_all(ids, "awaiting_approval") == ["awaiting_approval"] * 2


@pytest.mark.parametrize("bad", ["support", "tools"])
def test_a_guardrail_of_one_takes_the_traffic_of_all(bad: str) -> None:
    house, ids = begun()
    (good,) = set(ids) - {bad}
    house.until_all({bad: ids[bad]}, "rolled_back", bad={bad: 0.9})
    assert house.release(ids[bad]).phase is Phase.ROLLED_BACK
    assert house.release(ids[good]).phase is Phase.CANCELLED
    assert house.release(ids[good]).along_with == ids[bad]
    assert f"goes together with {bad}" in house.release(ids[good]).reason
    assert house.shares("support", "tools") == {(0.0, "")}


ENDS: dict[str, Callable[[GroupHouse, dict[str, str]], object]] = {
    "cancel": lambda house, ids: cancel(house.app, ids["tools"], actor="person:x", reason="no"),
    "rollback": lambda house, _: roll_back_prompt(house.app, "tools", actor="person:x", reason="fire"),
    "kill": lambda house, _: switch.kill(
        house.app, "tools", actor="person:x", reason="fire", to=house.stable("tools")
    ),
    "newer": lambda house, _: house.change(support="Say hi twice.", tools="Say hi twice, too."),
}


@pytest.mark.parametrize("how", ENDS)
def test_any_end_of_one_is_the_end_of_all(how: str) -> None:
    house = GroupHouse(plan=GroupHouse.plan.replace('"wait"', '"cancel"'))
    house.begin("support", "tools")
    ids = house.change(support="Say hi.", tools="Say hi, too.")
    house.run_due()
    ENDS[how](house, ids)
    assert not any(house.release(one).is_open for one in ids.values())
    assert house.shares("support", "tools") == {(0.0, "")}
    hold_together(house)


@pytest.mark.parametrize("how", ["reject", "expire"])
def test_a_no_or_nobodys_answer_ends_all(how: str) -> None:
    house, ids = begun()
    house.until_all(ids, "awaiting_approval")
    house.run_due()
    if how == "reject":
        reject(house.app, ids["tools"], who="noor", via="cli", reason="no")
    else:
        approve(house.app, ids["support"], who="mira", via="cli")
        house.clock.advance(25 * 3600)
        house.look()
    assert house.release(ids["tools"]).phase is Phase.ROLLED_BACK
    assert house.release(ids["support"]).phase is Phase.CANCELLED
    assert house.shares("support", "tools") == {(0.0, "")}


def promoted() -> tuple[GroupHouse, dict[str, str]]:
    house, ids = begun()
    house.until_all(ids, "awaiting_approval")
    house.run_due()
    for one in ids.values():
        approve(house.app, one, who="mira", via="cli")
    house.run_due()
    assert phases(house, ids) == {"promoted"}
    return house, ids


def test_what_was_promoted_together_goes_back_together() -> None:
    house, ids = promoted()
    before = {prompt: house.release(one).stable for prompt, one in ids.items()}
    assert roll_back_prompt(house.app, "tools", actor="person:x", reason="fire") == ids["tools"]
    for prompt, stable in before.items():
        route = house.routes.get(prompt)
        assert route is not None
        assert route.stable == stable
    assert phases(house, ids) == {"rolled_back"}
    assert house.release(ids["support"]).along_with == ids["tools"]


def test_one_can_go_back_alone_when_somebody_says_so() -> None:
    house, ids = promoted()
    roll_back_prompt(house.app, "tools", actor="person:x", reason="fire", alone=True)
    assert house.release(ids["support"]).phase is Phase.PROMOTED
    assert house.release(ids["tools"]).phase is Phase.ROLLED_BACK


def test_a_text_that_fell_with_another_is_tried_again_with_its_next_version() -> None:
    house, ids = begun()
    house.until_all({"support": ids["support"]}, "rolled_back", bad={"support": 0.9})
    house.run_due()
    again = house.change(support="Say hi, friend.")
    assert set(again) == {"support", "tools"}
    house.run_due()
    assert phases(house, again) == {"canary"}


def test_a_text_with_a_bad_verdict_of_its_own_keeps_the_others_from_going() -> None:
    house, ids = begun()
    house.until_all({"tools": ids["tools"]}, "rolled_back", bad={"tools": 0.9})
    house.run_due()
    again = house.change(support="Say hi, friend.")
    assert set(again) == {"support"}
    house.run_due()
    support = house.release(again["support"])
    assert support.phase is Phase.CANCELLED
    assert "goes together with tools as it is at this commit" in support.reason
    assert "rolled back" in support.reason


def test_a_release_by_hand_takes_its_group_along_and_again() -> None:
    house, ids = begun()
    cancel(house.app, ids["tools"], actor="person:x", reason="not today")
    commit = house.release(ids["support"]).commit
    opened = open_release(house.app, prompt="support", ref=commit, actor="person:x", again=True)
    assert opened.release_id == f"{ids['support']}-2"
    house.run_due()
    assert house.release(f"{ids['tools']}-2").phase is Phase.CANARY
    assert house.shares("support", "tools") == {(0.2, min(f"{one}-2" for one in ids.values()))}
    hold_together(house)


def test_a_member_whose_opening_was_lost_is_opened_by_the_other() -> None:
    house = GroupHouse()
    house.begin("support", "tools")
    before = house.repository.resolve("main").id
    house.texts |= {"support": "Say hi.", "tools": "Say hi, too."}
    after = house.save()
    from promptship.lifecycle import opening

    real, calls = house.ledger.open_release, 0

    def dies(*words: object, **more: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return real(*words, **more)

    house.ledger.open_release = dies  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        opening.open_for_push(house.app, before=before, after=after, actor="push:dev@example.org")
    house.run_due()
    found = {one.prompt: one for one in house.ledger.summaries()}
    assert {one.phase for one in found.values()} == {Phase.CANARY}
    assert set(found) == {"support", "tools"}
    hold_together(house)


def test_a_pause_of_one_keeps_all_where_they_are() -> None:
    house, ids = begun()
    pause(house.app, ids["tools"], actor="person:x")
    for _ in range(3):
        house.serve(120)
        house.look()
    assert {house.release(one).stage for one in ids.values()} == {0}
    resume(house.app, ids["tools"], actor="person:x")
    assert house.until_all(ids, "awaiting_approval") == ["awaiting_approval"] * 2
    house.run_due()
    pause(house.app, ids["tools"], actor="person:x")
    approve(house.app, ids["support"], who="mira", via="cli")
    approve(house.app, ids["tools"], who="mira", via="cli")
    house.run_due()
    assert phases(house, ids) == {"approved"}
    resume(house.app, ids["tools"], actor="person:x")
    house.run_due()
    assert phases(house, ids) == {"promoted"}


def test_where_one_can_have_no_canary_all_go_to_people() -> None:
    house = GroupHouse()
    house.begin("support", "router", support="")
    house.texts["tools"] = "Say hi, too."
    ids = house.change(support="Say hi.")
    assert set(ids) == {"support", "tools"}
    house.run_due()
    assert phases(house, ids) == {"awaiting_approval"}
    assert house.release(ids["tools"]).question == "first"
    assert house.release(ids["support"]).question == "unproven"
    assert "tools, which has no canary" in house.release(ids["support"]).reason
    approve(house.app, ids["support"], who="mira", via="cli")
    approve(house.app, ids["tools"], who="mira", via="cli")
    house.run_due()
    assert phases(house, ids) == {"promoted"}
    hold_together(house)


def test_a_high_risk_of_one_is_asked_about_before_the_traffic_of_all() -> None:
    risky = "risk: high\nrelease: {together: [tools]}\n"
    house, ids = begun(support=risky)
    for one in ids.values():
        cancel(house.app, one, actor="person:x", reason="with the risk") if house.release(
            one
        ).is_open else None
    ids = house.change(support="Say hi again.", more={"support": risky})
    house.run_due()
    assert [house.release(ids[one]).phase for one in ("support", "tools")] == [
        "awaiting_approval",
        "evaluated",
    ]
    for who in ("mira", "noor"):
        approve(house.app, ids["support"], who=who, via="cli")
    house.run_due()
    assert phases(house, ids) == {"canary"}
    hold_together(house)


def test_telemetry_of_one_that_cannot_be_read_costs_all_their_traffic() -> None:
    house, ids = begun()
    real = house.measurements.counts

    def counts(release_id: str, *words: object, **more: object) -> object:
        if release_id == ids["tools"]:
            raise PromptshipError("the disk is full")
        return real(release_id, *words, **more)  # type: ignore[arg-type]

    house.measurements.counts = counts  # type: ignore[method-assign, assignment]
    for _ in range(40):
        house.clock.advance(10)
        house.look()
    leases = [house.routes.table().routes[prompt].split for prompt in ids]
    assert [split.lease_s if split else None for split in leases] == [0.0, 0.0]
    house.measurements.counts = real  # type: ignore[method-assign]
    house.look()
    leases = [house.routes.table().routes[prompt].split for prompt in ids]
    assert len({split.lease_s if split else None for split in leases}) == 1
    assert leases[0] is not None
    assert leases[0].lease_s > 0


def test_every_look_of_a_group_can_be_taken_again() -> None:
    house, ids = promoted()
    for one in ids.values():
        again = replay(house.app, one)
        assert again.looks > 0
        assert again.differences == ()


def test_a_freeze_of_one_keeps_all_from_more_traffic() -> None:
    house = GroupHouse()
    house.begin("support", "tools")
    freezes.begin(house.app, freezes.Freeze(name="sales", prompts=("tools",)), actor="person:x")
    ids = house.change(support="Say hi.", tools="Say hi, too.")
    house.run_due()
    assert phases(house, ids) == {"evaluated"}
    freezes.end_freeze(house.app, "sales", actor="person:x")
    house.clock.advance(3601)
    house.run_due()
    assert phases(house, ids) == {"canary"}
    freezes.begin(house.app, freezes.Freeze(name="sales", prompts=("tools",)), actor="person:x")
    for _ in range(3):
        house.serve(120)
        house.look()
    assert {house.release(one).stage for one in ids.values()} == {0}
    freezes.end_freeze(house.app, "sales", actor="person:x")
    assert house.until_all(ids, "awaiting_approval") == ["awaiting_approval"] * 2


def test_who_waited_for_a_release_that_changes_nothing_goes_on_alone() -> None:
    house = GroupHouse()
    house.begin("support", "tools")
    first = house.change(tools="Say hi, tools.")["tools"]
    house.run_due()
    ids = house.change(support="Say hi.")
    assert set(ids) == {"support", "tools"}, "tools as it is at this commit is not served yet"
    house.run_due()
    assert house.release(ids["support"]).phase is Phase.EVALUATED
    house.until_all({"tools": first}, "awaiting_approval")
    approve(house.app, first, who="mira", via="cli")
    house.run_due()
    house.clock.advance(901)
    house.run_due()
    assert house.release(ids["tools"]).phase is Phase.CANCELLED
    assert house.release(ids["support"]).phase is Phase.CANARY
    assert house.release(ids["support"]).group == ()


def test_list_page_and_show_say_what_goes_with_what_and_waits() -> None:
    house, ids = begun()
    house.until_all(ids, "awaiting_approval")
    house.run_due()
    approve(house.app, ids["support"], who="mira", via="cli")
    release, summaries = house.release(ids["support"]), house.ledger.summaries()
    group = described(house.app, release)
    assert group[0] == f"tools (release {ids['tools']}, awaiting approval)"
    assert group[1] == "waits for tools, with which it goes together: people have to agree to it"
    shown = release_text(release, house.ledger.events(release.id), group)
    assert group[0] in shown
    assert "for tools, with which it goes together" in shown
    along = companions(house.app, summaries)
    assert along == {ids["support"]: ("tools",), ids["tools"]: ("support",)}
    listed = release_list(summaries, house.clock.now(), companions=along)
    assert "approved, with tools" in listed
    rows = {row["prompt"]: row["phase"] for row in list_rows(summaries, house.clock.now(), along)}
    assert rows["tools"] == "awaiting approval, with support"
    fields = release_view(release, house.ledger.events(release.id), None, together=group[0], waits=group[1])
    assert ("Goes with", group[0]) in fields["fields"]


def test_who_went_along_and_who_was_left_behind() -> None:
    house, ids = promoted()
    roll_back_prompt(house.app, "tools", actor="person:x", reason="fire", alone=True)
    assert left_behind(house.app, ids["tools"]) == ["support"]
    assert going_along(house.app, ids["tools"]) == []
    roll_back_prompt(house.app, "support", actor="person:x", reason="fire")
    assert left_behind(house.app, ids["support"]) == []
