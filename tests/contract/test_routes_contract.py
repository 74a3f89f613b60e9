"""What every keeper of routes does, alone and in one transaction with the events that explain a change."""

from dataclasses import replace
from datetime import timedelta

import pytest

from promptship.errors import Conflict, IllegalTransition, NotFound
from promptship.ports import RouteChange
from promptship.release.events import RolledBack, StageStarted
from promptship.release.phase import Phase
from promptship.routing.table import Route, RoutingTable, Split
from tests.support.canary_routes import CANDIDATE, PROMPT, STABLE, give_back, in_canary, split
from tests.support.facts import FACTS, bring, opened
from tests.support.ledger_stores import START, Store


def test_nothing_is_served_before_somebody_says_so(store: Store) -> None:
    assert store.routes.get(PROMPT) is None
    assert store.routes.table() == RoutingTable(revision=0)
    assert store.routes.revision() == 0
    assert store.routes.history(PROMPT) == ()


def test_a_version_is_adopted_once(store: Store) -> None:
    route = store.routes.adopt(PROMPT, STABLE, actor="person:mira", at=START)

    assert route == Route(prompt=PROMPT, revision=1, stable=STABLE.digest, commit="c1")
    assert store.routes.get(PROMPT) == route
    assert store.routes.table() == RoutingTable(
        revision=1, routes={PROMPT: route}, versions={STABLE.digest: STABLE}
    )
    with pytest.raises(Conflict):
        store.routes.adopt(PROMPT, CANDIDATE, actor="person:mira", at=START)
    assert store.routes.get(PROMPT) == route
    assert store.routes.revision() == 1
    with pytest.raises(NotFound):
        store.routes.version(CANDIDATE.digest)


def test_revisions_are_one_growing_number_over_all_prompts(store: Store) -> None:
    revisions = [store.routes.adopt(f"p{n}", STABLE, actor="cli", at=START).revision for n in range(3)]
    release_id = opened(store, "p0")
    seq = bring(store, release_id, Phase.CANARY)
    back = replace(give_back(1), prompt="p0")
    store.ledger.append(
        release_id, [FACTS["rolled_back"]()], expected_seq=seq, actor="watcher", at=START, route=back
    )

    assert revisions == [1, 2, 3]
    table = store.routes.table()
    assert {prompt: route.revision for prompt, route in table.routes.items()} == {"p0": 4, "p1": 2, "p2": 3}
    assert table.revision == store.routes.revision() == 4


def test_a_split_comes_with_the_event_that_starts_it(store: Store) -> None:
    release_id = in_canary(store)

    route = store.routes.get(PROMPT)
    assert route is not None
    assert route.split == Split(
        release_id=release_id, candidate=CANDIDATE.digest, stage=0, share=0.05, salt="salt", lease_s=30
    )
    assert route.revision == 2
    assert store.routes.table().versions == {STABLE.digest: STABLE, CANDIDATE.digest: CANDIDATE}


def test_a_rollback_takes_the_split_away_in_the_same_step(store: Store) -> None:
    release_id = in_canary(store)
    store.ledger.append(
        release_id, [FACTS["rolled_back"]()], expected_seq=3, actor="watcher", at=START, route=give_back(2)
    )

    assert store.routes.get(PROMPT) == Route(prompt=PROMPT, revision=3, stable=STABLE.digest, commit="c1")
    assert store.routes.table().versions == {STABLE.digest: STABLE}
    assert store.ledger.summaries()[0].phase is Phase.ROLLED_BACK


@pytest.mark.parametrize("stale", [0, 1, 3])
def test_a_route_that_moved_keeps_the_event_out(store: Store, stale: int) -> None:
    release_id = in_canary(store)
    before = (
        store.ledger.events(release_id),
        store.ledger.summaries(),
        store.routes.table(),
        store.routes.history(PROMPT),
    )
    with pytest.raises(Conflict, match="route of support-reply is at revision 2"):
        store.ledger.append(
            release_id,
            [FACTS["rolled_back"]()],
            expected_seq=3,
            actor="watcher",
            at=START,
            route=give_back(stale),
        )

    assert before == (
        store.ledger.events(release_id), store.ledger.summaries(), store.routes.table(), store.routes.history(PROMPT),
    )  # fmt: skip
    assert store.routes.revision() == 2
    assert store.ledger.verify().problems == ()


