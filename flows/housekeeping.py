"""Hourly, and when a run has ended early: prove that history is unchanged, expire approvals, start runs for whatever is due, and tidy."""

from __future__ import annotations

from prefect import flow

from promptship.tasks.audit import move_what_is_due, verify_ledger
from promptship.tasks.tidy import tidy_evaluations, tidy_leases, tidy_telemetry


@flow(name="housekeeping", persist_result=False)
def housekeeping() -> str:
    """Returns the head of the ledger's chains."""
    move_what_is_due()
    head = verify_ledger()
    tidy_telemetry()
    tidy_leases()
    tidy_evaluations()
    return head


@flow(name="reconcile", persist_result=False)
def reconcile() -> int:
    """Obey cancels, expire approvals, start runs for whatever is due: what the watcher does, when a run has ended early."""
    return move_what_is_due()
