"""Endings against everything that can happen in the same instant: one way out, and the traffic always follows it."""

from dataclasses import replace

import pytest

from promptship.errors import IllegalTransition, NotFound, Refused
from promptship.lifecycle.adopting import adopt
from promptship.lifecycle.approval import approve, reject
from promptship.lifecycle.ending import cancel, end, expire, roll_back_prompt
from promptship.lifecycle.opening import open_release
from promptship.release.events import RolledBack
from promptship.release.phase import Phase
from promptship.routing.table import Split
from tests.support.house import STAGES, House


@pytest.fixture
def house() -> House:
    house = House()
    house.adopt()
    house.traffic(300, bad=0.1, seconds=300)
    house.look()
    return house


def split(house: House) -> Split | None:
    route = house.routes.get("support")
    assert route is not None
    return route.split


def test_a_rejection_that_comes_after_the_promotion_is_refused(house: House) -> None:
    release = house.in_question("Say hello twice.")
    house.ledger.meanwhile = [lambda: house.promote(release)]
    with pytest.raises(Refused, match="promoted"):
        reject(house.app, release, who="noor", via="slack")
    assert house.release(release).phase is Phase.PROMOTED
    assert house.serving() == house.release(release).version


def test_a_rejection_that_comes_after_the_approval_is_refused(house: House) -> None:
    release = house.in_question("Say hello twice.")
    house.ledger.meanwhile = [lambda: approve(house.app, release, who="mira", via="cli")]
    with pytest.raises(Refused, match="nothing to decide"):
        reject(house.app, release, who="noor", via="slack")
    assert house.release(release).phase is Phase.PROMOTED


def test_an_approval_in_the_last_instant_is_not_called_silence(house: House) -> None:
    release = house.in_question("Say hello twice.")
    at = house.release(release).expires_at
    assert at is not None

    def in_time() -> None:
        late = house.clock.now()
        house.clock.advance((at - late).total_seconds() - 1)
        approve(house.app, release, who="mira", via="cli")
        house.clock.advance((late - house.clock.now()).total_seconds())

    house.clock.advance((at - house.clock.now()).total_seconds() + 1)
    house.ledger.meanwhile = [in_time]
    expire(house.app, release)
    assert house.release(release).phase is Phase.PROMOTED


def test_after_the_deadline_nobody_can_approve_even_when_nobody_expired_it(house: House) -> None:
    release = house.in_question("Say hello twice.")
    house.clock.advance(24 * 3600 + 1)
    with pytest.raises(Refused, match="expired"):
        approve(house.app, release, who="mira", via="slack")
    assert house.release(release).phase is Phase.AWAITING_APPROVAL
    assert reject(house.app, release, who="mira", via="slack").phase is Phase.ROLLED_BACK


def test_a_rollback_of_a_canary_that_is_promoted_in_that_instant_undoes_the_promotion(house: House) -> None:
    first = house.serving()
    release = house.in_question("Say hello twice.")
    house.ledger.meanwhile = [lambda: house.promote(release)]
    assert roll_back_prompt(house.app, "support", actor="person:test", reason="fire") == release
    assert house.release(release).phase is Phase.ROLLED_BACK
    assert house.serving() == first
    assert split(house) is None


def test_a_rollback_ends_the_canary_that_starts_in_that_instant(house: House) -> None:
    promoted = house.in_question("Say hello twice.")
    house.promote(promoted)
    second = house.serving()
    starting = house.push("Say hello three times.")
    house.ledger.meanwhile = [lambda: house.run_flow(starting)]
    assert roll_back_prompt(house.app, "support", actor="person:test", reason="fire") == starting
    assert house.release(starting).phase is Phase.ROLLED_BACK
    assert house.serving() == second
    assert split(house) is None


def test_a_rollback_succeeds_when_a_waiting_release_ends_by_itself_meanwhile(house: House) -> None:
    first = house.serving()
    promoted = house.in_question("Say hello twice.")
    house.promote(promoted)
    waiting = house.push("Say hello to {{ nobody }}.")
    house.ledger.meanwhile = [lambda: None, lambda: house.run_flow(waiting)]
    assert roll_back_prompt(house.app, "support", actor="person:test", reason="fire") == promoted
    assert house.release(waiting).phase is Phase.REJECTED
    assert house.serving() == first


def test_what_has_ended_cannot_be_cancelled(house: House) -> None:
    release = house.in_question("Say hello twice.")
    house.promote(release)
    with pytest.raises(IllegalTransition):
        cancel(house.app, release, actor="person:test", reason="too late")
    fact = RolledBack(by="person", reason="only the words", version=None)
    with pytest.raises(IllegalTransition):
        end(house.app, house.release(release), fact, actor="person:test")
    assert house.release(release).phase is Phase.PROMOTED
    assert house.serving() == house.release(release).version


