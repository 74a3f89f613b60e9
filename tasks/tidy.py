"""Regular tidying: telemetry into its history, and what is too old away."""

from __future__ import annotations

import shutil
from datetime import timedelta

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


@task(name="tidy evaluations", **STEP)
def tidy_evaluations() -> int:
    """Delete what suites of old releases left on this machine; returns of how many releases."""
    return len(outdated(app()))


def outdated(app: App) -> list[str]:
    """Delete the files of releases whose suites were last written to before `keep_evaluations`; returns their ids."""
    directory = app.settings.data / EVALUATIONS
    if not directory.is_dir():
        return []
    oldest = (app.clock.now() - timedelta(seconds=app.settings.telemetry.keep_evaluations)).timestamp()
    gone = []
    for release in sorted(directory.iterdir()):
        written = [path.lstat().st_mtime for path in (release, *release.rglob("*"))]
        if release.is_dir() and not release.is_symlink() and max(written) < oldest:
            shutil.rmtree(release, ignore_errors=True)
            gone.append(release.name)
    return gone
