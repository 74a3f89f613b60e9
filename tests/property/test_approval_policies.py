"""A yes counts exactly when policy, question and person allow it; working time is counted right; no attempt grows without end."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.errors import Refused, Unavailable
from promptship.lifecycle.approval import REFUSALS_MAX, approve, reject
from promptship.lifecycle.approvers import identify
from promptship.lifecycle.working_hours import after, opens
from promptship.prompts.model import RiskClass
from promptship.release import events as e
from promptship.release.phase import Phase
from promptship.release.plan import Approval, Plan
from promptship.settings import Approver, Settings
from promptship.settings.people import DAYS, ApprovalSettings, ApproverGroup, WorkingHours
from tests.support.plane import World, in_canary

RISKS = tuple(RiskClass)
risks = st.sets(st.sampled_from(RISKS), min_size=1).map(lambda found: tuple(sorted(found)))


def asked(world: World, plan: Plan, *, risk: RiskClass, required: int) -> str:
    """A release of this risk that asks; its author is dev@example.org."""
    release_id = in_canary(world, plan, risk=risk)
    question = e.ApprovalRequested(
        question="promote",
        required=required,
        expires_at=world.clock.now() + timedelta(hours=24),
        reason="good",
    )
    world.app.ledger.append(release_id, [question], expected_seq=4, actor="flow", at=world.clock.now())
    return release_id


@settings(max_examples=60, deadline=None)
@given(
    risk=st.sampled_from(RISKS), configured=st.booleans(), own=risks, in_group=st.booleans(), group=risks, is_author=st.booleans(),
    planned=st.booleans(), service=st.booleans(), old=st.booleans(), late=st.booleans(), twice=st.booleans(), down=st.booleans(),
)  # fmt: skip
def test_a_yes_counts_exactly_when_it_may(
    risk: RiskClass, configured: bool, own: tuple[RiskClass, ...], in_group: bool, group: tuple[RiskClass, ...],
    is_author: bool, planned: bool, service: bool, old: bool, late: bool, twice: bool, down: bool,
) -> None:  # fmt: skip
    email = "dev@example.org" if is_author else "mira@example.org"
    people = (Approver(name="mira", email=email, slack="UMIRA", risks=own),) if configured else ()
    rules = ApprovalSettings(groups=(ApproverGroup(slack="SGROUP", risks=group),), not_author=service)
    world = World(Settings(approvers=people, approval=rules))
    world.approvals.groups = {"SGROUP": frozenset({"UMIRA"} if in_group else ())}
    world.approvals.emails = {"UMIRA": email}
    plan = Plan(approval=Approval(required=2, not_author=planned))
    release_id = asked(world, plan, risk=risk, required=2)
    may_anyhow = configured and risk in own
    by_group = in_group and risk in group
    author_counts = not (is_author and (planned or service))
    if twice and (may_anyhow or by_group) and author_counts:
        approve(world.app, release_id, who="UMIRA", via="slack", seq=5)
    else:
        twice = False
    if late:
        world.clock.advance(24 * 3600)
    world.approvals.down = down
    before = world.app.release(release_id).approvers
    decides = (may_anyhow or (by_group and not down)) and author_counts and not (old or late or twice)
    try:
        approve(world.app, release_id, who="UMIRA", via="slack", seq=4 if old else 5)
        counted = True
    except (Refused, Unavailable) as error:
        counted = False
        if isinstance(error, Unavailable):
            assert down
            assert not may_anyhow
            assert risk in group
    assert counted == decides
    assert (world.app.release(release_id).approvers != before) == decides
    assert world.app.release(release_id).phase is Phase.AWAITING_APPROVAL


def test_the_same_person_under_two_names_counts_once() -> None:
    """By command line under the configured name, in Slack through a group."""
    mira = Approver(name="mira", email="mira@example.org")
    rules = ApprovalSettings(groups=(ApproverGroup(slack="SGROUP"),))
    world = World(Settings(approvers=(mira,), approval=rules))
    world.approvals.groups = {"SGROUP": frozenset({"UMIRA", "UNOOR", "UXAVI"})}
    world.approvals.emails = {"UMIRA": "Mira@example.org", "UNOOR": "noor@example.org"}
    release_id = asked(world, Plan(), risk=RiskClass.LOW, required=2)
    approve(world.app, release_id, who="mira", via="cli")
    with pytest.raises(Refused, match="already"):
        approve(world.app, release_id, who="UMIRA", via="slack", seq=5)
    with pytest.raises(Refused, match="may be another approver"):
        approve(world.app, release_id, who="UXAVI", via="slack", seq=5)
    assert approve(world.app, release_id, who="UNOOR", via="slack", seq=5).phase is Phase.PROMOTED


def test_a_group_is_asked_only_where_it_matters_and_never_guessed() -> None:
    rules = ApprovalSettings(groups=(ApproverGroup(slack="SGONE"), ApproverGroup(slack="SGROUP")))
    world = World(Settings(approvers=(Approver(name="mira", slack="UMIRA"),), approval=rules))
    world.approvals.groups = {"SGROUP": frozenset({"UNOOR"})}
    mira = identify(world.app, "UMIRA", risk=RiskClass.HIGH)
    assert mira is not None
    noor = identify(world.app, "UNOOR", risk=RiskClass.HIGH)
    assert noor is not None
    assert noor.name == "UNOOR"
    with pytest.raises(Unavailable, match="cannot tell now"):
        identify(world.app, "UEVE", risk=RiskClass.HIGH)
    assert identify(world.app, "eve@example.org", risk=RiskClass.HIGH) is None


def test_refused_attempts_do_not_grow_the_ledger_without_end() -> None:
    world = World()
    release_id = asked(world, Plan(), risk=RiskClass.LOW, required=1)
    for number in range(REFUSALS_MAX + 20):
        with pytest.raises(Refused):
            approve(world.app, release_id, who=f"UEVE{number}", via="slack", seq=5)
    kinds = [event.fact.kind for event in world.app.ledger.events(release_id)]
    assert kinds.count("approval_refused") == REFUSALS_MAX
    assert approve(world.app, release_id, who="mira", via="cli").phase is Phase.PROMOTED


hours = st.builds(
    WorkingHours, days=st.sets(st.sampled_from(DAYS), min_size=1).map(lambda found: tuple(sorted(found))),
    begin=st.sampled_from(["00:00", "02:30", "09:00"]), end=st.sampled_from(["10:15", "17:00", "23:59"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
)  # fmt: skip
moments = st.integers(1_767_225_600, 1_830_297_600).map(lambda at: datetime.fromtimestamp(at, UTC))


def within(rules: WorkingHours, at: datetime) -> bool:
    local = at.astimezone(ZoneInfo(rules.zone))
    return DAYS[local.weekday()] in rules.days and rules.begin <= f"{local:%H:%M}" < rules.end


@settings(max_examples=60, deadline=None)
@given(rules=hours, at=moments)
def test_people_are_asked_at_once_exactly_within_working_hours(rules: WorkingHours, at: datetime) -> None:
    opening = opens(rules, at)
    assert (opening == at) == within(rules, at)
    assert at <= opening <= at + timedelta(days=8)
    assert within(rules, opening)
    assert opens(rules, opening) == opening
    assert opens(None, at) == at


@settings(max_examples=60, deadline=None)
@given(rules=hours, at=moments, first=st.integers(0, 400_000), more=st.integers(0, 200_000))
def test_working_time_adds_up(rules: WorkingHours, at: datetime, first: int, more: int) -> None:
    there = after(rules, at, first + more)
    assert there == after(rules, after(rules, at, first), more)
    assert there >= at + timedelta(seconds=first + more)
    assert after(None, at, first) == at + timedelta(seconds=first)


def test_working_time_over_a_weekend_and_a_change_of_clocks() -> None:
    rules = WorkingHours(begin="09:00", end="17:00", zone="Europe/Berlin")
    friday = datetime(2026, 3, 27, 15, 30, tzinfo=UTC)  # 16:30 in Berlin; the clocks change on Sunday
    assert after(rules, friday, 3600) == datetime(2026, 3, 30, 7, 30, tzinfo=UTC)  # Monday 09:30, summer time
    assert opens(rules, friday + timedelta(hours=2)) == datetime(2026, 3, 30, 7, tzinfo=UTC)
    every = WorkingHours(days=DAYS, begin="00:00", end="23:59", zone="Europe/Berlin")
    sunday = datetime(2026, 3, 28, 23, tzinfo=UTC)  # midnight in Berlin, a day of 23 hours
    assert after(every, sunday, 22 * 3600) == datetime(2026, 3, 29, 21, tzinfo=UTC)
    sundays = WorkingHours(days=("sun",), begin="00:00", end="23:59", zone="Europe/Berlin")
    assert after(sundays, sunday - timedelta(hours=9), 22 * 3600) == datetime(2026, 3, 29, 21, tzinfo=UTC)


@settings(max_examples=20, deadline=None)
@given(risk=st.sampled_from(RISKS), own=risks, is_author=st.booleans(), late=st.booleans())
def test_a_no_is_welcome_from_every_approver(
    risk: RiskClass, own: tuple[RiskClass, ...], is_author: bool, late: bool
) -> None:
    email = "dev@example.org" if is_author else "mira@example.org"
    mira = Approver(name="mira", email=email, slack="UMIRA", risks=own)
    world = World(Settings(approvers=(mira,), approval=ApprovalSettings(not_author=True)))
    release_id = asked(world, Plan(), risk=risk, required=1)
    if late:
        world.clock.advance(24 * 3600)
    with pytest.raises(Refused):
        reject(world.app, release_id, who="UEVE", via="slack", seq=5)
    with pytest.raises(Refused):
        reject(world.app, release_id, who="UMIRA", via="slack", seq=4)
    assert reject(world.app, release_id, who="UMIRA", via="slack", seq=5).phase is Phase.ROLLED_BACK
