"""Regular tidying: telemetry into its history, and what is too old away."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from prefect import task

from promptship.lifecycle.app import App
from promptship.tasks.evaluation import EVALUATIONS
from promptship.tasks.policy import STEP
from promptship.wiring import app


@task(name="tidy telemetry", **STEP)
def tidy_telemetry() -> str:
    """Compact this machine's spool, apply the retention of `[telemetry]`; returns what was done."""
    done = app().measurements.tidy()
    return (
        f"{done.rows:,} rows of {done.segments} segments in {done.files} files, {done.merged} files merged, "
        f"{done.expired} expired"
    )


@task(name="tidy leases", **STEP)
def tidy_leases() -> int:
    """Delete leases that ended a day ago: one is left of every run that was ever asked for. Returns how many."""
    return app().ledger.forget_leases(app().clock.now() - timedelta(days=1))


@task(name="tidy evaluations", **STEP)
def tidy_evaluations() -> int:
    """Delete what suites and online checks of old releases left on this machine; returns of how many releases and commits."""
    return len(outdated(app())) + len(outdated_code(app()))


def outdated(app: App) -> list[str]:
    """Delete the files of releases whose suites were last written to before `keep_evaluations`; returns their ids."""
    return _delete_old(app.settings.data / EVALUATIONS, _oldest(app, app.settings.telemetry.keep_evaluations))


def outdated_code(app: App) -> list[str]:
    """Delete code of commits that no scorer has used since `keep_evaluations`; returns them. A scorer marks what it uses."""
    from promptship.evals.online.judging import CODE, IN_USE_S

    keep_s = max(app.settings.telemetry.keep_evaluations, 2 * IN_USE_S)
    return _delete_old(app.settings.data / CODE, _oldest(app, keep_s))


def _oldest(app: App, keep_s: float) -> float:
    return (app.clock.now() - timedelta(seconds=keep_s)).timestamp()


def _delete_old(directory: Path, oldest: float) -> list[str]:
    """Directories in `directory` in which nothing was written since then. Each goes at once: nobody sees half of one."""
    if not directory.is_dir():
        return []
    gone = []
    for path in sorted(directory.iterdir()):
        written = [inside.lstat().st_mtime for inside in (path, *path.rglob("*"))]
        if path.is_dir() and not path.is_symlink() and max(written) < oldest:
            doomed = path.with_name(f".{uuid4().hex}.gone")
            path.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)
            if not path.name.endswith(".gone"):  # else the rest of one that was cut short
                gone.append(path.name)
    return gone
