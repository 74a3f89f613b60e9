"""What every ledger does: opening, appending, reading, claims and leases."""

import math
import re
from datetime import timedelta, timezone

import pytest

from promptship.errors import Conflict, IllegalTransition, NotFound
from promptship.release.events import Evaluated, Looked, Rejected, Stumbled
from promptship.release.history import fold
from promptship.release.phase import OPEN, Phase
from tests.support.facts import FACTS, PATHS, bring, looked, opened, requested
from tests.support.ledger_stores import START, Store

WITHOUT_VERDICT = {Phase.FAILED, Phase.CANCELLED, Phase.SUPERSEDED}


def phase_of(store: Store, release_id: str) -> Phase:
    (summary,) = (one for one in store.ledger.summaries() if one.id == release_id)
    return summary.phase


def test_the_same_push_is_one_release_with_one_id(store: Store) -> None:
    first, created = store.ledger.open_release(requested(), actor="push:mira", at=START)
    store.clock.turn(hours=1)
    again = store.ledger.open_release(requested(), actor="cli", at=store.clock.now())

    assert created
    assert again == (first, False)
    assert re.fullmatch(r"r-[a-z2-7]{10}", first)
    assert first == "r-y25w2uk5yr", "ids of known releases must never change"
    assert len(store.ledger.events(first)) == 1


def test_another_prompt_or_another_commit_is_another_release(store: Store) -> None:
    ids = {opened(store, prompt, commit) for prompt in ("a", "b") for commit in ("c1", "c2")}

    assert len(ids) == 4


def test_a_release_opens_requested_and_due_at_once(store: Store) -> None:
    release_id = opened(store)

    (summary,) = store.ledger.summaries()
    (event,) = store.ledger.events(release_id)
    assert (summary.id, summary.phase, summary.seq, summary.author) == (
        release_id, Phase.REQUESTED, 0, "mira@example.org",
    )  # fmt: skip
    assert summary.opened_at == summary.moved_at == summary.due_at == START
    assert (event.seq, event.prev, event.actor, event.at, event.fact) == (
        0,
        "",
        "push:mira",
        START,
        requested(),
    )


def test_a_release_begins_with_a_request(store: Store) -> None:
    with pytest.raises(IllegalTransition, match="begins with requested"):
        store.ledger.open_release(looked(), actor="flow", at=START)
    assert store.ledger.summaries() == ()


@pytest.mark.parametrize("phase", list(Phase))
def test_asking_again_opens_another_attempt_exactly_when_there_was_no_verdict(
    store: Store, phase: Phase
) -> None:
    first = opened(store)
    bring(store, first, phase)

    assert store.ledger.open_release(requested(), actor="cli", at=START) == (first, False)
    second, created = store.ledger.open_release(requested(), actor="cli", at=START, again=True)
    assert created == (phase in WITHOUT_VERDICT)
    assert second == (f"{first}-2" if created else first)
    # Whoever asks next gets the latest attempt.
    assert store.ledger.open_release(requested(), actor="cli", at=START) == (second, False)
    assert store.ledger.verify().problems == ()


def test_facts_are_appended_in_order_and_move_the_phase(store: Store) -> None:
    release_id = opened(store)
    at = store.clock.turn(minutes=5)
    events = store.ledger.append(
        release_id,
        [FACTS["linted"](), FACTS["stumbled"](), FACTS["evaluated"]()],
        expected_seq=0,
        actor="flow",
        at=at,
    )

    history = store.ledger.events(release_id)
    assert tuple(history[1:]) == events
    assert [event.seq for event in history] == [0, 1, 2, 3]
    assert [event.prev for event in history] == ["", *(event.hash for event in history[:-1])]
    assert fold(history).phase is phase_of(store, release_id) is Phase.EVALUATED


def test_only_the_reader_of_the_last_event_may_append(store: Store) -> None:
    release_id = opened(store)
    for stale in (-1, 1, 7):
        with pytest.raises(Conflict, match="is at event 0"):
            store.ledger.append(release_id, [FACTS["linted"]()], expected_seq=stale, actor="flow", at=START)

    assert len(store.ledger.events(release_id)) == 1
    assert phase_of(store, release_id) is Phase.REQUESTED


