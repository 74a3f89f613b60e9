"""Many writers at once: every race has exactly one winner, and the chains hold afterwards."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from promptship.errors import Conflict
from promptship.ports import RouteChange
from promptship.release.phase import Phase
from tests.support.facts import FACTS, bring, looked, opened, requested, version
from tests.support.ledger_stores import START, Store

WRITERS = 8


_T = TypeVar("_T")


def together(work: Callable[[int], _T], count: int = WRITERS) -> list[_T]:
    """Results of `work(0..count-1)`, all begun at the same moment."""
    ready = threading.Barrier(count)

    def one(number: int) -> _T:
        ready.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_one_append_wins_every_seq(store: Store) -> None:
    release_id = opened(store)
    first = bring(store, release_id, Phase.CANARY)
    rounds = 5

    def write(number: int) -> list[int]:
        won = []
        for seq in range(first, first + rounds):
            try:
                store.ledger.append(
                    release_id, [looked(number)], expected_seq=seq, actor=f"w{number}", at=START
                )
            except Conflict:
                continue
            won.append(seq + 1)
        return won

    def climb(number: int) -> list[int]:
        """Write whenever it is this writer's chance, until all rounds are written by somebody."""
        won: list[int] = []
        while store.ledger.events(release_id)[-1].seq < first + rounds:
            won += write(number)
        return won

    wins = [seq for result in together(climb) for seq in result]
    assert sorted(wins) == list(range(first + 1, first + rounds + 1))
    assert store.ledger.verify().problems == ()


def test_the_same_push_announced_by_many_opens_one_release(store: Store) -> None:
    results = together(lambda _: store.ledger.open_release(requested(), actor="push", at=START))

    assert len({release_id for release_id, _ in results}) == 1
    assert sorted(created for _, created in results) == [False] * (WRITERS - 1) + [True]
    assert len(store.ledger.summaries()) == 1
    assert store.ledger.verify().problems == ()


def test_asking_again_at_once_opens_one_attempt(store: Store) -> None:
    bring(store, opened(store), Phase.FAILED)
    results = together(lambda _: store.ledger.open_release(requested(), actor="cli", at=START, again=True))

    assert len({release_id for release_id, _ in results}) == 1
    assert sorted(created for _, created in results) == [False] * (WRITERS - 1) + [True]
    assert len(store.ledger.summaries()) == 2


def test_one_release_gets_the_claim(store: Store) -> None:
    ids = [opened(store, commit=f"c{number}") for number in range(WRITERS)]
    won = together(lambda number: store.ledger.claim("support-reply", ids[number]))

    assert sorted(map(bool, won)) == [False] * (WRITERS - 1) + [True]


def test_one_holder_gets_the_lease(store: Store) -> None:
    won = together(lambda number: store.ledger.acquire("watcher", f"w{number}", ttl_s=10, at=START))

    assert sorted(map(bool, won)) == [False] * (WRITERS - 1) + [True]


def test_routes_of_different_prompts_never_share_a_revision_or_disturb_each_other(store: Store) -> None:
    routes = together(
        lambda number: store.routes.adopt(f"p{number}", version(), actor="cli", at=START).revision
    )

    assert sorted(routes) == list(range(1, WRITERS + 1))
    assert store.routes.table().revision == store.routes.revision() == WRITERS


def test_one_adoption_of_a_prompt_wins(store: Store) -> None:
    def adopt(number: int) -> bool:
        try:
            store.routes.adopt("p", version(), actor=f"w{number}", at=START)
        except Conflict:
            return False
        return True

    assert sorted(map(bool, together(adopt))) == [False] * (WRITERS - 1) + [True]
    assert len(store.routes.history("p")) == 1


def test_promotion_and_rollback_at_once_leave_route_and_events_agreed(store: Store) -> None:
    stable, candidate = version("s"), version("d")
    store.routes.adopt("support-reply", stable, actor="cli", at=START)
    store.routes.keep_version(candidate)
    release_id = opened(store)
    seq = bring(store, release_id, Phase.APPROVED)
    ends = {"promoted": candidate.digest, "rolled_back": stable.digest}

    def end(number: int) -> str | None:
        kind = list(ends)[number % 2]
        change = RouteChange(prompt="support-reply", expected_revision=1, stable=ends[kind], commit="c")
        try:
            store.ledger.append(
                release_id, [FACTS[kind]()], expected_seq=seq, actor="x", at=START, route=change
            )
        except Conflict:
            return None
        return kind

    (winner,) = [kind for kind in together(end) if kind]
    assert store.ledger.events(release_id)[-1].fact.kind == winner
    route = store.routes.get("support-reply")
    assert route is not None
    assert (route.stable, route.revision) == (ends[str(winner)], 2)
