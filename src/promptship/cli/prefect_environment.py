"""What every process that imports Prefect has in its environment, and how long it waits for Prefect's server."""

from __future__ import annotations

import os
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from promptship.errors import Unavailable

if TYPE_CHECKING:
    from promptship.settings import Settings

PREFECT_S_MAX = 180.0
"""How long the runner waits for Prefect's server."""
QUIET_S = {
    "LATE_RUNS": "30",
    "PAUSE_EXPIRATIONS": "60",
    "CLEANUP_RECONCILER": "60",
    "CANCELLATION_CLEANUP": "60",
    "REPOSSESSOR": "60",
    "FOREMAN": "60",
    "SCHEDULER_RECENT_DEPLOYMENTS": "30",
}
"""Seconds between rounds of services of Prefect's server that mend what we mend ourselves, or only label runs: by default they
take most of what an idle installation uses. Runs begin and are cancelled as fast as before."""


def prefect_environment(settings: Settings, config: Path) -> dict[str, str]:
    """Environment of everything that imports Prefect. What the user has set already wins."""
    wanted = {
        "PROMPTSHIP_CONFIG": str(config.resolve()),
        "PREFECT_API_URL": settings.prefect_api_url,
        "PREFECT_HOME": str(settings.data / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_CLI_PROMPT": "false",
        **{f"PREFECT_SERVER_SERVICES_{name}_LOOP_SECONDS": seconds for name, seconds in QUIET_S.items()},
    }
    return {name: os.environ.get(name, value) for name, value in wanted.items()}


def fleet_environment(settings: Settings, config: Path) -> dict[str, str]:
    """The same for workers: their runs give signs of life as often as the automations of `promptship fleet setup` expect."""
    wanted = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30", "PREFECT_WORKER_QUERY_SECONDS": "2"}
    return {
        **prefect_environment(settings, config),
        **{name: os.environ.get(name, text) for name, text in wanted.items()},
    }


def wait_for_prefect(api_url: str) -> None:
    """Wait for Prefect's server, which starts beside us and takes longer. Raises Unavailable when it does not come."""
    deadline = time.monotonic() + PREFECT_S_MAX
    while True:
        try:
            with urllib.request.urlopen(f"{api_url}/health", timeout=2):  # noqa: S310 - an http address from the settings
                return
        except OSError as error:
            if time.monotonic() > deadline:
                message = f"Prefect does not answer at {api_url}: {error}"
                raise Unavailable(message) from None
        time.sleep(0.2)
