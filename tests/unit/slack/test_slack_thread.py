"""The thread that follows a release: one line for what matters, in order, and a first message that says how it ended."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from slack_sdk import WebClient

from promptship.adapters.slack import SlackThread
from promptship.canary.evidence import Outcome, Verdict
from promptship.errors import Unavailable
from promptship.lifecycle.announcing import announce
from promptship.lifecycle.app import App
from promptship.lifecycle.approval import approve
from promptship.lifecycle.steps import promote
from promptship.release import events as e
from promptship.settings import ServerSettings, Settings
from tests.support.plane import MIRA, World, in_canary, opened
from tests.support.slack_limits import breaches
from tests.support.standin import Asked, Said, StandIn, stand_in
from tests.support.verdicts import finding, hold


@dataclass
class Channel:
    """chat.postMessage and chat.update, and what stands in the channel."""

    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    trouble: Said | None = None

    def answer(self, asked: Asked) -> Said:
        if self.trouble is not None:
            return self.trouble
        if asked.path == "/api/chat.update":
            self.messages[asked.json["ts"]] |= asked.json
            return Said(200, {"ok": True})
        ts = f"17000000{len(self.messages):02}.000100"
        self.messages[ts] = asked.json
        return Said(200, {"ok": True, "channel": "C1", "ts": ts})

    @property
    def lines(self) -> list[str]:
        return [one["text"] for one in self.messages.values() if "thread_ts" in one]


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def slack(channel: Channel) -> Iterator[StandIn]:
    with stand_in(channel.answer) as server:
        yield server


class Kept(World):
    """Its app, with the outbox in it, is made once."""

    kept: App | None = None

    @property
    def app(self) -> App:
        self.kept = self.kept or super().app
        return self.kept


@pytest.fixture
def world() -> World:
    return Kept(Settings(approvers=(MIRA,), server=ServerSettings(public_url="https://ship.example")))


def follow(world: World, slack: StandIn) -> SlackThread:
    sink = SlackThread(world.app, WebClient(token="xoxb-test", base_url=f"{slack.url}/api/"), "#releases")
    world.app.outbox.begin(sink.name, at=world.clock.now())
    return sink


def look(world: World, release_id: str, number: int, outcome: Outcome) -> None:
    verdict = Verdict(stage=0, look=number, findings=(finding(outcome=outcome),))
    fact = e.Looked(
        stage=0,
        look=number,
        as_of=world.clock.now(),
        state={"n": number},
        verdict=verdict.model_dump(mode="json"),
    )
    seq = world.app.release(release_id).seq
    world.app.ledger.append(release_id, [fact], expected_seq=seq, actor="watcher", at=world.clock.now())


def ask(world: World, release_id: str) -> None:
    fact = e.ApprovalRequested(
        question="promote",
        required=1,
        expires_at=world.clock.now() + timedelta(hours=1),
        reason="good <!channel>",
    )
    seq = world.app.release(release_id).seq
    world.app.ledger.append(release_id, [fact], expected_seq=seq, actor="flow", at=world.clock.now())


def test_a_release_is_followed_to_its_end(world: World, slack: StandIn, channel: Channel) -> None:
    sink = follow(world, slack)
    release_id = in_canary(world)
    for number, outcome in enumerate((Outcome.HOLD, Outcome.HOLD, Outcome.ADVANCE, Outcome.ADVANCE), start=2):
        look(world, release_id, number, outcome)
        announce(world.app, sink)
    ask(world, release_id)
    approve(world.app, release_id, who="mira", via="cli")
    announce(world.app, sink)
    promote(world.app, release_id)
    announce(world.app, sink)
    announce(world.app, sink)
    (root,) = [one for one in channel.messages.values() if "thread_ts" not in one]
    starts = [
        "stage 1 started", "look 1 at stage 1: hold", "look 4 at stage 1: advance", "approval requested (promote)",
        "approved by mira via cli", "approved by mira", "promoted",
    ]  # fmt: skip
    assert len(channel.lines) == len(starts)
    for said, start in zip(channel.lines, starts, strict=True):
        assert said.startswith(start)
        assert "<" not in said
    assert root["text"] == "support-reply: promoted"
    assert breaches(root["blocks"]) == []
    assert f"<https://ship.example/releases/{release_id}|{release_id}>" in str(root["blocks"])
    (button,) = root["blocks"][-1]["elements"]
    assert button["action_id"] == "promptship_roll_back"


def test_while_slack_is_down_nothing_is_lost_and_nothing_doubled(
    world: World, slack: StandIn, channel: Channel
) -> None:
    sink = follow(world, slack)
    release_id = in_canary(world)
    channel.trouble = Said(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "40"})
    announce(world.app, sink)
    asked = len(slack.asked)
    world.clock.advance(39)
    announce(world.app, sink)
    assert len(slack.asked) == asked == 1, "asked again before Slack wants it"
    channel.trouble = None
    ask(world, release_id)
    world.clock.advance(2)
    sink = follow(world, slack)  # another process: the pause of this one is only as long as its memory
    announce(world.app, sink)
    assert [line.split(" ")[0] for line in channel.lines] == ["stage", "look", "approval"]


def test_trouble_is_unavailable_and_no_second_thread_is_begun(
    world: World, slack: StandIn, channel: Channel
) -> None:
    sink = follow(world, slack)
    release_id = in_canary(world)
    events = world.app.ledger.events(release_id)
    sink.tell(events[3], world.app.release(release_id))
    channel.trouble = Said(500, {})
    with pytest.raises(Unavailable):
        sink.tell(events[4], world.app.release(release_id))
    channel.trouble = None
    sink.tell(events[4], world.app.release(release_id))
    assert sum("thread_ts" not in one for one in channel.messages.values()) == 1


def test_what_met_nobody_has_no_thread(world: World, slack: StandIn) -> None:
    sink = follow(world, slack)
    release_id = opened(world)
    fact = e.Failed(reason="provider down")
    world.app.ledger.append(release_id, [fact], expected_seq=0, actor="flow", at=world.clock.now())
    announce(world.app, sink)
    assert slack.asked == []


def test_a_look_that_another_version_wrote_is_passed_over(
    world: World, slack: StandIn, channel: Channel
) -> None:
    sink = follow(world, slack)
    release_id = in_canary(world)
    odd = e.Looked(stage=0, look=2, as_of=world.clock.now(), state={}, verdict={"kind": "of old"})
    seq = world.app.release(release_id).seq
    world.app.ledger.append(release_id, [odd], expected_seq=seq, actor="watcher", at=world.clock.now())
    look(world, release_id, 3, hold().outcome)
    announce(world.app, sink)
    assert [line[:6] for line in channel.lines] == ["stage ", "look 1", "look 3"]
