"""The steps of the release flow as Prefect tasks. The work is in `promptship.lifecycle`; the retries and the report are here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from prefect import task
from prefect.runtime import task_run

from promptship.errors import Conflict, PromptshipError, Unavailable
from promptship.evals.shards import Part
from promptship.lifecycle import steps, telling
from promptship.lifecycle.app import App
from promptship.lifecycle.steps import Standing
from promptship.lifecycle.stumbling import stumble
from promptship.release.phase import Phase
from promptship.tasks import report, sharding
from promptship.tasks.evaluation import run_suites
from promptship.tasks.policy import ONCE, RETRIES, SHARD, STEP
from promptship.tasks.sharding import Shards
from promptship.wiring import app

Done = TypeVar("Done")
_LINTED_AT_ONCE: Final = frozenset({Phase.LINTED, Phase.REJECTED})


@task(name="lint", **STEP)
def lint(release_id: str) -> Standing:
    """Check the prompt and its plan at the released commit, before anything is spent."""
    before = app().release(release_id).phase
    standing = _attempt("lint", steps.lint, release_id, tell=report.lint)
    if before in _LINTED_AT_ONCE:  # when it was pushed, where nobody could show it
        report.lint(app(), release_id)
    return standing


@task(name="regress", **STEP)
def regress(release_id: str) -> Standing:
    """Run the suites, candidate against stable."""
    return _attempt("regress", run_suites, release_id, tell=report.regression)


@task(name="split", **STEP)
def split(release_id: str) -> Standing | Shards:
    """Check the suites and divide them into shards; says where the release stands when there is nothing to ask."""
    return _attempt("regress", sharding.split, release_id, tell=report.regression)


@task(name="ask", task_run_name="ask {part.suite} {part.number}/{part.of}", **SHARD)
def ask(release_id: str, part: Part, stable: str | None, side_by_side: int) -> dict[str, Any]:
    """Ask the cases of one shard, here or on another machine; plain values in and out."""
    return sharding.ask(app(), release_id, part, stable=stable, side_by_side=side_by_side)


@task(name="judge", **ONCE)
def judge(release_id: str, asked: Sequence[dict[str, Any]] | Exception, stable: str | None) -> Standing:
    """Judge the rows of all shards together. `asked`: what they came to, or the error that ended them."""

    def use_case(app: App, release_id: str) -> Standing:
        return sharding.judge(app, release_id, asked, stable=stable)

    return _attempt("regress", use_case, release_id, tell=report.regression, retries=0)


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
    use_case: Callable[[App, str], Done],
    release_id: str,
    *,
    tell: Callable[[App, str], None] | None = None,
    retries: int = RETRIES,
) -> Done | Standing:
    """Do the step, and `tell` when it changed something.

    What is down outside is retried by Prefect; after the last try the ledger notes it and the release waits. What is wrong
    ends a release before its canary: trying again would say the same. What nobody expected is noted too, and raised.
    """
    before = app().release(release_id).seq
    done: Done | Standing
    try:
        done = use_case(app(), release_id)
    except Unavailable as error:
        if (task_run.run_count or 0) <= retries:
            raise
        done = stumble(app(), release_id, step=step, error=error)
    except Conflict:
        raise  # others move it all the time: it is still due
    except PromptshipError as error:
        done = stumble(app(), release_id, step=step, error=error)
    except Exception as error:
        stumble(app(), release_id, step=step, error=error)
        raise
    if tell is not None and app().release(release_id).seq != before:
        tell(app(), release_id)
    return done
