"""The ports a use case works with, bundled. Built once per process by `promptship.wiring`, by hand in tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from promptship.ports import (
    Approvals,
    Clock,
    Journal,
    Ledger,
    Measurements,
    Models,
    Orchestrator,
    Repository,
    Routes,
)
from promptship.release.history import Release, fold
from promptship.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Everything outside, behind ports, plus the settings the service was started with."""

    settings: Settings
    ledger: Ledger
    journal: Journal
    routes: Routes
    measurements: Measurements
    models: Models
    approvals: Approvals
    repository: Repository
    orchestrator: Orchestrator
    clock: Clock
    close: Callable[[], None] = lambda: None
    """Gives back connections; nothing works afterwards."""

    def release(self, release_id: str) -> Release:
        """Where a release stands now; NotFound when there is none."""
        return fold(self.ledger.events(release_id, looks=False))
