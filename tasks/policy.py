"""How tasks are retried and cached: the same for all of them, named once."""

from __future__ import annotations

from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from promptship.errors import Conflict, Unavailable

RETRIES = 3


async def when_unavailable(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - Prefect's signature
    """Retry only what may work the next time."""
    error = await state.aresult(raise_on_failure=False)
    return isinstance(error, Unavailable)


async def when_unavailable_or_taken(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:  # noqa: ARG001 - as above
    """A shard that seems to be lost may still be at its file for a moment."""
    error = await state.aresult(raise_on_failure=False)
    return isinstance(error, Unavailable | Conflict)


STEP: dict[str, Any] = {
    # Two runs of a step with equal inputs are two runs: the ledger, not a cache, knows what is done.
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "retries": RETRIES,
    "retry_delay_seconds": [1, 2, 4],
    "retry_condition_fn": when_unavailable,
}
"""Options of every step of a release: `@task(name="lint", **STEP)`."""
SHARD: dict[str, Any] = {**STEP, "retry_condition_fn": when_unavailable_or_taken}
"""Options of a part of a step, whose errors are the step's to deal with."""
ONCE: dict[str, Any] = {**STEP, "retries": 0}
"""Options of a step whose parts have been retried."""