def test_one_fact_that_does_not_fit_keeps_all_of_them_out(store: Store) -> None:
    release_id = opened(store)
    for facts in (["linted", "promoted"], ["requested"], ["looked", "stage_started"]):
        with pytest.raises(IllegalTransition):
            store.ledger.append(
                release_id, [FACTS[kind]() for kind in facts], expected_seq=0, actor="flow", at=START
            )

    assert len(store.ledger.events(release_id)) == 1
    assert store.ledger.verify().problems == ()


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in OPEN])
def test_an_ended_release_still_takes_notes(store: Store, phase: Phase) -> None:
    release_id = opened(store)
    seq = bring(store, release_id, phase)
    store.ledger.append(release_id, [FACTS["concluded"]()], expected_seq=seq, actor="flow", at=START)

    assert store.ledger.events(release_id)[-1].fact.kind == "concluded"
    assert phase_of(store, release_id) is phase


def test_unknown_releases_are_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="r-nothing"):
        store.ledger.append("r-nothing", [FACTS["linted"]()], expected_seq=0, actor="flow", at=START)
    with pytest.raises(NotFound, match="r-nothing"):
        store.ledger.events("r-nothing")
    with pytest.raises(NotFound, match="r-nothing"):
        store.ledger.claim("support-reply", "r-nothing")
    with pytest.raises(NotFound, match="r-nothing"):
        store.ledger.verify("r-nothing")


def test_moved_at_is_when_phase_or_stage_last_changed(store: Store) -> None:
    release_id = opened(store)
    moved = store.clock.turn(minutes=1)
    seq = bring(store, release_id, Phase.CANARY)
    store.clock.turn(minutes=1)
    store.ledger.append(release_id, [looked()], expected_seq=seq, actor="watcher", at=store.clock.now())
    assert store.ledger.summaries()[0].moved_at == moved

    next_stage = store.clock.turn(minutes=1)
    store.ledger.append(
        release_id, [FACTS["stage_started"]()], expected_seq=seq + 1, actor="watcher", at=next_stage
    )
    assert (
        store.ledger.summaries()[0].moved_at == next_stage == fold(store.ledger.events(release_id)).moved_at
    )


def test_the_due_time_is_replaced_or_kept(store: Store) -> None:
    release_id = opened(store)
    later = START + timedelta(hours=1)

    def due_after(seq: int, due_at: object = None, **how: bool) -> object:
        store.ledger.append(
            release_id, [FACTS["stumbled"]()], expected_seq=seq, actor="flow", at=START,
            due_at=due_at, **how,  # type: ignore[arg-type]
        )  # fmt: skip
        return store.ledger.summaries()[0].due_at

    assert due_after(0, later) == later
    assert due_after(1, keep_due=True) == later
    assert due_after(2) is None


def test_a_release_can_be_parked_without_a_fact(store: Store) -> None:
    release_id = opened(store)
    later = START + timedelta(hours=1)

    assert store.ledger.append(release_id, [], expected_seq=0, actor="flow", at=START, due_at=later) == ()
    assert store.ledger.summaries()[0].due_at == later
    assert store.ledger.verify().problems == ()


def test_due_lists_whoever_waits_longest_first_whether_open_or_ended(store: Store) -> None:
    late, early, ended, waiting = (opened(store, prompt) for prompt in ("late", "early", "ended", "waiting"))

    def park(release_id: str, kind: str, minutes: float | None) -> None:
        due_at = None if minutes is None else START + timedelta(minutes=minutes)
        store.ledger.append(
            release_id, [FACTS[kind]()], expected_seq=0, actor="flow", at=START, due_at=due_at
        )

    park(late, "linted", 3)
    park(early, "linted", 1)
    park(ended, "rejected", 2)
    park(waiting, "linted", None)

    def due(minutes: float) -> list[str]:
        return [summary.id for summary in store.ledger.due(START + timedelta(minutes=minutes))]

    assert due(0.99) == []
    assert due(1) == [early]
    assert due(9) == [early, ended, late]


def test_one_release_per_prompt_holds_the_claim_until_it_ends(store: Store) -> None:
    older, newer = opened(store, commit="c1"), opened(store, commit="c2")
    elsewhere = opened(store, "other-prompt")

    assert store.ledger.claim("support-reply", older)
    assert store.ledger.claim("support-reply", older)
    assert not store.ledger.claim("support-reply", newer)
    assert store.ledger.claim("other-prompt", elsewhere)

    bring(store, older, Phase.ROLLED_BACK)
    assert store.ledger.claim("support-reply", newer)


