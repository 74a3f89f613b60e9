"""A prompt in a canary, for tests of everybody who keeps routes."""

from __future__ import annotations

from datetime import timedelta

from promptship.ports import RouteChange
from promptship.release.phase import Phase
from tests.support.facts import FACTS, bring, opened, version
from tests.support.ledger_stores import START, Store

STABLE, CANDIDATE = version("s", "c1", temperature=0.1), version("d", "c2", text="Grüße")
PROMPT = "support-reply"


def split(release_id: str, *, revision: int = 1, share: float = 0.05, stage: int = 0) -> RouteChange:
    return RouteChange(
        prompt=PROMPT, expected_revision=revision, stable=STABLE.digest, commit=STABLE.commit, release_id=release_id,
        candidate=CANDIDATE.digest, stage=stage, share=share, salt="salt", lease_until=START + timedelta(seconds=30),
    )  # fmt: skip


def in_canary(store: Store) -> str:
    """A release whose candidate takes 5 % of the traffic, under a lease of 30 s."""
    store.routes.adopt(PROMPT, STABLE, actor="person:mira", at=START)
    store.routes.keep_version(CANDIDATE)
    release_id = opened(store, PROMPT)
    seq = bring(store, release_id, Phase.EVALUATED)
    store.ledger.append(
        release_id,
        [FACTS["stage_started"]()],
        expected_seq=seq,
        actor="flow",
        at=START,
        route=split(release_id),
    )
    return release_id


def give_back(revision: int) -> RouteChange:
    return RouteChange(prompt=PROMPT, expected_revision=revision, stable=STABLE.digest, commit=STABLE.commit)
