"""Clicks in Slack: signed, fresh, by an approver, on the card that stands; everybody else is told why not."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from promptship.errors import Unavailable
from promptship.release import events as e
from promptship.release.phase import Phase
from promptship.release.plan import Approval, Plan
from promptship.settings import Settings, SlackSettings
from tests.support.plane import (
    MIRA,
    NOOR,
    SLACK_SECRET,
    World,
    click,
    client,
    in_canary,
    reject_modal,
    slack_headers,
    waiting,
)
from tests.support.standin import Said, StandIn, stand_in


@pytest.fixture
def slack() -> Iterator[StandIn]:
    with stand_in(lambda _: Said(200, b"ok")) as server:
        yield server


@pytest.fixture
def world(slack: StandIn) -> World:
    return World(Settings(approvers=(MIRA, NOOR), slack=SlackSettings(base_url=f"{slack.url}/api/")))


async def send(
    world: World, body: bytes, headers: dict[str, str] | None = None, path: str = "/slack/interactions"
) -> Any:
    asgi = world.asgi()
    headers = slack_headers(body, world.clock.now().timestamp()) if headers is None else headers
    async with client(asgi, token=None) as http:
        answer = await http.post(path, content=body, headers=headers)
    await asgi.state.plane.drain()
    return answer


async def test_an_approvers_click_approves_and_the_card_shows_it(world: World, slack: StandIn) -> None:
    release_id = waiting(world)
    answer = await send(world, click(release_id, response_url=f"{slack.url}/r"))
    assert (answer.status_code, answer.content) == (200, b"")
    release = world.app.release(release_id)
    assert (release.phase, release.approvers) == (Phase.PROMOTED, ("mira",))
    given = world.app.ledger.events(release_id)[7].fact
    assert isinstance(given, e.ApprovalGiven)
    assert given.via == "slack"
    (card,) = world.approvals.cards.values()
    assert (card.ask, card.outcome) == (False, "Promoted by mira after 0 s")
    assert slack.asked == []


async def test_a_reject_gives_the_traffic_back_and_says_who(world: World) -> None:
    release_id = waiting(world)
    answer = await send(world, reject_modal(release_id, user="UNOOR"))
    assert (answer.status_code, answer.content) == (200, b"")
    release = world.app.release(release_id)
    assert (release.phase, release.reason) == (
        Phase.ROLLED_BACK,
        "rejected by noor: too curt",
    )
    (card,) = world.approvals.cards.values()
    assert not card.ask


async def test_the_first_of_two_approvers_leaves_the_buttons(world: World) -> None:
    release_id = waiting(world, required=2)
    await send(world, click(release_id))
    (card,) = world.approvals.cards.values()
    assert card.ask
    assert "**Approved by:** mira" in card.lines
    assert "[-kind-]{+concise+}" in card.diff
    await send(world, click(release_id, user="UNOOR"))
    assert world.app.release(release_id).phase is Phase.PROMOTED


async def refused(world: World, slack: StandIn, body: bytes) -> str:
    answer = await send(world, body)
    assert answer.status_code == 200
    (asked,) = slack.asked
    assert asked.json["response_type"] == "ephemeral"
    text: str = asked.json["text"]
    return text


async def test_somebody_else_is_told_why_and_it_is_kept(world: World, slack: StandIn) -> None:
    release_id = waiting(world)
    text = await refused(world, slack, click(release_id, user="UEVE", response_url=f"{slack.url}/r"))
    assert "UEVE is not a configured approver" in text
    assert world.app.release(release_id).phase is Phase.AWAITING_APPROVAL
    assert world.app.ledger.events(release_id)[-1].fact.kind == "approval_refused"


async def test_the_name_that_somebody_chose_is_nobodys_right(world: World, slack: StandIn) -> None:
    release_id = waiting(world)
    body = click(release_id, user="UEVE", response_url=f"{slack.url}/r").replace(b"name+of+UEVE", b"mira")
    assert "not a configured approver" in await refused(world, slack, body)


async def test_an_old_card_decides_nothing(world: World, slack: StandIn) -> None:
    release_id = waiting(world)
    text = await refused(world, slack, click(release_id, seq=3, response_url=f"{slack.url}/r"))
    assert "old" in text
    assert world.app.release(release_id).phase is Phase.AWAITING_APPROVAL


async def test_a_second_click_decides_nothing_again(world: World, slack: StandIn) -> None:
    release_id = waiting(world, required=2)
    await send(world, click(release_id, response_url=f"{slack.url}/r", trigger_id="1"))
    assert "already" in await refused(
        world, slack, click(release_id, response_url=f"{slack.url}/r", trigger_id="2")
    )
    assert world.app.release(release_id).approvers == ("mira",)


async def test_a_replayed_request_is_a_401_and_leaves_no_trace(world: World, slack: StandIn) -> None:
    release_id = waiting(world, required=2)
    body, asgi = click(release_id, response_url=f"{slack.url}/r"), world.asgi()
    headers = slack_headers(body, world.clock.now().timestamp())
    async with client(asgi, token=None) as http:
        codes = [
            (await http.post("/slack/interactions", content=body, headers=headers)).status_code
            for _ in range(5)
        ]
        before = len(world.app.ledger.events(release_id))
        elsewhere = await http.post("/slack/commands", content=body, headers=headers)
    await asgi.state.plane.drain()
    assert codes == [200, 401, 401, 401, 401]
    assert elsewhere.status_code == 401
    assert len(world.app.ledger.events(release_id)) == before == 8


async def test_the_author_may_not_approve_where_the_plan_says_so(slack: StandIn) -> None:
    author = MIRA.model_copy(update={"email": "DEV@example.org"})
    world = World(Settings(approvers=(author,), slack=SlackSettings(base_url=f"{slack.url}/api/")))
    release_id = waiting(world, Plan(approval=Approval(not_author=True)))
    text = await refused(world, slack, click(release_id, response_url=f"{slack.url}/r"))
    assert "wrote the change" in text


async def test_a_release_that_is_not_there_or_waits_for_nothing(world: World, slack: StandIn) -> None:
    assert "did not count" in await refused(world, slack, click("r-unknown", response_url=f"{slack.url}/r"))
    slack.asked.clear()
    text = await refused(world, slack, click(in_canary(world), response_url=f"{slack.url}/r"))
    assert "nothing to decide" in text


async def test_a_ledger_that_is_down_says_click_again(world: World, slack: StandIn) -> None:
    release_id = waiting(world)
    ledger = world.ledger

    class Down:
        def __getattr__(self, name: str) -> Any:
            raise Unavailable("the ledger is down")

    world.ledger = Down()
    assert "click again" in await refused(world, slack, click(release_id, response_url=f"{slack.url}/r"))
    world.ledger = ledger
    assert world.app.release(release_id).phase is Phase.AWAITING_APPROVAL


async def test_slack_is_answered_in_time_although_the_ledger_is_slow(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptship.server.slack_actions.ANSWER_S_MAX", 0.01)
    release_id = waiting(world)
    real, go = world.ledger, threading.Event()

    class Slow:
        def __getattr__(self, name: str) -> Any:
            assert go.wait(20)
            return getattr(real, name)

    world.ledger = Slow()
    asgi = world.asgi()
    body = click(release_id)
    async with client(asgi, token=None) as http, asyncio.timeout(15):
        answer = await http.post(
            "/slack/interactions", content=body, headers=slack_headers(body, world.clock.now().timestamp())
        )
    assert answer.status_code == 200
    go.set()
    await asgi.state.plane.drain()
    assert world.app.release(release_id).phase is Phase.PROMOTED


async def test_a_card_that_cannot_be_edited_undoes_nothing(world: World) -> None:
    release_id = waiting(world)
    world.approvals.down = True
    assert (await send(world, click(release_id))).status_code == 200
    assert world.app.release(release_id).phase is Phase.PROMOTED


@pytest.mark.parametrize(
    "change", ["signature", "key", "body", "old", "future", "timestamp", "none", "empty"]
)
async def test_what_is_forged_or_stale_is_a_401_and_decides_nothing(world: World, change: str) -> None:
    release_id = waiting(world)
    body, now = click(release_id), world.clock.now().timestamp()
    headers = {
        "signature": slack_headers(body, now) | {"X-Slack-Signature": "v0=" + "0" * 64},
        "key": slack_headers(body, now, "another"),
        "body": slack_headers(body + b" ", now),
        "old": slack_headers(body, now - 301),
        "future": slack_headers(body, now + 301),
        "timestamp": slack_headers(body, now) | {"X-Slack-Request-Timestamp": "not a number"},
        "none": {},
        "empty": {"X-Slack-Signature": "", "X-Slack-Request-Timestamp": ""},
    }[change]
    assert (await send(world, body, headers)).status_code == 401
    assert len(world.app.ledger.events(release_id)) == 7


async def test_without_a_signing_secret_every_click_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promptship.server import create_app

    monkeypatch.delenv("SLACK_SIGNING_SECRET", raising=False)
    asgi = create_app(world.app, token="t-123456", secret=b"s-123456")
    body = click(waiting(world))
    for key in (SLACK_SECRET, ""):
        async with client(asgi, token=None) as http:
            headers = slack_headers(body, world.clock.now().timestamp(), key)
            assert (await http.post("/slack/interactions", content=body, headers=headers)).status_code == 401


@pytest.mark.parametrize("body", [b"", b"payload=", b"payload={", b"\xff", b"ssl_check=1", b"a=1&" * 50])
async def test_a_signed_body_that_is_no_interaction_is_a_400(world: World, body: bytes) -> None:
    assert (await send(world, body)).status_code in {400, 401}


async def test_other_interactions_are_a_200_without_effect(world: World) -> None:
    body = b'payload={"type":"view_closed"}'
    assert (await send(world, body)).status_code == 200


async def test_an_oversized_body_is_a_413(world: World) -> None:
    assert (await send(world, b"x" * 1_000_001, {})).status_code == 413
