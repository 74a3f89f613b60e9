"""Reject with a reason, roll back with a confirmation, commands: over HTTP and Socket Mode the same, and only for who may."""

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from promptship.errors import ConfigError
from promptship.lifecycle.approval import approve
from promptship.lifecycle.steps import promote
from promptship.release import events as e
from promptship.release.phase import Phase
from promptship.server.slack_actions import take
from promptship.settings import Settings, SlackSettings
from tests.support.plane import (
    MIRA,
    NOOR,
    STABLE,
    World,
    click,
    client,
    in_canary,
    reject_modal,
    slack_headers,
    typed,
    waiting,
)
from tests.support.slack_limits import view_breaches
from tests.support.standin import Asked, Said, StandIn, stand_in


class Slack:
    """views.open, chat.postEphemeral and response_url."""

    def __init__(self) -> None:
        self.trouble: str = ""

    def answer(self, asked: Asked) -> Said:
        if self.trouble and asked.path.startswith("/api/"):
            return Said(200, {"ok": False, "error": self.trouble})
        return Said(200, {"ok": True})


@pytest.fixture
def fake() -> Slack:
    return Slack()


@pytest.fixture
def slack(fake: Slack) -> Iterator[StandIn]:
    with stand_in(fake.answer) as server:
        yield server


@pytest.fixture
def world(slack: StandIn) -> World:
    return World(Settings(approvers=(MIRA, NOOR), slack=SlackSettings(base_url=f"{slack.url}/api/")))


async def send(world: World, body: bytes, path: str = "/slack/interactions") -> Any:
    asgi = world.asgi()
    async with client(asgi, token=None) as http:
        answer = await http.post(
            path, content=body, headers=slack_headers(body, world.clock.now().timestamp())
        )
    await asgi.state.plane.drain()
    return answer


async def command(world: World, text: str, **more: Any) -> str:
    answer = await send(world, typed(text, **more), "/slack/commands")
    assert answer.status_code == 200
    assert answer.json()["response_type"] == "ephemeral"
    said: str = answer.json()["text"]
    return said


def promoted(world: World) -> str:
    release_id = waiting(world)
    approve(world.app, release_id, who="mira", via="cli")
    promote(world.app, release_id)
    assert world.app.release(release_id).phase is Phase.PROMOTED
    return release_id


async def test_reject_asks_why_and_decides_nothing_yet(world: World, slack: StandIn) -> None:
    release_id = waiting(world)
    await send(world, click(release_id, action="promptship_reject", trigger_id="12.34.ab"))
    (asked,) = slack.asked
    assert asked.path == "/api/views.open"
    assert asked.json["trigger_id"] == "12.34.ab"
    assert view_breaches(asked.json["view"]) == []
    about = json.loads(asked.json["view"]["private_metadata"])
    assert about == {"release_id": release_id, "seq": 5, "channel": "C1"}
    assert world.app.release(release_id).phase is Phase.AWAITING_APPROVAL


async def test_who_may_not_reject_is_not_asked_why(world: World, slack: StandIn) -> None:
    release_id = waiting(world)
    body = click(
        release_id, user="UEVE", action="promptship_reject", response_url=f"{slack.url}/r", trigger_id="1"
    )
    await send(world, body)
    (asked,) = slack.asked
    assert "UEVE is not a configured approver" in asked.json["text"]
    assert world.app.ledger.events(release_id)[-1].fact.kind == "approval_refused"


async def test_a_modal_that_cannot_be_opened_is_explained(world: World, slack: StandIn, fake: Slack) -> None:
    fake.trouble = "expired_trigger_id"
    body = click(waiting(world), action="promptship_reject", response_url=f"{slack.url}/r", trigger_id="1")
    await send(world, body)
    assert "click again" in slack.asked[-1].json["text"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"seq": 3}, "old"), ({"user": "UEVE"}, "not a configured approver"),
    ],
)  # fmt: skip
async def test_a_reason_that_comes_too_late_is_refused_inside_the_modal(
    world: World, body: dict[str, Any], why: str
) -> None:
    release_id = waiting(world)
    answer = (await send(world, reject_modal(release_id, **body))).json()
    assert answer["response_action"] == "errors"
    assert why in answer["errors"]["reason"]
    assert len(answer["errors"]["reason"]) <= 250
    assert world.app.release(release_id).phase is Phase.AWAITING_APPROVAL