def test_rollbacks_go_back_one_promotion_each_even_when_versions_repeat(house: House) -> None:
    served = [house.serving()]
    releases = []
    for text in ("Say hello twice.", "Say hello.", "Say hello twice.", "Say hello three times."):
        house.traffic(300, bad=0.1, seconds=300)
        # The same content again is the same version, from another commit.
        releases.append(house.in_question(text))
        house.promote(releases[-1])
        served.append(house.serving())
        house.repository.commit({"README": str(len(served)).encode()})
    assert served[0] == served[2]
    assert served[1] == served[3]
    for release, version in zip(reversed(releases), reversed(served[:-1]), strict=True):
        assert roll_back_prompt(house.app, "support", actor="person:test", reason="back") == release
        assert house.serving() == version
    with pytest.raises(NotFound, match="no earlier version"):
        roll_back_prompt(house.app, "support", actor="person:test", reason="back")
    assert house.ledger.verify().problems == ()


def test_a_first_version_has_nothing_to_go_back_to() -> None:
    house = House()
    house.commit()
    release = open_release(house.app, prompt="support", ref="main", actor="person:test").release_id
    house.run_flow(release)
    house.promote(release)
    with pytest.raises(NotFound, match="no earlier version"):
        roll_back_prompt(house.app, "support", actor="person:test", reason="back")
    assert house.release(release).phase is Phase.PROMOTED


def test_two_first_versions_one_after_the_other() -> None:
    house = House()
    house.commit()
    first = open_release(house.app, prompt="support", ref="main", actor="person:test").release_id
    house.run_flow(first)
    second = house.push("Say hello twice.")
    assert house.run_flow(second) == "requested"
    house.promote(first)
    assert house.run_flow(second) == "canary"


def test_what_was_adopted_while_a_first_version_waited_is_not_replaced_without_a_canary() -> None:
    house = House()
    commit = house.commit()
    house.commit("Say hello twice.")
    release = open_release(house.app, prompt="support", ref="main", actor="person:test").release_id
    house.run_flow(release)
    adopt(house.app, [], ref=commit, actor="person:test")
    adopted = house.serving()
    approve(house.app, release, who="mira", via="cli")
    assert house.run_flow(release) == "cancelled"
    assert house.serving() == adopted


def test_without_approvers_a_first_version_fails_at_once_instead_of_waiting_for_nobody() -> None:
    house = House(plan=STAGES + "\n[plans.default.approval]\nrequired = 0\n")
    house.app = replace(house.app, settings=house.app.settings.model_copy(update={"approvers": ()}))
    house.commit()
    release = open_release(house.app, prompt="support", ref="main", actor="person:test").release_id
    assert house.run_flow(release) == "failed"
    assert "promptship adopt" in house.release(release).reason


def test_a_plan_without_approval_promotes_by_itself() -> None:
    house = House(plan=STAGES + "\n[plans.default.approval]\nrequired = 0\n")
    house.adopt()
    house.traffic(300, bad=0.1, seconds=300)
    release = house.push("Say hello twice.")
    house.run_flow(release)
    house.until(release, "approved", bad=0.02)
    assert house.due_at(release) is not None
    assert house.run_flow(release) == "promoted"
    assert house.approvals.cards == {}


def test_a_last_stage_for_everybody_is_passed_by_time_and_asked_about() -> None:
    house = House(plan=STAGES.replace("share = 0.5", "share = 1.0"))
    house.adopt()
    house.traffic(300, bad=0.1, seconds=300)
    release = house.in_question("Say hello twice.")
    assert house.release(release).share == 1.0
    house.promote(release)


def test_reasons_reach_the_ledger_without_secrets(house: House) -> None:
    secret = "sk-" + "a1B2" * 8
    running = house.push("Say hello twice.")
    house.run_flow(running)
    roll_back_prompt(house.app, "support", actor="person:test", reason=f"leaked {secret}")
    house.commit("Say hello three times.")
    by_hand = open_release(
        house.app, prompt="support", ref="main", actor="person:test", reason=f"new {secret}"
    ).release_id
    cancel(house.app, by_hand, actor="person:test", reason=f"old {secret}")
    for release in (running, by_hand):
        for event in house.ledger.events(release):
            assert secret not in event.model_dump_json()


def test_an_approver_without_an_address_cannot_be_told_from_the_author() -> None:
    house = House(plan=STAGES + "\n[plans.default.approval]\nnot_author = true\n")
    house.adopt()
    house.traffic(300, bad=0.1, seconds=300)
    nameless = house.app.settings.approvers[0].model_copy(update={"email": ""})
    approvers = (nameless, *house.app.settings.approvers[1:])
    house.app = replace(house.app, settings=house.app.settings.model_copy(update={"approvers": approvers}))
    release = house.in_question("Say hello twice.")
    with pytest.raises(Refused, match="e-mail"):
        approve(house.app, release, who="mira", via="cli")
    assert approve(house.app, release, who="noor", via="cli").phase is Phase.PROMOTED


@pytest.mark.parametrize(
    ("typed", "why"), [("ab", "too short"), ("", "too short"), ("SERVED", "serves already")]
)
def test_what_cannot_be_gone_back_to_says_why(house: House, typed: str, why: str) -> None:
    release = house.in_question("Say hello twice.")
    house.run_flow(release)
    house.promote(release)
    said = typed.replace("SERVED", house.serving()[:8]) or "  "
    with pytest.raises(NotFound, match=why):
        roll_back_prompt(house.app, "support", actor="person:test", reason="fire", to=said)
    assert house.serving() == house.release(release).version
