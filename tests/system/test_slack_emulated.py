"""A release in Slack's own API, as `emulate` has it: card, chart, thread, edits, the modal."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from slack_sdk import WebClient

from promptship.adapters.slack import SlackApprovals, SlackTalk, SlackThread, reject_view
from promptship.errors import PromptshipError
from promptship.lifecycle.announcing import announce
from promptship.lifecycle.app import App
from promptship.lifecycle.approval import approve
from promptship.lifecycle.cards import question_card, refresh_cards
from promptship.lifecycle.steps import promote
from promptship.release import events as e
from promptship.settings import Settings
from tests.support.plane import MIRA, World, in_canary
from tests.support.slack_emulated import TOKEN, emulated_slack

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def client() -> Iterator[WebClient]:
    with emulated_slack() as url:
        yield WebClient(token=TOKEN, base_url=f"{url}/api/")


def app_with(client: WebClient) -> App:
    world = World(Settings(approvers=(MIRA,)))
    fields = {name: getattr(world.app, name) for name in App.__dataclass_fields__}
    fields["approvals"] = SlackApprovals(client, "releases")
    return App(**fields)


def ask(app: App, release_id: str) -> None:
    now, seq = app.clock.now(), app.release(release_id).seq
    asked = e.ApprovalRequested(
        question="promote", required=1, expires_at=now + timedelta(hours=24), reason="every stage is passed"
    )
    app.ledger.append(release_id, [asked], expected_seq=seq, actor="flow", at=now)
    channel, reference = app.approvals.ask(question_card(app, app.release(release_id)))
    fact = e.ApprovalAsked(channel=channel, reference=reference)
    app.ledger.append(release_id, [fact], expected_seq=seq + 1, actor="flow", at=now)


def replies(client: WebClient, channel: str, ts: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.conversations_replies(channel=channel, ts=ts)["messages"]
    return found[1:]


def test_a_release_from_its_first_traffic_to_its_promotion(client: WebClient) -> None:
    app = app_with(client)
    sink = SlackThread(app, client, "releases")
    app.outbox.begin(sink.name, at=app.clock.now())
    world = World(ledger=app.ledger, routes=app.routes)
    release_id = in_canary(world)
    announce(app, sink)
    ask(app, release_id)
    (asked,) = app.release(release_id).asked
    card_ts = asked.reference.rpartition(":")[2]
    (chart,) = replies(client, asked.channel, card_ts)
    assert chart["files"][0]["name"] == f"{release_id}.png"
    approve(app, release_id, who="mira", via="slack", seq=5)
    promote(app, release_id)
    refresh_cards(app, release_id)
    announce(app, sink)
    history = client.conversations_history(channel=asked.channel)["messages"]
    card, root = (next(one for one in history if one["ts"] == ts) for ts in (card_ts, _root(app, release_id)))
    assert card["text"].startswith("support-reply: promoted")
    assert [one["action_id"] for one in card["blocks"][-1]["elements"]] == ["promptship_roll_back"]
    assert root["text"] == "support-reply: promoted"
    lines = [one["text"].split(":")[0] for one in replies(client, asked.channel, root["ts"])]
    assert lines == [
        "stage 1 started", "look 1 at stage 1", "approval requested (promote)", "approved by mira via slack",
        "approved by mira", "promoted",
    ]  # fmt: skip


def _root(app: App, release_id: str) -> str:
    (entry,) = app.journal.entries(f"slack-thread:{release_id}")
    return str(entry.data["ts"])


def test_the_modal_opens_once_per_trigger(client: WebClient) -> None:
    talk = SlackTalk(client)
    trigger = client.api_call("views.generateTriggerId")["trigger_id"]
    view = reject_view(release_id="r-1", seq=5, prompt="support-reply", channel="C1")
    talk.open(trigger, view)
    with pytest.raises(PromptshipError):
        talk.open("1.2.nonsense", view)


def test_a_card_that_was_deleted_and_a_channel_that_is_not_there(client: WebClient) -> None:
    approvals = SlackApprovals(client, "releases")
    app = app_with(client)
    release_id = in_canary(World(ledger=app.ledger, routes=app.routes))
    card = question_card(app, app.release(release_id))
    channel, reference = approvals.ask(card)
    client.chat_delete(channel=channel, ts=reference.rpartition(":")[2])
    approvals.update(channel, reference, card)
    with pytest.raises(PromptshipError, match="channel"):
        SlackApprovals(client, "no-such-channel").ask(card)


def test_people_have_addresses(client: WebClient) -> None:
    approvals = SlackApprovals(client, "releases")
    user = client.auth_test()["user_id"]
    assert approvals.email(user) == "mira@example.org"
