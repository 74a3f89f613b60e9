"""The suites of a release in shards, on threads of this process or on a Dask cluster; used when `[evaluation] shards` is above 1.

Each shard is a task that is retried on its own and safe to run twice. One that is lost does not stop the others: what they
paid for is kept, and the next run of the release asks only what is missing.
"""

from __future__ import annotations

from typing import Any

from prefect import flow

from promptship.lifecycle.steps import Standing
from promptship.tasks.cluster import runner
from promptship.tasks.sharding import Shards
from promptship.tasks.steps import ask, judge, split
from promptship.wiring import app


def regress_in_shards(release_id: str) -> Standing:
    """What the task `regress` does, in shards: split, ask, judge."""
    shards = split(release_id)
    if isinstance(shards, Standing):
        return shards
    where = runner(app().settings.evaluation.dask)
    asked = regression.with_options(task_runner=where)(release_id, shards, return_state=True)
    return judge(release_id, asked.result(raise_on_failure=False), shards.stable)


@flow(name="regression", flow_run_name="{release_id}", retries=0, persist_result=False)
def regression(release_id: str, shards: Shards) -> list[dict[str, Any]]:
    """Ask the shards side by side, as many at a time as the providers' limits have room for; returns the rows of each."""
    asked = []
    for parts in shards.waves():
        together = [ask.submit(release_id, part, shards.stable, shards.side_by_side) for part in parts]
        for one in together:
            one.wait()
        asked += together
    return [one.result() for one in asked]
