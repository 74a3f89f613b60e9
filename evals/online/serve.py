"""The scorer as a process."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Final

from promptship.adapters.telemetry.spool import SpoolWriter
from promptship.errors import place_of
from promptship.evals.online.scorer import Locked, Scorer
from promptship.evals.regression import equipped
from promptship.lifecycle.app import App

_log = logging.getLogger(__name__)
AGAIN_S: Final = 1.0


def run(app: App, *, stop: threading.Event, on_turn: Callable[[], None] = lambda: None) -> None:
    """Score until `stop` is set. A second scorer of the same directory waits until the first one has ended."""
    with Locked(app.settings.samples) as lock:
        waits = False
        while not lock.take():
            if not waits:
                _log.info("another scorer is at work here; waiting for its end")
            waits = True
            on_turn()
            if stop.wait(AGAIN_S):
                return
        while not stop.is_set():
            try:
                asyncio.run(_score(app, stop, on_turn))
            except Exception as error:  # noqa: BLE001 - a scorer that is gone leaves answers lying about
                # Not with its text, nor with what stood around it: they may quote answers.
                _log.error("scoring broke and begins anew: %s", place_of(error))
                stop.wait(AGAIN_S)


async def _score(app: App, stop: threading.Event, on_turn: Callable[[], None]) -> None:
    with SpoolWriter(app.settings.spool, clock=app.clock, writer="scorer") as spool:
        try:
            async with equipped(app.settings, models=app.models, cache=False) as means:
                await Scorer(app, means, spool).run(stop.is_set, on_turn)
        finally:
            await app.models.aclose()
