"""Slack is down, then slow, then up: the release waits, other ways work, the card comes, and comes once."""

from collections.abc import Iterator
from typing import Any

import pytest
from slack_sdk import WebClient

from promptship.adapters.slack import SlackApprovals
from promptship.errors import Unavailable
from promptship.lifecycle.approval import approve
from promptship.lifecycle.reconcile import reconcile
from promptship.lifecycle.stumbling import stumble
from promptship.release.phase import Phase
from tests.support.house import House
from tests.support.standin import Asked, Said, StandIn, stand_in

pytestmark = pytest.mark.system
DOWN = Said(503, b"")
SLOW = Said(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "120"})


class Slack:
    """Takes cards while there is no trouble."""

    def __init__(self) -> None:
        self.trouble: Said | None = None
        self.cards: dict[str, Any] = {}

    def answer(self, asked: Asked) -> Said:
        if self.trouble is not None:
            return self.trouble
        if asked.path == "/api/chat.postMessage":
            ts = f"17000000{len(self.cards)}.000100"
            self.cards[ts] = asked.json
            return Said(200, {"ok": True, "channel": "C1", "ts": ts})
        if asked.path == "/api/chat.update":
            self.cards[asked.json["ts"]] = asked.json
        return Said(200, {"ok": False, "error": "missing_scope"} if "files" in asked.path else {"ok": True})


@pytest.fixture
def fake() -> Slack:
    return Slack()


@pytest.fixture
def slack(fake: Slack) -> Iterator[StandIn]:
    with stand_in(fake.answer) as server:
        yield server


def house_with(slack: StandIn) -> tuple[House, str]:
    """A release that is about to ask, in an installation with this Slack."""
    approvals: Any = SlackApprovals(WebClient(token="xoxb-test", base_url=f"{slack.url}/api/"), "#releases")
    house = House(approvals=approvals)
    house.adopt()
    house.traffic(300, bad=0.1, seconds=300)
    house.look()
    return house, house.in_question("Say hello twice.")


def run(house: House, release: str) -> None:
    """A run of the flow: a step that finds something down stumbles."""
    try:
        house.run_flow(release)
    except Unavailable as error:
        stumble(house.app, release, step="approve", error=error)


def test_the_card_comes_when_slack_is_back(fake: Slack, slack: StandIn) -> None:
    fake.trouble = DOWN
    house, release = house_with(slack)
    for _ in range(3):
        run(house, release)
        house.clock.advance(house.app.settings.watcher.retry_every)
    assert house.release(release).phase is Phase.AWAITING_APPROVAL
    assert not house.release(release).is_delivered
    fake.trouble = None
    house.orchestrator.runs.clear()
    reconcile(house.app)
    assert house.orchestrator.started == [release], "nobody would ask again"
    for _ in range(3):
        run(house, release)
    (card,) = fake.cards.values()
    assert "Promote support?" in card["text"]
    approve(house.app, release, who="mira", via="slack", seq=house.release(release).question_seq)
    run(house, release)
    (card,) = fake.cards.values()
    assert "promoted" in card["text"]
    assert house.release(release).phase is Phase.PROMOTED


def test_while_slack_is_down_the_command_line_decides(fake: Slack, slack: StandIn) -> None:
    fake.trouble = DOWN
    house, release = house_with(slack)
    run(house, release)
    approve(house.app, release, who="mira", via="cli")
    run(house, release)
    assert house.release(release).phase is Phase.PROMOTED
    assert fake.cards == {}


def test_slack_is_not_asked_before_it_wants_to_be(fake: Slack, slack: StandIn) -> None:
    fake.trouble = SLOW
    house, release = house_with(slack)
    run(house, release)
    due_at = house.due_at(release)
    assert (due_at - house.clock.now()).total_seconds() == 120
    asked = len(slack.asked)
    assert asked == 1
    run(house, release)  # somebody starts a run all the same
    assert len(slack.asked) == asked
    assert 0 < (house.due_at(release) - house.clock.now()).total_seconds() <= 120
