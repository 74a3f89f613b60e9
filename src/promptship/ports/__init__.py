"""The outside world, as narrow as we need it. Every adapter of a port passes the same tests in `tests/contract/`.

All methods may raise `Unavailable`; other errors are named per method.
"""

from promptship.ports.ledger import AuditReport, Entry, Journal, Ledger, ReleaseSummary, Routes
from promptship.ports.people import Approvals, Card
from promptship.ports.places import Clock, Commit, Models, Orchestrator, Repository, RouteFeed, Tree
from promptship.ports.telemetry import IngestReport, Measurements, TidyReport
from promptship.routing.changes import RouteChange, RouteRecord

__all__ = [
    "Approvals",
    "AuditReport",
    "Card",
    "Clock",
    "Commit",
    "Entry",
    "IngestReport",
    "Journal",
    "Ledger",
    "Measurements",
    "Models",
    "Orchestrator",
    "ReleaseSummary",
    "Repository",
    "RouteChange",
    "RouteFeed",
    "RouteRecord",
    "Routes",
    "TidyReport",
    "Tree",
]