@pytest.mark.parametrize("phase", list(Phase))
def test_a_claim_is_held_exactly_while_the_release_is_open(store: Store, phase: Phase) -> None:
    holder, waiting = opened(store, commit="c1"), opened(store, commit="c2")
    assert store.ledger.claim("support-reply", holder)
    bring(store, holder, phase)

    assert store.ledger.claim("support-reply", waiting) == (phase not in OPEN)
    assert store.ledger.claim("support-reply", holder) == (phase in OPEN)


def test_an_end_frees_nobody_elses_claim(store: Store) -> None:
    holder, waiting, third = (opened(store, commit=commit) for commit in ("c1", "c2", "c3"))
    assert store.ledger.claim("support-reply", holder)
    bring(store, waiting, Phase.SUPERSEDED)

    assert not store.ledger.claim("support-reply", third)


def test_a_prompt_is_not_claimed_for_a_release_of_another(store: Store) -> None:
    with pytest.raises(NotFound, match="is of prompt support-reply"):
        store.ledger.claim("other-prompt", opened(store))


def test_a_lease_is_held_until_its_time_has_passed(store: Store) -> None:
    def ask(holder: str, seconds: float) -> bool:
        return store.ledger.acquire("watcher", holder, ttl_s=10, at=START + timedelta(seconds=seconds))

    assert ask("a", 0)
    assert not ask("b", 9.999)
    assert ask("a", 5)  # renewed: until 15
    assert not ask("b", 14.999)
    assert ask("b", 15)
    assert not ask("a", 16)


def test_a_lease_is_given_back_only_by_its_holder(store: Store) -> None:
    assert store.ledger.acquire("watcher", "a", ttl_s=10, at=START)
    store.ledger.let_go("watcher", "b")
    assert not store.ledger.acquire("watcher", "b", ttl_s=10, at=START)
    store.ledger.let_go("watcher", "a")
    assert store.ledger.acquire("watcher", "b", ttl_s=10, at=START)
    store.ledger.let_go("nothing", "b")


def test_looks_can_be_left_out_but_for_the_last(store: Store) -> None:
    release_id = opened(store)
    seq = bring(store, release_id, Phase.CANARY)
    for look in (1, 2, 3):
        store.ledger.append(release_id, [looked(look)], expected_seq=seq, actor="watcher", at=START)
        seq += 1
    store.ledger.append(
        release_id, [FACTS["approval_requested"]()], expected_seq=seq, actor="watcher", at=START
    )

    everything = store.ledger.events(release_id)
    shorter = store.ledger.events(release_id, looks=False)
    assert [event.seq for event in everything] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert [event.seq for event in shorter] == [0, 1, 2, 3, 6, 7]
    assert fold(shorter) == fold(everything)
    assert [event.seq for event in store.ledger.events(release_id, after=4)] == [5, 6, 7]
    assert [event.seq for event in store.ledger.events(release_id, looks=False, after=4)] == [6, 7]
    assert store.ledger.events(release_id, after=7) == ()


def test_without_any_look_nothing_is_left_out(store: Store) -> None:
    release_id = opened(store)
    bring(store, release_id, Phase.EVALUATED)

    assert store.ledger.events(release_id, looks=False) == store.ledger.events(release_id)


def test_leases_that_ended_are_forgotten_and_no_others(store: Store) -> None:
    for name, ttl_s in (("old", 10.0), ("new", 100.0)):
        assert store.ledger.acquire(name, "a", ttl_s=ttl_s, at=START)
    assert store.ledger.forget_leases(START + timedelta(seconds=10)) == 0
    assert store.ledger.forget_leases(START + timedelta(seconds=11)) == 1
    assert not store.ledger.acquire("new", "b", ttl_s=1.0, at=START)
    assert store.ledger.acquire("old", "b", ttl_s=1.0, at=START)


def test_a_release_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    release_id = opened(store)

    for typed in (release_id, release_id[:5], release_id[2:6], release_id.upper(), f" {release_id} "):
        assert store.ledger.find(typed) == release_id
    for typed in ("r-zzzz", release_id + "x", "%", "_" * 10):
        with pytest.raises(NotFound, match="no release"):
            store.ledger.find(typed)


