"""A process that works on a ledger until it is done or killed: `python -m tests.support.ledger_writer <job> <url>`."""

import sys
from collections.abc import Callable
from itertools import count

from promptship.adapters.database import connect, migrate
from promptship.adapters.ledger.sql_ledger import SqlLedger
from promptship.adapters.ledger.sql_routes import SqlRoutes
from promptship.errors import Conflict
from promptship.ports import RouteChange
from promptship.release.phase import Phase
from tests.support.facts import FACTS, bring, looked, requested, version
from tests.support.ledger_stores import START, HandClock, Store

PROMPT = "support-reply"
LOOKS = 40
STABLE, CANDIDATE = version("s"), version("d")


def say(*words: object) -> None:
    """One line, at once: the test may kill us before the next."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def migrating(url: str) -> None:
    """Migrate, once everybody is ready."""
    sys.stdin.readline()
    migrate(connect(url))


def looking(url: str) -> None:
    """Append looks to the only release, against rivals, until it has LOOKS of them; prints the seqs it won."""
    ledger = SqlLedger(connect(url))
    (release,) = ledger.summaries()
    sys.stdin.readline()
    while True:
        seq = ledger.summaries()[0].seq
        if seq >= LOOKS:
            return
        try:
            (event,) = ledger.append(
                release.id, [looked(seq)], expected_seq=seq, actor="w", at=START, keep_due=True
            )
        except Conflict:
            continue
        say(event.seq)


def releasing(url: str) -> None:
    """Release after release goes into canary and is rolled back, each step with its route; says so after each step."""
    engine, clock = connect(url), HandClock()
    store = Store(SqlLedger(engine), SqlRoutes(engine, clock), clock)
    for number in count(len(store.ledger.summaries(limit=1_000_000))):
        release_id, _ = store.ledger.open_release(requested(PROMPT, f"c{number}"), actor="push", at=START)
        seq = bring(store, release_id, Phase.EVALUATED)
        for kind in ("stage_started", "rolled_back"):
            route = store.routes.get(PROMPT)
            assert route is not None
            change = RouteChange(
                prompt=PROMPT, expected_revision=route.revision, stable=STABLE.digest, commit="c"
            )
            if kind == "stage_started":
                change = RouteChange(
                    prompt=PROMPT, expected_revision=route.revision, stable=STABLE.digest, commit="c",
                    release_id=release_id, candidate=CANDIDATE.digest, stage=0, share=0.5, salt="salt",
                )  # fmt: skip
            store.ledger.append(
                release_id, [FACTS[kind]()], expected_seq=seq, actor="flow", at=START, route=change
            )
            seq += 1
            say(release_id, kind)


JOBS: dict[str, Callable[[str], None]] = {"migrate": migrating, "look": looking, "release": releasing}

if __name__ == "__main__":
    JOBS[sys.argv[1]](sys.argv[2])
