"""Experiments and holdbacks on a route, for every keeper of routes."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from promptship.errors import Conflict, IllegalTransition, NotFound
from promptship.ports import RouteChange
from promptship.release.phase import Phase
from promptship.release.policy import Experiment
from promptship.routing.table import Part, Route, RoutingTable, Split
from tests.support.canary_routes import CANDIDATE, PROMPT, STABLE, in_canary, split
from tests.support.facts import FACTS, bring, opened, version
from tests.support.ledger_stores import START, Store, vandalise

THIRD = version("t", "c3")
ARMS = (
    Part(name="control", version=STABLE.digest, upto=5000),
    Part(name="short", version=CANDIDATE.digest, upto=7500),
    Part(name="warm", version=THIRD.digest, upto=10000),
)
POLICY = Experiment(exclude={"minor": (True,)}, disclosure="Part of a test")


def change(revision: int = 1, **more: Any) -> RouteChange:
    words: dict[str, Any] = {
        "prompt": PROMPT, "expected_revision": revision, "stable": STABLE.digest, "commit": STABLE.commit,
        "share": 0.5, "salt": "x-1", "lease_until": START + timedelta(seconds=30), "policy": POLICY,
        "experiment": "x-1", "arms": ARMS,
    }  # fmt: skip
    return RouteChange(**(words | more))


def adopted(store: Store) -> None:
    store.routes.adopt(PROMPT, STABLE, actor="person:mira", at=START)
    for one in (CANDIDATE, THIRD):
        store.routes.keep_version(one)


def randomise(store: Store, wanted: RouteChange, reason: str = "experiment x-1") -> Route:
    return store.routes.randomise(wanted, actor="person:mira", at=START, reason=reason)


def test_an_experiment_has_the_route_until_it_ends(store: Store) -> None:
    adopted(store)
    begun = randomise(store, change())
    assert begun == store.routes.get(PROMPT)
    assert begun.split == Split(
        release_id="x-1", candidate="", stage=0, share=0.5, salt="x-1", lease_s=30, policy=POLICY, arms=ARMS
    )
    assert begun.split is not None
    assert not begun.split.is_canary
    table = store.routes.table()
    assert set(table.versions) == {STABLE.digest, CANDIDATE.digest, THIRD.digest}
    assert RoutingTable.model_validate_json(table.model_dump_json()) == table

    store.routes.renew(PROMPT, "x-other", until=START + timedelta(seconds=90))
    assert store.routes.get(PROMPT) == begun
    store.routes.renew(PROMPT, "x-1", until=START + timedelta(seconds=90))
    renewed = store.routes.get(PROMPT)
    assert renewed is not None
    assert renewed.split is not None
    assert (renewed.split.lease_s, renewed.revision) == (90, begun.revision)

    dropped = tuple(one.model_copy(update={"dropped": one.name == "warm"}) for one in ARMS)
    after = randomise(store, change(2, arms=dropped, share=0.8), "warm is worse")
    assert after.split is not None
    assert (after.split.arms, after.split.share) == (dropped, 0.8)

    over = randomise(store, change(3, arms=(), experiment=None, salt="", share=0.0, policy=None), "over")
    assert over == Route(prompt=PROMPT, revision=4, stable=STABLE.digest, commit="c1")
    ended, warm, first, _ = store.routes.history(PROMPT)
    assert (first.experiment, first.arms, first.share, first.release_id) == ("x-1", ARMS, 0.5, None)
    assert (warm.arms, warm.reason) == (dropped, "warm is worse")
    assert (ended.experiment, ended.arms, ended.previous, ended.stable) == (
        None,
        (),
        STABLE.digest,
        STABLE.digest,
    )
    assert len({one.hash for one in store.routes.history(PROMPT)}) == 4
    assert store.ledger.verify().problems == ()


def test_whoever_read_an_older_route_changes_nothing(store: Store) -> None:
    adopted(store)
    randomise(store, change())
    before = store.routes.history(PROMPT)
    for stale in (0, 1, 3):
        with pytest.raises(Conflict):
            randomise(store, change(stale))
    assert store.routes.history(PROMPT) == before
    assert store.routes.revision() == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"stable": CANDIDATE.digest}, "another version stable"),
        ({"stable": None}, "another version stable"),
        ({"release_id": "r-1", "candidate": CANDIDATE.digest, "stage": 0}, "only a release"),
        ({"held": CANDIDATE.digest}, "only a release"),
        ({"experiment": None}, "arms without an experiment"),
        ({"arms": ()}, "an experiment without arms"),
        ({"salt": ""}, "its salt"),
        ({"share": 1.5}, "share 1.5"),
        ({"arms": ARMS[:2]}, "growing to 10000"),
        ({"arms": (ARMS[2],)}, "two or more"),
        ({"arms": (ARMS[1], ARMS[0], ARMS[2])}, "growing to 10000"),
        ({"arms": (ARMS[0].model_copy(update={"dropped": True}), *ARMS[1:])}, "with a control"),
    ],
)
def test_only_what_is_randomised_changes_without_a_release(
    store: Store, wrong: dict[str, Any], said: str
) -> None:
    adopted(store)
    with pytest.raises(IllegalTransition, match=said):
        randomise(store, change(**wrong))
    assert store.routes.revision() == 1


def test_arms_name_versions_that_were_kept_and_prompts_that_are_served(store: Store) -> None:
    adopted(store)
    unknown = (*ARMS[:2], ARMS[2].model_copy(update={"version": "f" * 64}))
    with pytest.raises(NotFound, match="ffff"):
        randomise(store, change(arms=unknown))
    with pytest.raises(Conflict):
        randomise(store, change(prompt="other"))
    with pytest.raises(IllegalTransition, match="another version stable"):
        randomise(store, change(0, prompt="other"))


def test_no_release_starts_an_experiment(store: Store) -> None:
    release_id = in_canary(store)
    wrongs: list[dict[str, Any]] = [{"experiment": "x-1", "arms": ARMS}, {"held": STABLE.digest}]
    for wrong in wrongs:
        moved = replace(split(release_id, revision=2), **wrong)
        with pytest.raises(IllegalTransition):
            store.ledger.append(
                release_id, [FACTS["stage_started"]()], expected_seq=3, actor="flow", at=START, route=moved
            )


def test_a_promotion_may_hold_the_version_before_back(store: Store) -> None:
    store.routes.adopt(PROMPT, STABLE, actor="person:mira", at=START)
    store.routes.keep_version(CANDIDATE)
    release_id = opened(store, PROMPT)
    seq = bring(store, release_id, Phase.APPROVED)
    held = replace(
        split(release_id, share=0.9, stage=4), stable=CANDIDATE.digest, commit="c2", held=STABLE.digest
    )
    store.ledger.append(
        release_id, [FACTS["promoted"]()], expected_seq=seq, actor="flow", at=START, route=held
    )
    route = store.routes.get(PROMPT)
    assert route is not None
    assert route.stable == CANDIDATE.digest
    assert route.split == Split(
        release_id=release_id, candidate=CANDIDATE.digest, stage=4, share=0.9, salt="salt", lease_s=30, held=STABLE.digest
    )  # fmt: skip
    assert store.routes.history(PROMPT)[0].held == STABLE.digest
    assert set(store.routes.table().versions) == {STABLE.digest, CANDIDATE.digest}

    ended = RouteChange(prompt=PROMPT, expected_revision=2, stable=CANDIDATE.digest, commit="c2")
    assert randomise(store, ended, "its time is over").split is None
    assert store.ledger.verify().problems == ()


def test_the_kill_switch_leaves_an_experiment_beneath_it(store: Store) -> None:
    adopted(store)
    randomise(store, change())
    killed = store.routes.kill(PROMPT, THIRD.digest, actor="person:mira", at=START, reason="fire")
    assert store.routes.table().routes[PROMPT].split is None
    over = randomise(
        store, change(killed.revision, arms=(), experiment=None, salt="", share=0.0, policy=None)
    )
    assert (over.killed, over.split) == (THIRD.digest, None)
    assert store.ledger.verify().problems == ()


def test_arms_that_somebody_edited_are_found(store: Store) -> None:
    adopted(store)
    randomise(store, change())
    if store.url.startswith("sqlite"):
        vandalise(store, (), "UPDATE routes SET arms = replace(arms, '7500', '9900')")
        assert store.ledger.verify().problems == (f"route of {PROMPT}: is not what its history says",)
        edited = "UPDATE route_history SET arms = replace(arms, '7500', '9900')"
        vandalise(store, ("route_history_no_update",), edited)
        assert store.ledger.verify().problems == (
            f"route of {PROMPT} at revision 2: its content does not match its hash",
        )
