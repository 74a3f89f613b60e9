"""The re-test flow's steps as Prefect tasks. The work is beside them; the retries, the events and the pages are here."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from promptship.errors import Conflict, PromptshipError, Unavailable
from promptship.lifecycle import models_seen, retests
from promptship.lifecycle.models_seen import Notice
from promptship.render.redact import redact
from promptship.render.retest import report
from promptship.tasks import drifting, retesting
from promptship.tasks.hold import moving
from promptship.tasks.policy import STEP
from promptship.wiring import app

_log = logging.getLogger(__name__)


@task(name="watch the models", **STEP)
def watch_models() -> int:
    """Read every provider's list; returns how many things are new. Raises Unavailable: some did not answer; the others are seen to."""
    seen = asyncio.run(models_seen.watch(app()))
    _emit(seen.notices)
    _raise(seen.problems)
    return len(seen.notices)


@task(name="probe the models", **STEP)
def probe_models() -> int:
    """Ask the probes that are due; returns how many things are new. Errors as of `watch_models`."""
    notices, problems = drifting.probe(app())
    _emit(notices)
    _raise(problems)
    return len(notices)


@task(name="open re-tests", **STEP)
def open_retests() -> list[str]:
    """Ids of the re-tests that are not over."""
    return [one.id for one in retests.open_ones(app())]


@task(name="re-test", task_run_name="re-test {retest_id}", **STEP)
def retest_prompts(retest_id: str) -> int:
    """Every prompt of one re-test, its proposals, its report; returns how many re-tests were moved: 0 when another run is at it."""
    with moving(f"retest:{retest_id}") as mine:
        if not mine:
            return 0
        done = retesting.run_retest(app(), retests.read(app(), retest_id))
    create_markdown_artifact(
        key=re.sub(r"[^a-z0-9-]+", "-", f"retest-{retest_id}"), markdown=redact(report(done)),
        description=f"{done.change.model} -> {done.change.to}",
    )  # fmt: skip
    return 1


@task(name="look for drift", **STEP)
def look_for_drift() -> int:
    """Take every look that is due; returns how many were taken."""
    taken = 0
    problems: list[PromptshipError] = []
    for one, prompt, version in drifting.drift_due(app()):
        with moving(f"drift:{prompt}") as mine:
            if not mine:
                continue
            try:
                _emit(drifting.look_for_drift(app(), one, prompt, version))
                taken += 1
            except Conflict:
                continue  # somebody else took it
            except PromptshipError as error:
                problems.append(error)
    _raise(problems)
    return taken


def _emit(notices: Iterable[Notice]) -> None:
    """Prefect events, for the trigger of the re-test flow and automations of the team's own."""
    for notice in notices:
        emit_event(
            f"promptship.model.{notice.kind}",
            resource={
                "prefect.resource.id": f"promptship.model.{notice.provider}.{notice.model}",
                "prefect.resource.name": notice.model,
            },
            payload={"provider": notice.provider, "model": notice.model, **notice.payload},
        )


def _raise(problems: Iterable[PromptshipError]) -> None:
    """What is down is tried again; what a person has to mend is said, and stops nothing."""
    down = [error for error in problems if isinstance(error, Unavailable)]
    for error in problems:
        if error not in down:
            _log.warning("%s", redact(str(error)))
    if down:
        raise Unavailable("; ".join(dict.fromkeys(str(error) for error in down)))
