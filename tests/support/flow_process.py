"""One run of the release flow in a process of its own that is killed with -9 right after its n-th write to the ledger.

    python -m tests.support.flow_process <promptship.toml> <release> <kill after n writes, 0: never>

The steps, the ledger, Git and the provider are the product's own; only Prefect is left out, which holds no truth.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from promptship.lifecycle import steps, telling
from promptship.lifecycle.app import App
from promptship.settings_file import load_settings
from promptship.tasks.evaluation import run_suites
from promptship.wiring import build


class DeadlyLedger:
    """The real ledger; the process dies after the n-th append has been committed."""

    def __init__(self, real: Any, writes: int) -> None:
        self._real, self._left = real, writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def append(self, *words: Any, **more: Any) -> Any:
        written = self._real.append(*words, **more)
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return written


def run(app: App, release_id: str) -> str:
    for step in (steps.lint, run_suites, steps.start_canary, telling.ask, steps.promote):
        if step(app, release_id) is not steps.Standing.GO_ON:
            break
    return telling.conclude(app, release_id).value


if __name__ == "__main__":
    config, release_id, writes = sys.argv[1:4]
    real = build(load_settings(Path(config)))
    fields = {name: getattr(real, name) for name in App.__slots__}
    deadly = App(**{**fields, "ledger": DeadlyLedger(real.ledger, int(writes))})
    sys.stdout.write(run(deadly, release_id) + "\n")