async def test_a_refusal_after_slack_has_stopped_waiting_is_whispered(
    world: World, slack: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptship.server.slack_actions.ANSWER_S_MAX", 0.01)
    release_id = waiting(world)
    real, go = world.ledger, threading.Event()

    class Slow:
        def __getattr__(self, name: str) -> Any:
            assert go.wait(20)
            return getattr(real, name)

    world.ledger = Slow()
    asgi, body = world.asgi(), reject_modal(release_id, user="UEVE")
    async with client(asgi, token=None) as http, asyncio.timeout(15):
        headers = slack_headers(body, world.clock.now().timestamp())
        assert (await http.post("/slack/interactions", content=body, headers=headers)).content == b""
    go.set()
    await asgi.state.plane.drain()
    (asked,) = slack.asked
    assert asked.path == "/api/chat.postEphemeral"
    assert (asked.json["channel"], asked.json["user"]) == ("C1", "UEVE")
    assert "did not count" in asked.json["text"]


async def test_roll_back_undoes_the_promotion_that_the_card_is_about(world: World, slack: StandIn) -> None:
    release_id = promoted(world)
    await send(world, click(release_id, action="promptship_roll_back"))
    release = world.app.release(release_id)
    assert (release.phase, release.reason) == (Phase.ROLLED_BACK, "rolled back in Slack by name of UMIRA")
    route = world.app.routes.get("support-reply")
    assert route is not None
    assert route.stable == STABLE.digest
    assert slack.asked == []


async def test_roll_back_ends_a_canary(world: World) -> None:
    release_id = in_canary(world)
    await send(world, click(release_id, seq=-1, action="promptship_roll_back"))
    assert world.app.release(release_id).phase is Phase.ROLLED_BACK


async def test_roll_back_by_somebody_else_is_refused_and_kept(world: World, slack: StandIn) -> None:
    release_id = promoted(world)
    await send(
        world, click(release_id, user="UEVE", action="promptship_roll_back", response_url=f"{slack.url}/r")
    )
    assert "not a configured approver" in slack.asked[-1].json["text"]
    assert world.app.release(release_id).phase is Phase.PROMOTED
    assert world.app.ledger.events(release_id)[-1].fact.kind == "approval_refused"


async def test_roll_back_on_a_card_of_what_no_longer_serves_does_nothing(
    world: World, slack: StandIn
) -> None:
    release_id = promoted(world)
    await send(world, click(release_id, action="promptship_roll_back", trigger_id="1"))
    before = world.app.routes.revision()
    await send(
        world, click(release_id, action="promptship_roll_back", trigger_id="2", response_url=f"{slack.url}/r")
    )
    assert "serves nobody" in slack.asked[-1].json["text"]
    assert world.app.routes.revision() == before


async def test_status_and_history(world: World) -> None:
    assert "Nothing is served yet" in await command(world, "status")
    release_id = waiting(world)
    for text in ("status", "status support-reply"):
        said = await command(world, text)
        assert STABLE.digest[:8] in said
        assert release_id in said
        assert "awaiting approval" in said
    assert release_id in await command(world, "history")
    assert "person:mira" in await command(world, "history support-reply")
    for text in ("", "help", "nonsense <!channel>"):
        assert "/promptship rollback" in await command(world, text)


async def test_release_and_rollback_are_for_approvers(world: World) -> None:
    release_id = promoted(world)
    for text in ("rollback support-reply wrong refunds", "release support-reply main"):
        assert "only approvers" in await command(world, text, user="UEVE")
    assert "why" in await command(world, "rollback support-reply")
    assert release_id in await command(world, "rollback support-reply wrong refunds")
    release = world.app.release(release_id)
    assert (release.phase, release.reason) == (Phase.ROLLED_BACK, "wrong refunds")
    assert "That did not work" in await command(world, "rollback nothing because")
    assert "not a prompt" in await command(world, "rollback <!channel> because")


async def test_a_rollback_that_is_replayed_to_another_control_plane_goes_back_once(world: World) -> None:
    promoted(world)
    assert "rolled back release" in await command(world, "rollback support-reply wrong refunds")
    before = world.app.routes.revision()
    assert "has been run already" in await command(world, "rollback support-reply wrong refunds")
    assert world.app.routes.revision() == before


async def test_a_release_is_opened_by_hand(world: World) -> None:
    files = {
        "prompts/support-reply.yaml": b"name: support-reply\nmodel: m\nmessages: [{role: user, content: hi}]\n"
    }
    world.repository.commit(files, author="dev@example.org")
    said = await command(world, "release support-reply main")
    (summary,) = world.app.ledger.summaries()
    assert summary.id in said
    assert "already" in await command(world, "release support-reply main", response_url="again")


async def test_nothing_gets_out_of_the_text(world: World) -> None:
    release_id = waiting(world)
    world.app.ledger.append(
        release_id, [e.Cancelled(reason="<!channel>")], expected_seq=world.app.release(release_id).seq,
        actor="person:<!here>", at=world.clock.now(),
    )  # fmt: skip
    for text in ("status", "history", "history support-reply"):
        said = await command(world, text)
        assert "<!" not in said
        assert len(said) <= 3000


async def test_long_work_is_answered_afterwards(
    world: World, slack: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptship.server.slack_actions.ANSWER_S_MAX", 0.01)
    real, go = world.ledger, threading.Event()

    class Slow:
        def __getattr__(self, name: str) -> Any:
            assert go.wait(20)
            return getattr(real, name)

    world.ledger = Slow()
    asgi, body = world.asgi(), typed("history", response_url=f"{slack.url}/r")
    async with client(asgi, token=None) as http, asyncio.timeout(15):
        headers = slack_headers(body, world.clock.now().timestamp())
        answer = await http.post("/slack/commands", content=body, headers=headers)
        assert "Working" in answer.json()["text"]
    go.set()
    await asgi.state.plane.drain()
    assert "no release yet" in slack.asked[-1].json["text"]


async def test_an_unsigned_command_is_a_401(world: World) -> None:
    async with client(world.asgi(), token=None) as http:
        answer = await http.post("/slack/commands", content=typed("status"))
    assert answer.status_code == 401


async def test_socket_mode_ends_in_the_same_place_and_an_envelope_counts_once(world: World) -> None:
    release_id, here = waiting(world, required=2), world.asgi().state.plane
    payload = {
        "type": "block_actions", "user": {"id": "UMIRA"},
        "actions": [{"action_id": "promptship_approve", "value": json.dumps({"release_id": release_id, "seq": 5})}],
    }  # fmt: skip
    for _ in range(3):
        assert await take(here, "interactive", payload, "envelope-1") is None
    await here.drain()
    assert world.app.release(release_id).approvers == ("mira",)
    assert len(world.app.ledger.events(release_id)) == 8
    said = await take(here, "slash_commands", {"user_id": "UMIRA", "text": "status"}, "envelope-2")
    assert said is not None
    assert release_id in said["text"]
    assert await take(here, "events_api", {}, "envelope-3") is None
    with pytest.raises(ConfigError):
        await take(here, "slash_commands", {}, "envelope-4")
