"""Serve the flows on one machine: deployments and a runner in one process, each run in a process of its own."""

from __future__ import annotations

import asyncio

from prefect import aserve
from prefect.types.entrypoint import EntrypointType

from promptship.flows.housekeeping import housekeeping
from promptship.flows.release import release

RUNS_MAX = 4
"""Runs at a time: more of them make Prefect's SQLite database refuse writes (measured: 8 of 30 crashed without a limit)."""


def run() -> None:
    """Register the deployments and run what is scheduled, until told to stop."""
    asyncio.run(_run())


async def _run() -> None:
    module = EntrypointType.MODULE_PATH  # a file path would load a second copy of the package
    deployments = (
        await release.ato_deployment("release", entrypoint_type=module, tags=["promptship"]),
        await housekeeping.ato_deployment(
            "housekeeping", entrypoint_type=module, tags=["promptship"], cron="17 * * * *"
        ),
    )
    # A restart must not leave the schedule off, so nothing is paused on the way out.
    await aserve(*deployments, pause_on_shutdown=False, print_starting_message=False, limit=RUNS_MAX)
