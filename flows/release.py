"""The life of a release: lint -> regress -> canary -> approve -> promote, and every ending is told.

A run is a resumable function of the ledger. It moves the release as far as it can and is suspended; nothing waits in a process. When
traffic or people have answered, the watcher asks for another run, which goes through the same steps: those that are done say
so at once. Kill it anywhere and start it again with the same release: no side effect is repeated.
"""

from __future__ import annotations

from collections.abc import Callable

from prefect import flow

from promptship.flows.regression import regress_in_shards
from promptship.lifecycle.steps import Standing
from promptship.tasks.hold import moving, park
from promptship.tasks.steps import approve, canary, conclude, lint, promote, regress
from promptship.wiring import app


@flow(name="release", flow_run_name="{release_id}", retries=0, persist_result=False)
def release(release_id: str) -> str:
    """Move one release on; returns the phase it stands in."""
    with moving(release_id) as mine:
        if not mine:
            return "another run is moving this release"
        for step in (lint, suites(), canary, approve, promote):
            if step(release_id) is not Standing.GO_ON:
                break
        phase = conclude(release_id)
    park(release_id)
    return phase


def suites() -> Callable[[str], Standing]:
    """One task runs the suites, or a flow of shards when the settings want more than one."""
    return regress_in_shards if app().settings.evaluation.shards > 1 else regress