def test_a_release_that_moved_keeps_the_route_change_out(store: Store) -> None:
    release_id = in_canary(store)
    with pytest.raises(Conflict, match="is at event 3"):
        store.ledger.append(
            release_id,
            [FACTS["rolled_back"]()],
            expected_seq=2,
            actor="watcher",
            at=START,
            route=give_back(2),
        )

    route = store.routes.get(PROMPT)
    assert route is not None
    assert route.revision == 2
    assert route.split is not None


def test_a_first_route_must_not_exist_yet(store: Store) -> None:
    store.routes.keep_version(CANDIDATE)
    release_id = opened(store, PROMPT)
    seq = bring(store, release_id, Phase.APPROVED)
    promoted = RouteChange(prompt=PROMPT, expected_revision=5, stable=CANDIDATE.digest, commit="c2")
    with pytest.raises(Conflict, match="does not exist"):
        store.ledger.append(
            release_id, [FACTS["promoted"]()], expected_seq=seq, actor="flow", at=START, route=promoted
        )
    store.ledger.append(
        release_id, [FACTS["promoted"]()], expected_seq=seq, actor="flow", at=START,
        route=replace(promoted, expected_revision=0),
    )  # fmt: skip

    assert store.routes.get(PROMPT) == Route(prompt=PROMPT, revision=1, stable=CANDIDATE.digest, commit="c2")


@pytest.mark.parametrize("arm", ["stable", "candidate"])
def test_no_route_names_a_version_nobody_kept(store: Store, arm: str) -> None:
    release_id = in_canary(store)
    change = replace(split(release_id, revision=2), **{arm: "f" * 64})  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="ffff"):
        store.ledger.append(
            release_id, [FACTS["stage_started"]()], expected_seq=3, actor="watcher", at=START, route=change
        )

    assert len(store.ledger.events(release_id)) == 4
    assert store.routes.revision() == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"prompt": "other"}, "is for other"),
        ({"release_id": "r-somebody"}, "without this release"),
        ({"release_id": None}, "without this release"),
        ({"stage": None}, "a stage"),
        ({"salt": ""}, "a salt"),
        ({"candidate": None}, "no candidate"),
        ({"share": 1.01}, "share 1.01"),
        ({"share": float("nan")}, "share nan"),
    ],
)
def test_a_route_change_must_fit_its_release(store: Store, wrong: dict[str, object], said: str) -> None:
    release_id = in_canary(store)
    change = replace(split(release_id, revision=2), **wrong)  # type: ignore[arg-type]
    with pytest.raises(IllegalTransition, match=said):
        store.ledger.append(
            release_id, [FACTS["stage_started"]()], expected_seq=3, actor="watcher", at=START, route=change
        )

    assert len(store.ledger.events(release_id)) == 4
    assert store.routes.revision() == 2


def test_a_route_changes_only_with_an_event_that_explains_it(store: Store) -> None:
    release_id = in_canary(store)
    with pytest.raises(IllegalTransition, match="an event that explains"):
        store.ledger.append(release_id, [], expected_seq=3, actor="flow", at=START, route=give_back(2))


def test_the_lease_runs_out_by_itself_and_never_below_nothing(store: Store) -> None:
    in_canary(store)

    def left() -> float:
        route = store.routes.get(PROMPT)
        assert route is not None
        assert route.split is not None
        assert store.routes.table().routes[PROMPT] == route
        return route.split.lease_s

    assert left() == 30
    store.clock.turn(seconds=29.5)
    assert left() == 0.5
    store.clock.turn(seconds=0.5)
    assert left() == 0
    store.clock.turn(days=1)
    assert left() == 0


