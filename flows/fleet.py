"""What a fleet's Prefect server must know: work pool, deployments, automations. Installed as often as one likes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sys
import threading
from contextlib import suppress
from datetime import timedelta
from typing import Final
from uuid import UUID

import httpx
from prefect import get_client
from prefect.cli import app as prefect_command
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.deployments.runner import RunnerDeployment
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError
from prefect.workers.process import ProcessWorker

from promptship import __version__
from promptship.flows.runner import RELEASE_TAG, deployments, forgotten

_log = logging.getLogger(__name__)

SILENT_S: Final = 90
"""A run that was silent for so long has crashed: its machine is gone, or its worker was stopped. In a worker's environment a run
gives a sign of life every 30 s."""
ZOMBIES: Final = "promptship: a silent run has crashed"
MEND: Final = "promptship: what ended early is mended"


async def install(pool: str) -> list[str]:
    """Make or mend everything; returns a line per thing that was changed. Whoever paused a deployment finds it paused."""
    async with get_client() as client:
        changed = await _pool(client, pool)
        ids: dict[str, UUID] = {}
        wanted = await deployments(pool)
        for deployment in wanted:
            ids[deployment.name], line = await _deploy(client, deployment)
            changed += line
        for automation in (_zombies(), _mend(ids["reconcile"])):
            changed += await _automate(client, automation)
        of_triggers = [getattr(trigger, "name", None) for one in wanted for trigger in one.triggers]
        for name in (ZOMBIES, MEND, *filter(None, of_triggers)):
            await _only_one(client, name)
    return changed


def work(pool: str, api_url: str, words: list[str]) -> None:
    """Be Prefect's worker until a signal ends it; `words`: as of `prefect worker start`. An empty Prefect is set up again."""
    threading.Thread(target=_keep_installed, args=(pool, api_url), name="forgotten", daemon=True).start()
    sys.argv = ["prefect", "worker", "start", *words]
    prefect_command()


def _keep_installed(pool: str, api_url: str) -> None:
    """The worker itself makes its pool again, but knows nothing of deployments."""
    for _ in forgotten(api_url):
        try:
            _log.error("Prefect has lost its database: %s", "; ".join(asyncio.run(install(pool))))
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            _log.warning("Prefect does not take the deployments yet: %s", type(error).__name__)


async def _pool(client: PrefectClient, pool: str) -> list[str]:
    try:
        await client.read_work_pool(pool)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        with suppress(ObjectAlreadyExists):  # somebody else sets up in this instant
            await client.create_work_pool(
                WorkPoolCreate(name=pool, type="process", base_job_template=template)
            )
        return [f"work pool {pool} made"]
    return []


async def _deploy(client: PrefectClient, deployment: RunnerDeployment) -> tuple[UUID, list[str]]:
    """Deploying again would un-pause what somebody has paused, and start what it has missed meanwhile."""
    name = f"{deployment.flow_name}/{deployment.name}"
    deployment.version = _fingerprint(
        deployment.entrypoint, deployment.work_pool_name, str(deployment.schedules), str(deployment.triggers)
    )
    try:
        there = await client.read_deployment_by_name(name)
    except ObjectNotFound:
        there = None
    if there is not None and there.version == deployment.version:
        return there.id, []
    if there is not None:
        deployment.paused = there.paused
    made = deployment.apply()
    return (made if isinstance(made, UUID) else await made), [
        f"deployment {name} {'changed' if there else 'made'}"
    ]


async def _automate(client: PrefectClient, wanted: AutomationCore) -> list[str]:
    found = await client.read_automations_by_name(wanted.name)
    if not found:
        await client.create_automation(wanted)
        return [f"automation {wanted.name!r} made"]
    if found[0].description == wanted.description:
        return []
    wanted.enabled = found[0].enabled
    await client.update_automation(found[0].id, wanted)
    return [f"automation {wanted.name!r} changed"]


async def _only_one(client: PrefectClient, name: str) -> None:
    """Of two machines that set up at once both may have made it; whoever looks last sees both, and all keep the same one."""
    found = await client.read_automations_by_name(name)
    for doubled in sorted(found, key=lambda one: str(one.id))[1:]:
        with suppress(ObjectNotFound):
            await client.delete_automation(doubled.id)


def _zombies() -> AutomationCore:
    """Prefect's open-source server has none of its own: without it a run whose machine died stays Running for ever."""
    trigger = EventTrigger(
        after={"prefect.flow-run.heartbeat"}, expect={"prefect.flow-run.*"},
        match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
        for_each={"prefect.resource.id"}, posture=Posture.Proactive, threshold=1, within=timedelta(seconds=SILENT_S),
    )  # fmt: skip
    action = ChangeFlowRunState(state=StateType.CRASHED, message="missing heartbeats")
    return _automation(ZOMBIES, trigger, action)


def _mend(reconcile: UUID) -> AutomationCore:
    """What the watcher does every few seconds also happens when no watcher is there: a cancel gives the traffic back."""
    trigger = EventTrigger(
        expect={f"prefect.flow-run.{ending}" for ending in ("Crashed", "Cancelled", "Failed", "TimedOut")},
        match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
        match_related=ResourceSpecification(
            {"prefect.resource.role": ["tag"], "prefect.resource.id": [f"prefect.tag.{RELEASE_TAG}"]}
        ),
        for_each={"prefect.resource.id"}, posture=Posture.Reactive, threshold=1,
    )  # fmt: skip
    return _automation(MEND, trigger, RunDeployment(source="selected", deployment_id=reconcile))


def _automation(
    name: str, trigger: EventTrigger, action: ChangeFlowRunState | RunDeployment
) -> AutomationCore:
    said = trigger.model_dump(mode="json", exclude={"id"}), action.model_dump(mode="json")
    description = f"Installed by `promptship fleet setup` ({_fingerprint(*map(_sorted, said))})."
    return AutomationCore(name=name, description=description, trigger=trigger, actions=[action])


def _sorted(said: object) -> str:
    """Sets come in any order."""
    return json.dumps(said, sort_keys=True, default=str).translate({ord(mark): " " for mark in '[]",'})


def _fingerprint(*words: str | None) -> str:
    text = "\0".join([__version__, *(" ".join(sorted((word or "").split())) for word in words)])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
