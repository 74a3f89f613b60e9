"""The kill switch and the policy of a split, for every keeper of routes."""

from dataclasses import replace
from datetime import timedelta

import pytest

from promptship.errors import Conflict, NotFound
from promptship.release.events import StageStarted
from promptship.release.phase import Phase
from promptship.release.policy import Experiment
from promptship.routing.table import Route, RoutingTable
from tests.support.canary_routes import CANDIDATE, PROMPT, STABLE, give_back, in_canary, split
from tests.support.facts import FACTS, bring, opened, version
from tests.support.ledger_stores import START, Store


def test_the_kill_switch_is_above_the_route_and_leaves_it_as_it_is(store: Store) -> None:
    release_id = in_canary(store)
    safe = version("k", "c3")
    with pytest.raises(NotFound):
        store.routes.kill(PROMPT, safe.digest, actor="person:mira", at=START, reason="fire")
    store.routes.name_safe(PROMPT, safe, actor="person:mira", at=START)
    assert store.routes.safe(PROMPT) == safe.digest
    before = store.routes.get(PROMPT)
    assert before is not None
    assert before.split is not None

    killed = store.routes.kill(PROMPT, safe.digest, actor="person:mira", at=START, reason="fire")

    assert killed.killed == safe.digest
    assert killed.revision > before.revision
    assert store.routes.get(PROMPT) == before.model_copy(
        update={"revision": killed.revision, "killed": safe.digest}
    )
    table = store.routes.table()
    assert table.routes[PROMPT] == Route(
        prompt=PROMPT, revision=killed.revision, stable=safe.digest, commit="c1", killed=safe.digest
    )
    assert table.versions == {safe.digest: safe}
    # Endings and leases beneath it neither see nor turn it.
    store.routes.renew(PROMPT, release_id, until=START + timedelta(seconds=99))
    seq = store.ledger.events(release_id)[-1].seq
    store.ledger.append(
        release_id,
        [FACTS["rolled_back"]()],
        expected_seq=seq,
        actor="watcher",
        at=START,
        route=give_back(killed.revision),
    )
    assert store.routes.table().routes[PROMPT].stable == safe.digest

    back = store.routes.kill(PROMPT, None, actor="person:noor", at=START, reason="mended")

    assert (back.killed, back.stable, back.split) == (None, STABLE.digest, None)
    assert store.routes.table().routes[PROMPT] == back
    told = [(one.actor, one.reason, one.killed) for one in store.routes.history(PROMPT)]
    assert told[0] == ("person:noor", "kill switch off: mended", None)
    assert told[2] == ("person:mira", "kill switch on: fire", safe.digest)
    assert told[3] == ("person:mira", f"named as what the kill switch serves: {safe.digest[:12]}", None)
    assert store.ledger.verify().problems == ()


def test_a_kill_makes_whoever_decided_before_read_again(store: Store) -> None:
    release_id = in_canary(store)
    store.routes.kill(PROMPT, STABLE.digest, actor="person:mira", at=START, reason="fire")
    seq = store.ledger.events(release_id)[-1].seq
    stage = StageStarted(stage=1, share=0.5, salt="salt", stable=STABLE.digest)
    with pytest.raises(Conflict):
        store.ledger.append(
            release_id,
            [stage],
            expected_seq=seq,
            actor="watcher",
            at=START,
            route=split(release_id, revision=2, stage=1),
        )
    with pytest.raises(NotFound):
        store.routes.kill("nobody", STABLE.digest, actor="person:mira", at=START, reason="fire")


def test_a_split_carries_its_policy(store: Store) -> None:
    policy = Experiment(
        exclude={"minor": (True,), "region": ("br", "kr")}, consent="required", disclosure="Hé"
    )
    store.routes.adopt(PROMPT, STABLE, actor="person:mira", at=START)
    store.routes.keep_version(CANDIDATE)
    release_id = opened(store, PROMPT)
    seq = bring(store, release_id, Phase.EVALUATED)
    store.ledger.append(
        release_id, [FACTS["stage_started"]()], expected_seq=seq, actor="flow", at=START,
        route=replace(split(release_id), policy=policy),
    )  # fmt: skip
    table = RoutingTable.model_validate_json(store.routes.table().model_dump_json())
    got = table.routes[PROMPT].split
    assert got is not None
    assert got.policy == policy
    assert store.ledger.verify().problems == ()


def test_changes_of_a_route_are_a_chain(store: Store) -> None:
    in_canary(store)
    store.routes.kill(PROMPT, STABLE.digest, actor="person:mira", at=START, reason="fire")
    hashes = [one.hash for one in store.routes.history(PROMPT)]
    assert len(set(hashes)) == 3
    assert all(len(one) == 64 for one in hashes)
