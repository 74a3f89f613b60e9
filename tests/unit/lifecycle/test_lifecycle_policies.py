"""Working hours, escalation, and what a question expires into: through the whole life of a release."""

from datetime import UTC, datetime

import pytest

from promptship.errors import Unavailable
from promptship.lifecycle import telling
from promptship.lifecycle.app import App
from promptship.lifecycle.approval import approve
from promptship.lifecycle.reconcile import reconcile
from promptship.release import events as e
from promptship.release.phase import Phase
from promptship.settings.people import ApprovalSettings, WorkingHours
from tests.support.house import STAGES, House

NINE_TO_FIVE = WorkingHours(begin="09:00", end="17:00")


def lived_in(approval: ApprovalSettings, plan: str = STAGES) -> House:
    house = House(plan=plan)
    fields = {name: getattr(house.app, name) for name in App.__dataclass_fields__}
    fields["settings"] = house.app.settings.model_copy(update={"approval": approval})
    house.app = App(**fields)
    house.watcher.app = house.app
    house.adopt()
    house.traffic(300, bad=0.1, seconds=300)
    house.look()
    return house


def move_to(house: House, at: datetime) -> None:
    house.clock.advance((at - house.clock.now()).total_seconds())


def test_a_question_at_night_waits_for_the_morning_and_does_not_lose_time() -> None:
    house = lived_in(ApprovalSettings(working_hours=NINE_TO_FIVE))  # it is Thursday, soon after midnight
    release = house.in_question("Say hello twice.")
    house.run_flow(release)
    nine = datetime(2026, 1, 1, 9, tzinfo=UTC)
    assert house.clock.now() < nine
    assert house.approvals.cards == {}
    assert house.due_at(release) == nine
    assert house.release(release).expires_at == datetime(2026, 1, 2, 9, tzinfo=UTC)
    move_to(house, nine)
    house.run_flow(release)
    assert len(house.approvals.cards) == 1


def test_at_night_whoever_looks_by_himself_may_decide() -> None:
    house = lived_in(ApprovalSettings(working_hours=NINE_TO_FIVE))
    release = house.in_question("Say hello twice.")
    house.run_flow(release)
    house.promote(release)
    assert house.approvals.cards == {}


def test_others_are_told_once_after_working_time_without_a_decision() -> None:
    rules = ApprovalSettings(working_hours=NINE_TO_FIVE, escalate_after=7200, escalate_to=("#leads", "UBOSS"))
    house = lived_in(rules)
    release = house.in_question("Say hello twice.")
    move_to(house, datetime(2026, 1, 1, 9, tzinfo=UTC))
    house.run_flow(release)
    eleven = datetime(2026, 1, 1, 11, tzinfo=UTC)
    assert house.due_at(release) == eleven
    house.run_flow(release)
    assert house.approvals.told == []
    move_to(house, eleven)
    house.approvals.down = True
    with pytest.raises(Unavailable):
        telling.ask(house.app, release)
    house.approvals.down = False
    for _ in range(3):
        house.run_flow(release)
    assert [where for where, _ in house.approvals.told] == ["#leads", "UBOSS"]
    assert "waits for 1 approver" in house.approvals.told[0][1]
    (fact,) = [event.fact for event in house.ledger.events(release) if isinstance(event.fact, e.Escalated)]
    assert fact.to == ("#leads", "UBOSS")
    assert house.due_at(release) == house.release(release).expires_at


def test_who_decides_in_time_escalates_nothing() -> None:
    house = lived_in(ApprovalSettings(escalate_after=7200, escalate_to=("#leads",)))
    release = house.in_question("Say hello twice.")
    house.run_flow(release)
    approve(house.app, release, who="mira", via="cli")
    house.clock.advance(7201)
    assert house.run_flow(release) == "promoted"
    assert all(where != "#leads" for where, _ in house.approvals.told)


@pytest.mark.parametrize(("into", "phase"), [("rollback", Phase.ROLLED_BACK), ("cancel", Phase.CANCELLED)])
def test_a_question_expires_into_the_plans_choice_and_never_into_promotion(into: str, phase: Phase) -> None:
    plan = STAGES + f'\n[plans.default.approval]\nexpires_into = "{into}"\n'
    house = lived_in(ApprovalSettings(), plan)
    stable = house.serving()
    release = house.in_question("Say hello twice.")
    house.run_flow(release)
    (card,) = house.approvals.cards.values()
    assert any(
        f"then it is {'cancelled' if into == 'cancel' else 'rolled back'}" in line for line in card.lines
    )
    house.clock.advance(24 * 3600)
    reconcile(house.app)
    assert house.release(release).phase is phase
    assert house.serving() == stable
    assert house.routes.get("support").split is None  # type: ignore[union-attr]
