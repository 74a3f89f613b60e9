"""What people are told, told once: against other writers, and a Slack that is down, slow or refuses us."""

from collections.abc import Callable

import pytest

from promptship.adapters.memory.approvals import MemoryApprovals
from promptship.errors import ConfigError, Problem, Refused, Unavailable
from promptship.lifecycle import telling
from promptship.lifecycle.approval import approve, reject
from promptship.lifecycle.ending import cancel, roll_back_prompt
from promptship.lifecycle.reconcile import reconcile
from promptship.lifecycle.stumbling import stumble
from promptship.ports import Card
from promptship.release.phase import Phase
from tests.support.house import STAGES, House

NOTIFY = STAGES.replace("[plans.default]", '[plans.default]\nnotify = ["#support", "#quality"]')


@pytest.fixture
def house() -> House:
    return lived_in(House())


def lived_in(house: House) -> House:
    house.adopt()
    house.traffic(300, bad=0.1, seconds=300)
    house.look()
    return house


class Slack(MemoryApprovals):
    """Refuses some channels, and may be slow enough for other things to happen."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: dict[str, Exception] = {}
        self.meanwhile: list[Callable[[], object]] = []

    def ask(self, card: Card) -> tuple[str, str]:
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return super().ask(card)

    def update(self, channel: str, reference: str, card: Card) -> None:
        if channel in self.broken:
            raise self.broken[channel]
        super().update(channel, reference, card)

    def tell(self, channel: str | None, text: str) -> None:
        if (channel or self.channel) in self.broken:
            raise self.broken[channel or self.channel]
        super().tell(channel, text)


REVOKED = ConfigError([Problem("promptship.toml", "slack.token_env", "token_revoked", "expected a token")])


def test_a_look_while_the_card_is_on_its_way_does_not_post_it_again() -> None:
    slack = Slack()
    house = lived_in(House(approvals=slack))
    release = house.in_question("Say hello twice.")

    def look() -> None:
        house.traffic(100, bad=0.02)
        house.look()

    looks = house.release(release).looks
    slack.meanwhile = [look, look]
    house.run_flow(release)
    assert house.release(release).looks > looks
    assert len(slack.cards) == 1
    assert house.due_at(release) == house.release(release).expires_at


def test_a_card_that_arrives_after_the_rollback_loses_its_buttons() -> None:
    slack = Slack()
    house = lived_in(House(approvals=slack))
    release = house.in_question("Say hello twice.")
    slack.meanwhile = [lambda: house.until(release, "rolled_back", bad=0.9)]
    assert house.run_flow(release) == "rolled_back"
    (card,) = slack.cards.values()
    assert not card.ask
    assert house.due_at(release) is None


def test_a_card_that_arrives_after_the_approval_goes_on_to_promotion() -> None:
    slack = Slack()
    house = lived_in(House(approvals=slack))
    release = house.in_question("Say hello twice.")
    slack.meanwhile = [lambda: approve(house.app, release, who="mira", via="cli")]
    assert house.run_flow(release) == "promoted"
    (card,) = slack.cards.values()
    assert not card.ask


def test_a_first_yes_does_not_keep_the_card_from_the_second_approver() -> None:
    house = lived_in(House(plan=STAGES + "\n[plans.default.approval]\nrequired = 2\n"))
    release = house.in_question("Say hello twice.")
    stumble(house.app, release, step="approve", error=Unavailable("Slack is down"))
    due_at = house.due_at(release)
    approve(house.app, release, who="mira", via="cli")
    assert house.due_at(release) == due_at
    house.run_flow(release)
    assert len(house.approvals.cards) == 1
    assert house.due_at(release) == house.release(release).expires_at


def test_while_slack_is_down_a_question_waits_and_still_expires(house: House) -> None:
    release = house.in_question("Say hello twice.")
    house.approvals.down = True
    with pytest.raises(Unavailable):
        telling.ask(house.app, release)
    house.clock.advance(24 * 3600 + 1)
    reconcile(house.app)
    assert house.release(release).phase is Phase.ROLLED_BACK


def test_the_next_release_does_not_wait_until_slack_is_up(house: House) -> None:
    running = house.push("Say hello twice.")
    house.run_flow(running)
    waiting = house.push("Say hello three times.")
    house.run_flow(waiting)
    cancel(house.app, running, actor="person:test", reason="make room")
    house.approvals.down = True
    house.orchestrator.runs.clear()
    with pytest.raises(Unavailable):
        house.run_flow(running)
    assert house.orchestrator.started == [waiting]
    assert house.due_at(running) <= house.clock.now(), "nobody would tell it later"
    house.approvals.down = False
    assert house.run_flow(running) == "cancelled"
    assert house.due_at(running) is None


def test_an_ending_that_cannot_be_told_for_an_hour_is_over_all_the_same(house: House) -> None:
    release = house.push("Say hello {{ nobody }}.")
    house.approvals.down = True
    with pytest.raises(Unavailable):
        house.run_flow(release)
    house.clock.advance(telling.TELL_FOR.total_seconds() + 1)
    assert house.run_flow(release) == "rejected"
    assert house.kinds(release)[-1] == "concluded"


def test_a_revoked_token_does_not_keep_an_ending_open() -> None:
    slack = Slack()
    house = lived_in(House(approvals=slack))
    release = house.in_question("Say hello twice.")
    house.run_flow(release)
    reject(house.app, release, who="mira", via="cli")
    slack.broken = {slack.channel: REVOKED}
    assert house.run_flow(release) == "rolled_back"
    assert house.kinds(release)[-1] == "concluded"


@pytest.mark.parametrize("error", [REVOKED, Unavailable("rate limited")])
@pytest.mark.parametrize("channel", ["memory", "#support", "#quality"])
def test_no_notice_is_posted_twice_whatever_channel_is_broken(channel: str, error: Exception) -> None:
    slack = Slack()
    house = lived_in(House(plan=NOTIFY, approvals=slack))
    release = house.push("Say hello twice.")
    house.run_flow(release)
    cancel(house.app, release, actor="person:test", reason="enough")
    slack.broken = {channel: error}
    for _ in range(3):
        try:
            house.run_flow(release)
        except Unavailable:
            continue
    slack.broken = {}
    house.run_flow(release)
    told = [where for where, _ in slack.told]
    assert len(told) == len(set(told))
    assert {"memory", "#support", "#quality"} - {channel} <= set(told)
    assert house.kinds(release)[-1] == "concluded"


def test_a_click_on_an_old_card_does_not_tell_the_ending_again(house: House) -> None:
    release = house.push("Say hello {{ nobody }}.")
    house.run_flow(release)
    told = list(house.approvals.told)
    with pytest.raises(Refused):
        approve(house.app, release, who="mira", via="slack")
    assert house.run_flow(release) == "rejected"
    assert house.approvals.told == told


def test_a_refused_click_while_it_is_told_does_not_tell_it_twice(house: House) -> None:
    release = house.push("Say hello twice.")
    house.run_flow(release)
    cancel(house.app, release, actor="person:test", reason="enough")

    def click() -> None:
        with pytest.raises(Refused):
            approve(house.app, release, who="mira", via="slack")

    house.ledger.meanwhile = [click]
    assert house.run_flow(release) == "cancelled"
    assert len(house.approvals.told) == 1
    assert house.kinds(release)[-1] == "concluded"


def test_a_promotion_that_is_undone_is_told_again(house: House) -> None:
    release = house.in_question("Say hello twice.")
    house.run_flow(release)
    house.promote(release)
    roll_back_prompt(house.app, "support", actor="person:test", reason="fire")
    assert house.run_flow(release) == "rolled_back"
    (card,) = house.approvals.cards.values()
    assert "fire" in card.outcome
    assert house.kinds(release).count("concluded") == 2


def test_a_promotion_that_is_undone_while_it_is_told_stays_due(house: House) -> None:
    release = house.in_question("Say hello twice.")
    house.run_flow(release)
    approve(house.app, release, who="mira", via="cli")
    undo = lambda: roll_back_prompt(house.app, "support", actor="person:test", reason="fire")  # noqa: E731
    house.ledger.meanwhile = [undo]
    house.run_flow(release)
    assert house.release(release).phase is Phase.ROLLED_BACK
    assert house.due_at(release) is not None
    assert house.run_flow(release) == "rolled_back"
    (card,) = house.approvals.cards.values()
    assert "fire" in card.outcome


def test_a_card_is_sent_even_when_the_versions_cannot_be_compared(house: House) -> None:
    release = house.in_question("Say hello twice.")
    stable = house.release(release).stable
    assert stable is not None
    house.routes._versions[stable] = house.routes.version(stable).model_copy(
        update={"content": {"format": "of old"}}
    )
    house.run_flow(release)
    (card,) = house.approvals.cards.values()
    assert card.diff == ""
