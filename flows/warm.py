"""Runs that start from a process which has imported everything already: a fork takes a tenth of a second, the imports four.

Prefect starts each run of the runner as a new Python process, which then spends 3 to 5 s of processor time on imports. Here the same
call forks Python's own fork server (`multiprocessing`, start method "forkserver"): one process without threads that has loaded what
runs need and does nothing else. A run is still a process of its own, and is killed, cancelled and waited for like any other.
"""

from __future__ import annotations

import logging
import multiprocessing
import sys
from multiprocessing import forkserver
from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID

from prefect import Flow, flow_engine
from prefect.runner import Runner

_log = logging.getLogger(__name__)

LOADED: Final = (
    "prefect.flow_engine",
    "promptship.flows.release",
    "promptship.flows.regression",
    "promptship.adapters.telemetry",
    "promptship.adapters.ledger.sql_ledger",
    "promptship.evals.suite_run",
    "great_expectations",
)
"""What a run of a release imports sooner or later; Great Expectations alone takes seconds."""


def warm_up() -> bool:
    """Let runs of this process start by a fork; False where that cannot be, and they start as Prefect does by itself.

    The name that Prefect's engine knows `multiprocessing` by is replaced, for this process only: it has no setting for it.
    """
    if (
        sys.platform == "win32"
        or not hasattr(flow_engine, "multiprocessing")
        or not hasattr(Runner, "aadd_deployment")
    ):
        _log.warning(
            "runs start cold here: this Prefect, or this system, cannot start them from a fork server"
        )
        return False
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LOADED))
    flow_engine.multiprocessing = SimpleNamespace(
        get_context=lambda _method: context, context=multiprocessing.context
    )
    forkserver.ensure_running()  # it loads while the runner registers its deployments
    return True


def fork(runner: Runner, deployment_id: UUID, flow: Flow[..., Any]) -> None:
    """Let this runner start the runs of a deployment from the flow as it is in this process, which is what a fork needs."""
    # `Runner.aadd_flow` does the same, but registers deployments of its own. A Prefect that has no such register starts runs cold.
    register = getattr(getattr(runner, "_deployment_registry", None), "register_flow", None)
    if register is None:
        _log.warning("runs of %s start cold: this Prefect keeps its flows elsewhere", flow.name)
        return
    register(deployment_id, flow)