def test_an_ambiguous_beginning_names_the_candidates(store: Store) -> None:
    first = opened(store)
    bring(store, first, Phase.FAILED)
    second, _ = store.ledger.open_release(requested(), actor="cli", at=START, again=True)

    assert store.ledger.find(first) == first, "an exact id is never ambiguous"
    assert store.ledger.find(second) == second
    with pytest.raises(NotFound, match=f"{first}, {second}"):
        store.ledger.find(first[:6])


def test_summaries_are_newest_first_even_within_one_instant(store: Store) -> None:
    ids = [opened(store, prompt, f"c{n}") for n in range(4) for prompt in ("a", "b")]
    bring(store, ids[0], Phase.FAILED)

    def listed(**wanted: object) -> list[str]:
        return [summary.id for summary in store.ledger.summaries(**wanted)]  # type: ignore[arg-type]

    assert listed() == ids[::-1]
    assert listed(limit=3) == ids[:-4:-1]
    assert listed(prompt="a") == ids[-2::-2]
    assert listed(phases=frozenset({Phase.FAILED})) == [ids[0]]
    assert listed(prompt="b", phases=frozenset({Phase.FAILED, Phase.CANARY})) == []
    assert listed(phases=frozenset()) == []


def test_times_come_back_exactly_and_in_utc(store: Store) -> None:
    at = START.replace(microsecond=7).astimezone(timezone(timedelta(hours=5, minutes=45)))
    release_id, _ = store.ledger.open_release(requested(), actor="cli", at=at)

    (event,) = store.ledger.events(release_id)
    assert event.at == at
    assert event.at.utcoffset() == timedelta(0)
    assert store.ledger.summaries()[0].opened_at == at
    assert store.ledger.verify().problems == ()


def test_facts_come_back_as_they_went_in(store: Store) -> None:
    release_id = opened(store)
    reason = "naïve “quotes” \\ ' 日本語 \U0001f680 %s :name \n tab\t null\0 line\u2028"
    verdict = {"b": [1, 2.5, None, True], "a": {"z": 1e-300, "ü": 0.1 + 0.2}, "big": 2**62}
    facts = [
        FACTS["linted"](),
        Evaluated(stable=None, verdict=verdict),
        Stumbled(step="canary", reason=reason),
    ]
    appended = store.ledger.append(release_id, facts, expected_seq=0, actor="slack:U1 'x'", at=START)

    assert [event.fact for event in appended] == facts
    assert tuple(store.ledger.events(release_id)[1:]) == appended
    assert store.ledger.verify().problems == ()


def test_overflowing_statistics_are_kept_as_words_and_stop_no_rollback(store: Store) -> None:
    release_id = opened(store)
    seq = bring(store, release_id, Phase.CANARY)
    state = {"e": math.inf, "low": -math.inf, "nan": math.nan, "list": [math.inf]}
    (event,) = store.ledger.append(
        release_id, [looked(state=state)], expected_seq=seq, actor="watcher", at=START
    )

    assert isinstance(event.fact, Looked)
    assert event.fact.state == {"e": "Infinity", "low": "-Infinity", "nan": "NaN", "list": ["Infinity"]}
    assert store.ledger.events(release_id)[-1] == event
    assert store.ledger.verify().problems == ()


def test_a_clean_ledger_verifies_and_its_head_moves_with_every_event(store: Store) -> None:
    assert store.ledger.verify().problems == ()
    heads = {store.ledger.verify().head}
    first, second = opened(store, "a"), opened(store, "b")
    heads.add(store.ledger.verify().head)
    store.ledger.append(first, [Rejected(by="lint", reason="no")], expected_seq=0, actor="flow", at=START)

    report = store.ledger.verify()
    assert (report.releases, report.events, report.problems) == (2, 3, ())
    assert len(heads | {report.head}) == 3
    one = store.ledger.verify(second)
    assert (one.releases, one.events, one.problems) == (1, 1, ())


@pytest.mark.parametrize("phase", list(Phase))
def test_the_kept_phase_is_the_fold_of_the_events(store: Store, phase: Phase) -> None:
    release_id = opened(store)
    bring(store, release_id, phase)

    release = fold(store.ledger.events(release_id))
    (summary,) = store.ledger.summaries()
    assert release.phase is summary.phase is phase
    assert release.seq == summary.seq == len(PATHS[phase])
    assert store.ledger.verify().problems == ()
