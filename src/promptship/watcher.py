"""The resident watcher: ingests telemetry and looks at every running canary every few seconds, without Prefect.

A process per canary would be too heavy and a flow run per look too slow (7-10 s to start), and a rollback must not depend on
an orchestrator being up. Several watchers may run: a lease lets one work at a time, and compare-and-set keeps a late one harmless.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from uuid import uuid4

from promptship.canary.evidence import Health, Outcome
from promptship.errors import Conflict, PromptshipError, Unavailable
from promptship.lifecycle import experiment_looks, experiments, holdback
from promptship.lifecycle.app import App
from promptship.lifecycle.look import look
from promptship.lifecycle.losses import losing
from promptship.lifecycle.reconcile import reconcile
from promptship.ports import ReleaseSummary
from promptship.release.phase import WATCHED, Phase

_log = logging.getLogger(__name__)

LEASE = "watcher"
SLOW_TURNS = 2.0
"""A turn is slow, and said to be, when it takes this many times `watcher.every` ..."""
SLOW_S_MIN = 2.0
"""... and this many seconds."""


@dataclass(slots=True)
class Watcher:
    """State of one watcher process: nothing here needs to survive it."""

    app: App
    holder: str = field(default_factory=lambda: uuid4().hex)
    checked: dict[tuple[str, int], tuple[float, Health]] = field(default_factory=dict)
    """Last verdict of the quality gate per (release, stage), with the monotonic time it was given."""

    def turn(self) -> bool:
        """One round: tick, looks, reconcile. False when another watcher is at work; then this one only took in its spool."""
        settings = self.app.settings.watcher
        ttl_s = max(3 * settings.every, 5.0)
        began = time.monotonic()
        # Before the lease: the spool may be this machine's only, and taking it in twice counts once.
        self._ingest()
        ingested = time.monotonic()
        if not self.app.ledger.acquire(LEASE, self.holder, ttl_s=ttl_s, at=self.app.clock.now()):
            return False
        for summary in self.app.ledger.summaries(phases=WATCHED, limit=10_000):
            self._look(summary)
        self._tend()
        looked = time.monotonic()
        reconcile(self.app)
        ended = time.monotonic()
        if ended - began > max(SLOW_TURNS * settings.every, SLOW_S_MIN):
            _log.warning(
                "a slow turn: %.1f s to ingest, %.1f s to look, %.1f s to start runs; leases end after the plan's `lease`",
                ingested - began, looked - ingested, ended - looked,
            )  # fmt: skip
        return True

    def _ingest(self) -> None:
        report = self.app.measurements.ingest()
        if report.quarantined:
            _log.warning("%d spool lines were not valid records and are kept aside", report.quarantined)

    def _look(self, summary: ReleaseSummary) -> None:
        try:
            verdict = look(self.app, summary.id, gate=partial(self._health, summary.id))
        except Conflict as error:
            _log.info("look at %s lost to another write: %s", summary.id, error)
            return
        except PromptshipError as error:
            # One broken release must not stop the looks at the others; its lease is not renewed, so its traffic goes back.
            _log.error("could not look at release %s of %s: %s", summary.id, summary.prompt, error)
            return
        except Exception:  # noqa: BLE001 - the same
            _log.exception("could not look at release %s of %s", summary.id, summary.prompt)
            return
        # A run is not asked for here: what a look makes due, `reconcile` finds in the same turn. While people think, a good
        # canary says `advance` at every look, and nothing is due.
        if verdict is not None and summary.phase is Phase.CANARY and verdict.outcome is not Outcome.HOLD:
            _log.info(
                "release %s of %s, look %d: %s", summary.id, summary.prompt, verdict.look, verdict.outcome
            )

    def _tend(self) -> None:
        """Experiments and holdbacks: whatever is randomised without an open release."""
        for prompt, route in self.app.routes.table().routes.items():
            if route.split is None or route.split.is_canary:
                continue
            try:
                if route.split.arms:
                    experiment_looks.tend(self.app, prompt, gate=self._checked)
                else:
                    gate = partial(self._checked, route.split.release_id, route.split.stage)
                    holdback.tend(self.app, prompt, gate=gate)
            except Conflict as error:
                _log.info("look at %s of %s lost to another write: %s", route.split.release_id, prompt, error)
            except PromptshipError as error:
                # Its lease is not renewed, so its units get what is stable.
                _log.error("could not look at %s of %s: %s", route.split.release_id, prompt, error)
            except Exception:  # noqa: BLE001 - the same
                _log.exception("could not look at %s of %s", route.split.release_id, prompt)
        experiments.settle(self.app)
        holdback.settle(self.app)

    def _health(self, release_id: str, *, fresh: bool) -> Health:
        release = self.app.release(release_id)
        if release.stage is None:
            return Health()
        self.checked = {
            key: one for key, one in self.checked.items() if key[0] != release.id or key[1] == release.stage
        }
        return self._checked(release.id, release.stage, fresh=fresh)

    def _checked(self, watched: str, number: int, *, fresh: bool) -> Health:
        """Of a stage of a release, or of an arm of an experiment."""
        key = (watched, number)
        at, health = self.checked.get(key, (float("-inf"), Health()))
        if fresh or health.problems or time.monotonic() - at >= self.app.settings.watcher.gate_every:
            now = self.app.clock.now()
            health = self.app.measurements.check(watched, number, as_of=now)
            if lost := losing(self.app, at=now):
                health = Health(problems=(*health.problems, *lost))
            self.checked[key] = (time.monotonic(), health)
        return health


def watch(app: App, *, stop: threading.Event, on_turn: Callable[[], None] = lambda: None) -> None:
    """Take turns until `stop` is set. What is down outside is waited for; leases run out meanwhile, as they must."""
    watcher = Watcher(app)
    try:
        app.measurements.warm_up()
    except Exception:  # noqa: BLE001 - the first check will say so again, and hold
        _log.exception("the quality gate could not be loaded")
    while not stop.is_set():
        began = time.monotonic()
        try:
            watcher.turn()
            on_turn()
        except Unavailable as error:
            _log.warning("cannot watch now, canaries lose their traffic when their lease ends: %s", error)
        except Exception:  # noqa: BLE001 - see below
            # The watcher is the last to give up: log, and try again. Without looks the dead man's switch works by itself.
            _log.exception("a turn of the watcher failed")
        stop.wait(max(app.settings.watcher.every - (time.monotonic() - began), 0.05))
    app.ledger.let_go(LEASE, watcher.holder)
