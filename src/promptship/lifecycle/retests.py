"""Re-tests in the journal: opened once per change of a model, read back, and over when people have been told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from promptship.errors import Conflict, NotFound
from promptship.lifecycle.app import App
from promptship.release.model_changes import ModelChange
from promptship.release.retest import ASKED, PROPOSED, RESULT, TOLD, Proposal, Result, Retest, fold

TOPIC: Final = "retest:"
OPEN_MAX: Final = 200
"""So many of the latest are looked through for open ones."""


def open_retest(app: App, change: ModelChange, *, actor: str) -> tuple[Retest, bool]:
    """Ask for the re-test of a change; False: somebody has asked before, and this is that one."""
    opened = False
    with suppress(Conflict):
        app.journal.keep(
            TOPIC + change.id, ASKED, change.data(), actor=actor, at=app.clock.now(), expected_seq=-1
        )
        opened = True
    return read(app, change.id), opened


def read(app: App, retest_id: str) -> Retest:
    """Where a re-test stands. Raises NotFound."""
    found = fold((one.kind, one.at, one.data) for one in app.journal.entries(TOPIC + retest_id))
    if found is None:
        raise NotFound(f"no re-test {retest_id}; `promptship retest show` lists them")
    return found


def find(app: App, prefix: str) -> Retest:
    """By id or the unique beginning of one. Raises NotFound."""
    topics = app.journal.topics(TOPIC + prefix, limit=2)
    if len(topics) != 1:
        many = "several begin like that" if topics else "`promptship retest show` lists them"
        raise NotFound(f"no re-test {prefix}; {many}")
    return read(app, topics[0].removeprefix(TOPIC))


def retests(app: App, *, limit: int = OPEN_MAX) -> list[Retest]:
    """The latest, the one written to last first."""
    return [read(app, topic.removeprefix(TOPIC)) for topic in app.journal.topics(TOPIC, limit=limit)]


def open_ones(app: App) -> Iterator[Retest]:
    """Those nobody was told the end of, oldest first."""
    return (one for one in reversed(retests(app)) if one.told_at is None)


def keep_result(app: App, retest: Retest, result: Result) -> Retest:
    """Write down what a prompt came to, once: the first answer stands."""
    if (result.prompt, result.version) not in read(app, retest.id).results:
        _keep(app, retest, RESULT, result.data())
    return read(app, retest.id)


def keep_proposal(app: App, retest: Retest, proposal: Proposal) -> Retest:
    """Write down which branch there is, or why there is none."""
    _keep(app, retest, PROPOSED, proposal.data())
    return read(app, retest.id)


def close(app: App, retest: Retest) -> None:
    """People have been told: it is over."""
    _keep(app, retest, TOLD, {})


def _keep(app: App, retest: Retest, kind: str, data: Mapping[str, Any]) -> None:
    app.journal.keep(TOPIC + retest.id, kind, data, actor="retest", at=app.clock.now())
