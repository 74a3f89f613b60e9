"""A real Prefect server for tests that run flows in their own process: it takes 15 s to start."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVICES = ("TASK_RUN_RECORDER", "EVENT_PERSISTER", "TRIGGERS", "SCHEDULER", "LATE_RUNS", "FOREMAN")
"""What a server does beside answering. Fast runs one after the other make its SQLite database refuse writes otherwise."""


@contextmanager
def prefect_harness(home: Path) -> Iterator[None]:
    """Serve until the block ends; `home` is Prefect's directory."""
    quiet = {f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false" for service in SERVICES}
    quiet |= {"PREFECT_HOME": str(home), "DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    kept = {name: os.environ.get(name) for name in quiet}
    os.environ.update(quiet)
    try:
        # Imported here: two seconds and 85 MB that no other test needs.
        from prefect.settings import (
            PREFECT_API_REQUEST_TIMEOUT,
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
            PREFECT_HOME,
            temporary_settings,
        )
        from prefect.testing.utilities import prefect_test_harness

        settings = {
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
            PREFECT_API_REQUEST_TIMEOUT: 120.0,
            PREFECT_HOME: home,
        }
        with prefect_test_harness(server_startup_timeout=110), temporary_settings(settings):
            yield
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
