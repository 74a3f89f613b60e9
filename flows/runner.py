"""What is deployed, and the runner that serves it on one machine: each run in a process of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import httpx
from prefect import Flow
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger, ResourceSpecification
from prefect.runner import Runner
from prefect.types.entrypoint import EntrypointType

from promptship.adapters.hooks import is_loopback
from promptship.adapters.prefect_api import RELEASE, credentials
from promptship.flows.housekeeping import housekeeping, reconcile
from promptship.flows.release import release
from promptship.flows.retest import models, retest
from promptship.flows.review import review
from promptship.flows.warm import fork, warm_up

_log = logging.getLogger(__name__)

RUNS_MAX: Final = 4
"""Runs at a time: more of them make Prefect's SQLite database refuse writes (measured: 8 of 30 crashed without a limit)."""
TAG: Final = "promptship"
RELEASE_TAG: Final = "promptship-release"
"""Of runs that move a release: when one ends early, others are asked to look after the release."""
MODEL_CHANGED: Final = "promptship: prompts are re-tested when a model changes"
"""Name of the automation."""
LOST_EVERY_S: Final = 30.0
"""Seconds between looks whether Prefect still knows the deployments."""
FORGOTTEN_EXIT: Final = 3


async def deployments(pool: str | None = None) -> list[RunnerDeployment]:
    """Every deployment, for workers of a pool or (None) for the runner. prefect.yaml says the same to `prefect deploy`."""
    return [
        await _deployment(release, pool, tags=[TAG, RELEASE_TAG]),
        await _deployment(review, pool),
        await _deployment(reconcile, pool),
        await _deployment(housekeeping, pool, cron="17 * * * *"),
        await _deployment(models, pool, cron="41 * * * *"),
        await _deployment(retest, pool, cron="53 * * * *", triggers=[_model_changed()]),
    ]


def _model_changed() -> DeploymentEventTrigger:
    """Something new of a model starts the re-tests at once; the schedule finds them when the event is lost."""
    match = ResourceSpecification({"prefect.resource.id": "promptship.model.*"})
    return DeploymentEventTrigger(name=MODEL_CHANGED, expect={"promptship.model.*"}, match=match)


async def _deployment(flow: Flow[..., Any], pool: str | None, **options: Any) -> RunnerDeployment:
    """Of the flow's own name, as one module path: a file path would load a second copy of the package."""
    module = EntrypointType.MODULE_PATH
    words = {"tags": [TAG], **options, "work_pool_name": pool}
    made = flow.ato_deployment(flow.name, entrypoint_type=module, **words)
    return await made


def run(api_url: str) -> None:
    """Register the deployments and run what is scheduled, until told to stop, or until Prefect has lost its database."""
    asyncio.run(_run(api_url))


async def _run(api_url: str) -> None:
    flows = {flow.name: flow for flow in (release, review, reconcile, housekeeping, models, retest)}
    is_warm = warm_up()
    # A restart must not leave the schedule off, so nothing is paused on the way out.
    runner = Runner(pause_on_shutdown=False, limit=RUNS_MAX)
    for deployment in await deployments():
        deployment_id = await runner.aadd_deployment(deployment)
        if is_warm:
            fork(runner, deployment_id, flows[str(deployment.flow_name)])
    threading.Thread(target=_leave_when_forgotten, args=(api_url,), name="forgotten", daemon=True).start()
    await runner.start()


def _leave_when_forgotten(api_url: str) -> None:
    """End this process when Prefect has lost its database: started again, it registers the flows again."""
    for _ in forgotten(api_url):
        _log.error("Prefect has lost its database: starting again to register the flows")
        os._exit(FORGOTTEN_EXIT)  # a clean end would first try to cancel runs that nobody knows any more


def forgotten(api_url: str) -> Iterator[None]:
    """Yields whenever a server that answers does not know our deployment, which was registered before; never ends."""
    with httpx.Client(headers=credentials(None), timeout=10, trust_env=not is_loopback(api_url)) as client:
        while True:
            time.sleep(LOST_EVERY_S)
            try:
                status = client.get(f"{api_url}/deployments/name/{RELEASE}").status_code
            except httpx.HTTPError:
                continue  # it is down; the runner waits for it
            if status == httpx.codes.NOT_FOUND:
                yield
