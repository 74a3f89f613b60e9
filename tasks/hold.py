"""One run moves a release at a time: a lease in the ledger, renewed while the run lives. What waits is parked without a process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from prefect.context import FlowRunContext
from prefect.flow_runs import suspend_flow_run

from promptship.errors import PromptshipError, Unavailable
from promptship.lifecycle.reconcile import run_lease
from promptship.wiring import app

_log = logging.getLogger(__name__)


@contextmanager
def moving(release_id: str) -> Iterator[bool]:
    """Hold the release for this run; False while another run holds it.

    The lease spares double spending only: that nothing happens twice rests on the ledger's compare-and-set, so a run that loses
    its lease (a long pause of the machine) can do no harm.
    """
    with holding(run_lease(release_id)) as mine:
        yield mine


@contextmanager
def holding(name: str) -> Iterator[bool]:
    """Hold a lease of the ledger while the block runs; False while somebody else holds it."""
    ledger, clock = app().ledger, app().clock
    holder, ttl_s = uuid4().hex, app().settings.watcher.run_lease
    if not ledger.acquire(name, holder, ttl_s=ttl_s, at=clock.now()):
        yield False
        return
    done = threading.Event()

    def renew() -> None:
        while not done.wait(ttl_s / 3):
            try:
                ledger.acquire(name, holder, ttl_s=ttl_s, at=clock.now())
            except PromptshipError as error:
                _log.warning("could not renew lease %s: %s", name, error)

    renewing = threading.Thread(target=renew, name="lease", daemon=True)
    renewing.start()
    try:
        yield True
    finally:
        done.set()
        renewing.join()
        ledger.let_go(name, holder)


def park(release_id: str) -> None:
    """End this run: Suspended while the release is open, so that there is something in Prefect to cancel, which holds no process.

    It is not resumed: whoever moves the release on starts another run, which closes this one. Resumed by hand it does what any
    run does. Nothing rests on it, so whatever goes wrong here is only logged; a run without a deployment cannot be suspended.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or context.flow_run.deployment_id is None:
        return
    try:
        app().orchestrator.settle(release_id, keep=str(context.flow_run.id))
    except Unavailable as error:
        _log.info("earlier runs of release %s stay suspended: %s", release_id, error)
    if not app().release(release_id).is_open:
        return
    try:
        suspend_flow_run(key=uuid4().hex)
    except RuntimeError as error:
        _log.info("release %s waits, but its run could not be suspended: %s", release_id, error)
