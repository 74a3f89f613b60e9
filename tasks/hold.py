"""One run moves a release at a time: a lease in the ledger, renewed while the run lives."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from promptship.errors import PromptshipError
from promptship.lifecycle.reconcile import run_lease
from promptship.wiring import app

_log = logging.getLogger(__name__)


@contextmanager
def moving(release_id: str) -> Iterator[bool]:
    """Hold the release for this run; False while another run holds it.

    The lease spares double spending only: that nothing happens twice rests on the ledger's compare-and-set, so a run that loses
    its lease (a long pause of the machine) can do no harm.
    """
    ledger, clock = app().ledger, app().clock
    name, holder, ttl_s = run_lease(release_id), uuid4().hex, app().settings.watcher.run_lease
    if not ledger.acquire(name, holder, ttl_s=ttl_s, at=clock.now()):
        yield False
        return
    done = threading.Event()

    def renew() -> None:
        while not done.wait(ttl_s / 3):
            try:
                ledger.acquire(name, holder, ttl_s=ttl_s, at=clock.now())
            except PromptshipError as error:
                _log.warning("could not renew the lease of release %s: %s", release_id, error)

    renewing = threading.Thread(target=renew, name="lease", daemon=True)
    renewing.start()
    try:
        yield True
    finally:
        done.set()
        renewing.join()
        ledger.let_go(name, holder)
