"""What need not wait for a run: lint right after a push, traffic right after a yes.

A run takes seconds to begin, and 200 of them minutes. These steps ask nobody outside and are one transaction each; they are the steps
of the flow, which finds them done. Whatever goes wrong here is tried again there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from promptship.errors import PromptshipError
from promptship.lifecycle import steps
from promptship.lifecycle.app import App
from promptship.lifecycle.steps import Standing

_log = logging.getLogger(__name__)


def lint_at_once(app: App, release_ids: Iterable[str]) -> None:
    """Lint releases that were opened just now; those that wait for another release of their prompt are left."""
    for release_id in release_ids:
        try:
            steps.lint(app, release_id)
        except PromptshipError as error:
            _log.warning("release %s is linted by its run: %s", release_id, error)
        except Exception:  # noqa: BLE001 - the others are to be linted all the same
            _log.exception("release %s could not be linted at once", release_id)


def take_effect(app: App, release_id: str) -> None:
    """Give a release the traffic that people have just agreed to: its first stage, or everything."""
    try:
        for step in (steps.start_canary, steps.promote):
            if step(app, release_id) is not Standing.GO_ON:
                break
    except PromptshipError as error:
        _log.warning("release %s gets its traffic from its run: %s", release_id, error)
    except Exception:  # noqa: BLE001 - the yes is kept: who gave it must not hear that it was not
        _log.exception("release %s could not be given its traffic at once", release_id)
