"""Deciding in the browser: signed in, with our form, under the same policies as everywhere."""

import re
from typing import Any

import pytest

from promptship.lifecycle.approval import approve
from promptship.lifecycle.steps import promote
from promptship.release import events as e
from promptship.release.phase import Phase
from promptship.server.access import COOKIE, new_session
from tests.support.plane import SECRET, TOKEN, World, client, opened, waiting


def session(world: World) -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={new_session(TOKEN, SECRET, world.clock.now())}"}


async def decide(world: World, release_id: str, *, signed_in: bool = True, **fields: Any) -> Any:
    asgi = world.asgi()
    headers = session(world) if signed_in else {}
    async with client(asgi, token=None) as http:
        shown = await http.get(f"/releases/{release_id}/decide", headers=session(world))
        hidden = dict(re.findall(r'name="(form|seq)" value="([^"]*)"', shown.text))
        data = {**hidden, "who": "mira", "decision": "approve", "reason": "", **fields}
        answer = await http.post(f"/releases/{release_id}/decide", data=data, headers=headers)
    await asgi.state.plane.drain()
    return answer


async def test_a_yes_counts_and_leads_back_to_the_release() -> None:
    world = World()
    release_id = waiting(world)
    answer = await decide(world, release_id, reason="good numbers")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/releases/{release_id}")
    release = world.app.release(release_id)
    assert (release.phase, release.approvers) == (Phase.PROMOTED, ("mira",))
    given = world.app.ledger.events(release_id)[7].fact
    assert isinstance(given, e.ApprovalGiven)
    assert (given.via, given.reason) == ("web", "good numbers")
    (card,) = world.approvals.cards.values()
    assert not card.ask


async def test_a_no_and_a_roll_back() -> None:
    world = World()
    release_id = waiting(world)
    assert (await decide(world, release_id, decision="reject", reason="too curt")).status_code == 303
    assert world.app.release(release_id).reason == "rejected by mira: too curt"
    world = World()
    release_id = waiting(world)
    approve(world.app, release_id, who="mira", via="cli")
    promote(world.app, release_id)
    assert (await decide(world, release_id, decision="roll_back", reason="fire")).status_code == 303
    assert world.app.release(release_id).phase is Phase.ROLLED_BACK


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"who": "eve"}, 403, "not a configured approver"), ({"seq": "3"}, 403, "old"), ({"seq": "x"}, 403, "old"),
        ({"form": "0" * 64}, 403, "try again"), ({"form": ""}, 403, "try again"), ({"who": " "}, 400, "who you are"),
        ({"decision": "promote"}, 400, "who you are"),
    ],
)  # fmt: skip
async def test_what_does_not_count_says_why(fields: dict[str, Any], status: int, said: str) -> None:
    world = World()
    release_id = waiting(world)
    answer = await decide(world, release_id, **fields)
    assert answer.status_code == status
    assert said in answer.text
    assert "<script" not in answer.text
    assert world.app.release(release_id).phase is Phase.AWAITING_APPROVAL


async def test_without_a_session_there_is_only_the_sign_in() -> None:
    world = World()
    release_id = waiting(world)
    assert (await decide(world, release_id, signed_in=False)).status_code == 401
    async with client(world.asgi(), token=None) as http:
        assert (await http.get(f"/releases/{release_id}/decide")).status_code == 401
        assert (await http.get("/releases/r-none/decide", headers=session(world))).status_code == 404
    assert world.app.release(release_id).phase is Phase.AWAITING_APPROVAL


async def test_the_button_is_there_exactly_when_something_can_be_decided() -> None:
    world = World()
    release_id = waiting(world)
    async with client(world.asgi(), token=None) as http:
        assert "/decide" in (await http.get(f"/releases/{release_id}", headers=session(world))).text
    world = World()
    release_id = opened(world)
    async with client(world.asgi(), token=None) as http:
        assert "/decide" not in (await http.get(f"/releases/{release_id}", headers=session(world))).text
        text = (await http.get(f"/releases/{release_id}/decide", headers=session(world))).text
    assert "Nothing is left to decide" in text
