"""Routes of one prompt in several environments, for every keeper of routes: each is its own, and no release or claim is shared."""

from datetime import timedelta

from promptship.ports import RouteChange
from promptship.release import events as e
from promptship.release.environment import DEFAULT
from promptship.routing.environments import of_environment
from tests.support.facts import PLAN, requested, version
from tests.support.ledger_stores import START, Store

STABLE, NEW = version("e0", "c0"), version("e1", "c1")


def opened(store: Store, route: str) -> str:
    fact = requested().model_copy(update={"prompt": route, "commit": "c1"})
    release_id, created = store.ledger.open_release(fact, actor="push:dev", at=START)
    assert created
    return release_id


def test_routes_releases_claims_and_histories_of_environments_are_apart(store: Store) -> None:
    for route in ("support", "staging/support"):
        store.routes.adopt(route, STABLE, actor="person:mira", at=START)
    ids = {route: opened(store, route) for route in ("support", "staging/support", "dev/support")}
    assert len(set(ids.values())) == 3
    assert all(store.ledger.claim(route, one) for route, one in ids.items())
    assert [one.id for one in store.ledger.summaries(prompt="staging/support")] == [ids["staging/support"]]

    release = ids["staging/support"]
    store.routes.keep_version(NEW)
    before = store.routes.get("staging/support")
    assert before is not None
    change = RouteChange(
        prompt="staging/support", expected_revision=before.revision, stable=STABLE.digest, commit="c0",
        release_id=release, candidate=NEW.digest, stage=0, share=0.5, salt="s", lease_until=START + timedelta(seconds=60),
    )  # fmt: skip
    facts: list[e.Fact] = [
        e.Linted(version=NEW.digest, plan=PLAN),
        e.Evaluated(stable=STABLE.digest, verdict={}),
        e.StageStarted(stage=0, share=0.5, salt="s", stable=STABLE.digest),
    ]
    store.ledger.append(release, facts, expected_seq=0, actor="flow", at=START, route=change)

    production = store.routes.get("support")
    assert production is not None
    assert (production.split, len(store.routes.history("support"))) == (None, 1)
    assert len(store.routes.history("staging/support")) == 2
    table = store.routes.table()
    assert set(table.routes) == {"support", "staging/support"}
    here, there = of_environment(table, DEFAULT), of_environment(table, "staging")
    assert set(here.versions) == {STABLE.digest}
    assert set(there.versions) == {STABLE.digest, NEW.digest}
    assert here.routes["support"].split is None
    staged = there.routes["support"]
    assert staged.split is not None
    assert (staged.prompt, staged.split.release_id) == ("support", release)
    assert here.revision < there.revision == table.revision
    assert of_environment(table, "dev").routes == {}
    assert not store.ledger.verify().problems
