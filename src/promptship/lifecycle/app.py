"""The ports a use case works with, bundled. Built once per process by `promptship.wiring`, by hand in tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from promptship.ports import (
    Approvals,
    Clock,
    Host,
    Journal,
    Ledger,
    Measurements,
    Models,
    Orchestrator,
    Outbox,
    Repository,
    Routes,
)
from promptship.ports.catalogue import Catalogue, Proposals
from promptship.release.history import Release, fold
from promptship.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Everything outside, behind ports, plus the settings the service was started with."""

    settings: Settings
    ledger: Ledger
    journal: Journal
    outbox: Outbox
    routes: Routes
    measurements: Measurements
    models: Models
    approvals: Approvals
    repository: Repository
    orchestrator: Orchestrator
    clock: Clock
    catalogue: Catalogue | None = None
    """Lists of models; None: this process has none."""
    proposals: Proposals | None = None
    """Where branches are written for people; None: this process proposes nothing."""
    hosts: Mapping[str, Host] = field(default_factory=dict)
    """Where pull requests are reviewed, by name: `github`, `gitlab`."""
    close: Callable[[], None] = lambda: None
    """Gives back connections; nothing works afterwards."""

    def release(self, release_id: str) -> Release:
        """Where a release stands now; NotFound when there is none."""
        return fold(self.ledger.events(release_id, looks=False))
