"""What `promptship retest` is asked, before and beside its output."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from promptship import wiring
from promptship.cli.context import actor
from promptship.errors import NotFound, PromptshipError, Unavailable
from promptship.lifecycle.app import App
from promptship.lifecycle.model_use import in_use, provider_of
from promptship.lifecycle.retests import open_ones, open_retest
from promptship.release.model_changes import ChangeKind, ModelChange
from promptship.release.retest import Retest
from promptship.render.retest import lines
from promptship.tasks.drifting import drift_due, look_for_drift
from promptship.tasks.hold import moving
from promptship.tasks.retesting import run_retest

LOOK_EVERY_S: Final = 0.25


def changes(
    connected: App, prompts: list[str], model: str, against: str, provider: str
) -> Iterable[ModelChange]:
    """One for each model that the prompts use now. Raises NotFound: no production prompt fits."""
    used = [one for one in in_use(connected) if against in {"", one.model} and one.model != model]
    served = {name for one in used for name, _ in one.prompts}
    if not served or set(prompts) - served:
        wanted = ", ".join(sorted(set(prompts) - served)) or (against or "another model")
        raise NotFound(
            f"no production prompt to compare: {wanted}; in production: {', '.join(sorted(served)) or 'none'}"
        )
    where = provider or provider_of(connected.settings, model)
    for one in used:
        mine = tuple(sorted({name for name, _ in one.prompts} & set(prompts)))
        if mine or not prompts:
            yield ModelChange(kind=ChangeKind.ASKED, provider=where, model=one.model, to=model, prompts=mine)


def opened(connected: App, change: ModelChange, *, again: bool) -> Retest:
    """The re-test of a change, as it stands; a new one for `again`."""
    found, _ = open_retest(connected, change, actor=actor())
    while again and found.told_at is not None:
        change = replace(change, attempt=change.attempt + 1)
        found, _ = open_retest(connected, change, actor=actor())
    return found


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Hold what a run of the flow would hold; waits as long as the lease of one that was killed may last.

    Raises:
        Unavailable: somebody holds it, and lives.
    """
    until = time.monotonic() + 2 * wiring.app().settings.watcher.run_lease
    said = False
    while True:
        with moving(name) as mine:
            if mine:
                yield
                return
        if time.monotonic() > until:
            raise Unavailable(f"another process is at {name}; try again when it is done")
        if not said:
            print(f"another process is at {name}, or was killed there: waiting for it", file=sys.stderr)
            said = True
        time.sleep(LOOK_EVERY_S)


def as_the_flow(connected: App) -> int:
    """Every open re-test, then every look for drift that is due. What goes wrong with one stops no other; returns the exit status."""
    status = 0
    with wiring.use(connected):
        for one in list(open_ones(connected)):
            with _said() as failed, alone(f"retest:{one.id}"):
                print("\n".join([*lines(run_retest(connected, one)), ""]))
            status = max([status, *failed])
        for used, prompt, version in drift_due(connected):
            with _said() as failed, alone(f"drift:{prompt}"):
                told = [notice.text for notice in look_for_drift(connected, used, prompt, version)]
                print(f"looked for drift of {prompt} on {used.model}: {'; '.join(told) or 'nothing new'}")
            status = max([status, *failed])
    return status


@contextmanager
def _said() -> Iterator[list[int]]:
    """Says what went wrong, and keeps its exit status."""
    failed: list[int] = []
    try:
        yield failed
    except PromptshipError as error:
        print(f"error: {error}", file=sys.stderr)
        failed.append(error.exit_code)
