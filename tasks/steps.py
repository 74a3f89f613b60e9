"""The steps of the release flow as Prefect tasks. The work is in `promptship.lifecycle`; the retries and the report are here."""

from __future__ import annotations

from collections.abc import Callable

from prefect import task
from prefect.runtime import task_run

from promptship.errors import Conflict, PromptshipError, Unavailable
from promptship.lifecycle import steps, telling
from promptship.lifecycle.app import App
from promptship.lifecycle.steps import Standing
from promptship.lifecycle.stumbling import stumble
from promptship.tasks import report
from promptship.tasks.evaluation import run_suites
from promptship.tasks.policy import RETRIES, STEP
from promptship.wiring import app


@task(name="lint", **STEP)
def lint(release_id: str) -> Standing:
    """Check the prompt and its plan at the released commit, before anything is spent."""
    return _attempt("lint", steps.lint, release_id, tell=report.lint)


@task(name="regress", **STEP)
def regress(release_id: str) -> Standing:
    """Run the suites, candidate against stable."""
    return _attempt("regress", run_suites, release_id, tell=report.regression)


@task(name="canary", **STEP)
def canary(release_id: str) -> Standing:
    """Give the candidate its first share of traffic; the watcher takes the looks from there."""
    return _attempt("canary", steps.start_canary, release_id)


@task(name="approve", **STEP)
def approve(release_id: str) -> Standing:
    """Ask people, with the evidence."""
    return _attempt("approve", telling.ask, release_id)


@task(name="promote", **STEP)
def promote(release_id: str) -> Standing:
    """Make the candidate stable."""
    return _attempt("promote", steps.promote, release_id)


@task(name="conclude", **STEP)
def conclude(release_id: str) -> str:
    """Show the canary's last verdict, tell how the release ended if it has; returns the phase it stands in."""
    report.canary(app(), release_id)
    return telling.conclude(app(), release_id).value


def _attempt(
    step: str,
    use_case: Callable[[App, str], Standing],
    release_id: str,
    *,
    tell: Callable[[App, str], None] | None = None,
) -> Standing:
    """Do the step, and `tell` when it changed something.

    What is down outside is retried by Prefect; after the last try the ledger notes it and the release waits. What is wrong
    ends a release before its canary: trying again would say the same. What nobody expected is noted too, and raised.
    """
    before = app().release(release_id).seq
    try:
        standing = use_case(app(), release_id)
    except Unavailable as error:
        if (task_run.run_count or 0) <= RETRIES:
            raise
        return stumble(app(), release_id, step=step, error=error)
    except Conflict:
        raise  # others move it all the time: it is still due
    except PromptshipError as error:
        return stumble(app(), release_id, step=step, error=error)
    except Exception as error:
        stumble(app(), release_id, step=step, error=error)
        raise
    if tell is not None and app().release(release_id).seq != before:
        tell(app(), release_id)
    return standing
