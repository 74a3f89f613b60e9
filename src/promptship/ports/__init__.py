"""The outside world, as narrow as we need it. Every adapter of a port passes the same tests in `tests/contract/`.

All methods may raise `Unavailable`; other errors are named per method.
"""

from promptship.ports.hosts import Annotation, Host, Pull, Report
from promptship.ports.ledger import Append, AuditReport, Entry, Journal, Ledger, ReleaseSummary, Routes
from promptship.ports.outbox import DeadLetter, Outbox, Pending
from promptship.ports.people import Approvals, Card
from promptship.ports.places import (
    CancelledRun,
    Clock,
    Commit,
    Models,
    Orchestrator,
    Repository,
    RouteFeed,
    Tree,
)
from promptship.ports.telemetry import IngestReport, Measurements, TidyReport
from promptship.routing.changes import RouteChange, RouteRecord

__all__ = [
    "Annotation",
    "Append",
    "Approvals",
    "AuditReport",
    "CancelledRun",
    "Card",
    "Clock",
    "Commit",
    "DeadLetter",
    "Entry",
    "Host",
    "IngestReport",
    "Journal",
    "Ledger",
    "Measurements",
    "Models",
    "Orchestrator",
    "Outbox",
    "Pending",
    "Pull",
    "ReleaseSummary",
    "Report",
    "Repository",
    "RouteChange",
    "RouteFeed",
    "RouteRecord",
    "Routes",
    "TidyReport",
    "Tree",
]
