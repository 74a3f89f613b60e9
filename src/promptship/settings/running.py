"""Prefect, and the resident watcher."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from promptship.release.duration import Duration
from promptship.settings.section import Port, Section


class PrefectSettings(Section):
    """Prefect's server, started by `promptship up` or elsewhere."""

    host: str = "127.0.0.1"
    port: Port = 4200
    api_url: str = ""
    """Empty: http://host:port/api."""
    pool: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] = "releases"
    """Work pool of a fleet."""
    events: bool = True
    """Whether what happens to releases is emitted as Prefect's events."""


class WatcherSettings(Section):
    """The resident watcher."""

    every: Duration = 5.0
    """Seconds between looks; must be well below every plan's lease."""
    gate_every: Duration = 60.0
    """Seconds between runs of the telemetry quality gate. A failing one is repeated at every look, and before a verdict takes effect
    (more traffic, rollback, approval) it always runs anew."""
    retry_every: Duration = 60.0
    """Seconds after which a due release that no run has moved gets another run."""
    run_lease: Duration = 30.0
    """Seconds after which a release is free again when the run that moved it died."""
