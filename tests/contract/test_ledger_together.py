"""Several releases in one transaction: all of it is written or nothing, whoever races, whatever is wrong with one of them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest

from promptship.errors import Conflict, IllegalTransition, NotFound
from promptship.ports import Append, RouteChange
from promptship.release.phase import Phase
from tests.support.facts import FACTS, bring, opened, version
from tests.support.ledger_stores import START, Store

STABLE, CANDIDATE = version("s"), version("d")
PROMPTS = ("support", "tools", "router")
WRITERS = 6


def evaluated(store: Store, prompt: str, commit: str = "c0ffee") -> tuple[str, int]:
    """A release that may begin its canary, and its seq."""
    if store.routes.get(prompt) is None:
        store.routes.adopt(prompt, STABLE, actor="person:mira", at=START)
        store.routes.keep_version(CANDIDATE)
    release_id = opened(store, prompt, commit)
    return release_id, bring(store, release_id, Phase.EVALUATED)


def begin(store: Store, release_id: str, seq: int, prompt: str, share: float = 0.05) -> Append:
    route = store.routes.get(prompt)
    assert route is not None
    change = RouteChange(
        prompt=prompt, expected_revision=route.revision, stable=STABLE.digest, commit=STABLE.commit, release_id=release_id,
        candidate=CANDIDATE.digest, stage=0, share=share, salt="salt", lease_until=START + timedelta(seconds=30),
    )  # fmt: skip
    return Append(
        release_id=release_id, facts=[FACTS["stage_started"]()], expected_seq=seq, route=change, due_at=START
    )


def group(store: Store) -> list[Append]:
    return [begin(store, *evaluated(store, prompt), prompt) for prompt in PROMPTS]


def shares(store: Store) -> set[float]:
    routes = store.routes.table().routes
    return {routes[prompt].split.share if routes[prompt].split else 0.0 for prompt in PROMPTS}  # type: ignore[union-attr]


def phases(store: Store) -> set[Phase]:
    return {one.phase for one in store.ledger.summaries()}


def test_all_are_written(store: Store) -> None:
    appends = group(store)
    store.ledger.append_all(appends, actor="flow", at=START)

    assert phases(store) == {Phase.CANARY}
    assert shares(store) == {0.05}
    assert {one.due_at for one in store.ledger.summaries()} == {START}
    for one in appends:
        assert store.ledger.events(one.release_id)[-1].actor == "flow"
    assert store.ledger.verify().problems == ()


def test_nothing_is_nothing(store: Store) -> None:
    store.ledger.append_all([], actor="flow", at=START)
    assert store.ledger.verify().events == 0


def _late(one: Append) -> Append:
    return replace(one, expected_seq=one.expected_seq - 1)


def _moved_route(one: Append) -> Append:
    assert one.route is not None
    return replace(one, route=replace(one.route, expected_revision=one.route.expected_revision + 1))


def _unknown_version(one: Append) -> Append:
    assert one.route is not None
    return replace(one, route=replace(one.route, candidate="e" * 64))


def _other_prompt(one: Append) -> Append:
    assert one.route is not None
    return replace(one, route=replace(one.route, prompt="nobody"))


WRONG: dict[str, tuple[Callable[[Append], Append], type[Exception]]] = {
    "it has moved on": (_late, Conflict),
    "its route has moved on": (_moved_route, Conflict),
    "no such release": (lambda one: replace(one, release_id="r-nobody"), NotFound),
    "a version nobody kept": (_unknown_version, NotFound),
    "a step the lifecycle has not": (
        lambda one: replace(one, facts=[FACTS["promoted"]()]),
        IllegalTransition,
    ),
    "another prompt's route": (_other_prompt, IllegalTransition),
}


@pytest.mark.parametrize("which", [0, 2], ids=["first", "last"])
@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_one_keeps_all_from_being_written(store: Store, wrong: str, which: int) -> None:
    appends, (spoil, error) = group(store), WRONG[wrong]
    appends[which] = spoil(appends[which])
    before = store.ledger.verify().head, store.routes.revision()

    with pytest.raises(error):
        store.ledger.append_all(appends, actor="flow", at=START)
    assert (store.ledger.verify().head, store.routes.revision()) == before
    assert phases(store) == {Phase.EVALUATED}
    assert shares(store) == {0.0}


def test_a_release_or_a_route_twice_is_refused(store: Store) -> None:
    appends = group(store)
    with pytest.raises(IllegalTransition, match="2 times"):
        store.ledger.append_all([appends[0], appends[0]], actor="flow", at=START)
    other, seq = evaluated(store, PROMPTS[0], "c0ffef")
    with pytest.raises(IllegalTransition, match="2 times"):
        store.ledger.append_all([appends[0], begin(store, other, seq, PROMPTS[0])], actor="flow", at=START)
    assert shares(store) == {0.0}


def test_an_end_of_all_frees_every_prompt(store: Store) -> None:
    ids = [evaluated(store, prompt) for prompt in PROMPTS]
    for prompt, (release_id, _) in zip(PROMPTS, ids, strict=True):
        assert store.ledger.claim(prompt, release_id)
    ends = [Append(release_id=one, facts=[FACTS["cancelled"]()], expected_seq=seq) for one, seq in ids]
    store.ledger.append_all(ends, actor="flow", at=START)
    for prompt in PROMPTS:
        assert store.ledger.claim(prompt, opened(store, prompt, "later"))


def test_one_of_many_writers_wins_and_nobody_sees_half_of_it(store: Store) -> None:
    """Groups, in any order of their members, against single writers of one member: never a part of a group, never a dead lock."""
    appends = group(store)
    ready = Barrier(WRITERS + 1)
    done: list[str] = []

    def whole(number: int) -> str | None:
        turned = appends[number % 3 :] + appends[: number % 3]
        share = round(0.1 + number / 100, 2)
        mine = [replace(one, route=replace(one.route, share=share)) for one in turned if one.route]
        ready.wait()
        return _try(lambda: store.ledger.append_all(mine, actor=f"w{number}", at=START), f"{share:g}")

    def single(number: int) -> str | None:
        one = appends[number % 3]
        facts = [FACTS["stumbled"]()]
        ready.wait()
        return _try(
            lambda: store.ledger.append(
                one.release_id, facts, expected_seq=one.expected_seq, actor="s", at=START
            ),
            "single",
        )

    def reader() -> set[int]:
        ready.wait()
        seen = set()
        while not done:
            seen.add(len(shares(store)))
        return seen

    with ThreadPoolExecutor(WRITERS + 1) as pool:
        reading = pool.submit(reader)
        writing = [pool.submit(single if number == 1 else whole, number) for number in range(WRITERS)]
        won = [one.result() for one in writing]
        done.append("all")
        assert reading.result() <= {1}, "a part of a group was served"
    winners = [one for one in won if one]
    assert len(winners) == 1
    assert shares(store) == ({0.0} if winners == ["single"] else {float(winners[0])})
    assert store.ledger.verify().problems == ()


def _try(write: Callable[[], object], said: str) -> str | None:
    try:
        write()
    except Conflict:
        return None
    return said