def test_renewing_moves_the_lease_and_not_the_revision(store: Store) -> None:
    release_id = in_canary(store)
    store.routes.renew(PROMPT, release_id, until=START + timedelta(seconds=90))

    route = store.routes.get(PROMPT)
    assert route is not None
    assert route.split is not None
    assert route.split.lease_s == 90
    assert route.revision == store.routes.revision() == 2
    assert len(store.routes.history(PROMPT)) == 2


def test_renewing_somebody_elses_split_or_none_does_nothing(store: Store) -> None:
    release_id = in_canary(store)
    before = store.routes.table()
    store.routes.renew(PROMPT, "r-somebody", until=START + timedelta(days=1))
    store.routes.renew("other", release_id, until=START + timedelta(days=1))
    assert store.routes.table() == before

    store.ledger.append(
        release_id, [FACTS["rolled_back"]()], expected_seq=3, actor="watcher", at=START, route=give_back(2)
    )
    store.routes.renew(PROMPT, release_id, until=START + timedelta(days=1))
    route = store.routes.get(PROMPT)
    assert route is not None
    assert route.split is None


def test_a_version_is_kept_once_under_its_digest(store: Store) -> None:
    store.routes.keep_version(STABLE)
    store.routes.keep_version(STABLE.model_copy(update={"commit": "later"}))

    assert store.routes.version(STABLE.digest) == STABLE
    with pytest.raises(Conflict, match="other content"):
        store.routes.keep_version(STABLE.model_copy(update={"content": {"messages": ["other"]}}))
    assert store.routes.version(STABLE.digest) == STABLE


def test_a_version_is_found_by_the_beginning_of_its_digest(store: Store) -> None:
    one = STABLE.model_copy(update={"digest": "abcdef11" + "0" * 56})
    two = STABLE.model_copy(update={"digest": "abcdef22" + "0" * 56})
    store.routes.keep_version(one)
    store.routes.keep_version(two)

    assert store.routes.version("abcdef1") == one
    assert store.routes.version(two.digest) == two
    with pytest.raises(NotFound, match="could be abcdef11"):
        store.routes.version("abcdef")
    for typed in ("abcde", "", "fedcba", "abcdef%", "______"):
        with pytest.raises(NotFound):
            store.routes.version(typed)


def test_history_tells_every_change_newest_first(store: Store) -> None:
    release_id = in_canary(store)
    store.routes.adopt("other", STABLE, actor="cli", at=START)
    at = store.clock.turn(minutes=3)
    rolled_back = RolledBack(by="guardrail", reason="error_rate is worse", version=STABLE.digest)
    store.ledger.append(release_id, [rolled_back], expected_seq=3, actor="watcher", at=at, route=give_back(2))

    back, canary, adopted = store.routes.history(PROMPT)
    assert (adopted.revision, adopted.previous, adopted.stable, adopted.release_id) == (
        1,
        None,
        STABLE.digest,
        None,
    )
    assert (adopted.actor, adopted.at) == ("person:mira", START)
    assert adopted.reason.startswith("adopted")
    assert (canary.revision, canary.previous, canary.stable) == (2, STABLE.digest, STABLE.digest)
    assert (canary.candidate, canary.share, canary.release_id) == (CANDIDATE.digest, 0.05, release_id)
    assert canary.reason == "stage 1: 5 % of the traffic"
    assert (back.revision, back.at, back.actor, back.candidate, back.share) == (4, at, "watcher", None, 0)
    assert (back.release_id, back.reason) == (release_id, "rolled back: error_rate is worse")


def test_the_next_stage_replaces_the_split(store: Store) -> None:
    release_id = in_canary(store)
    fact = StageStarted(stage=1, share=0.5, salt="salt", stable=STABLE.digest)
    change = split(release_id, revision=2, share=0.5, stage=1)
    store.ledger.append(release_id, [fact], expected_seq=3, actor="watcher", at=START, route=change)

    route = store.routes.get(PROMPT)
    assert route is not None
    assert route.split is not None
    assert (route.split.stage, route.split.share, route.revision) == (1, 0.5, 3)
