"""What somebody sees who watches a release."""

from datetime import UTC, datetime, timedelta

from promptship.canary.evidence import Finding, Outcome, Verdict
from promptship.release import events as e
from promptship.render.follow import Following

START = datetime(2026, 1, 1, tzinfo=UTC)


def event(fact: e.Fact, second: float) -> e.Event:
    return e.Event(
        release_id="r-x", seq=0, at=START + timedelta(seconds=second), actor="a", fact=fact, prev="", hash=""
    )


def look(outcome: Outcome, second: float) -> e.Event:
    verdict = Verdict(
        stage=0, look=1, findings=(Finding(rule="error_rate", outcome=outcome, because="Because."),)
    )
    fact = e.Looked(stage=0, look=1, as_of=START, state={}, verdict=verdict.model_dump(mode="json"))
    return event(fact, second)


def shown(*events: e.Event) -> list[bool]:
    following = Following(every_s=5)
    return [bool(list(following.lines(one))) for one in events]


def test_a_look_is_shown_exactly_when_it_says_something_else_or_some_time_has_passed() -> None:
    hold, advance = Outcome.HOLD, Outcome.ADVANCE
    looks = [look(hold, 0), look(hold, 1), look(hold, 5), look(advance, 6), look(advance, 7), look(hold, 8)]
    assert shown(*looks) == [True, False, True, True, False, True]


def test_everything_but_looks_is_always_shown_except_the_telling() -> None:
    stage = event(e.StageStarted(stage=1, share=0.5, salt="s", stable="d"), 1)
    concluded = event(e.Concluded(), 2)
    assert shown(look(Outcome.HOLD, 0), stage, stage, concluded) == [True, True, True, False]


def test_while_people_think_only_a_rollback_is_news() -> None:
    asked = event(e.ApprovalRequested(question="promote", required=1, expires_at=START, reason=""), 1)
    assert shown(asked, look(Outcome.ADVANCE, 9), look(Outcome.HOLD, 20), look(Outcome.ROLL_BACK, 30)) == [
        True, False, False, True,
    ]  # fmt: skip
