"""Hourly: prove that history is unchanged, expire approvals, and start runs for whatever is due."""

from __future__ import annotations

from prefect import flow

from promptship.tasks.audit import move_what_is_due, verify_ledger


@flow(name="housekeeping", persist_result=False)
def housekeeping() -> str:
    """Returns the head of the ledger's chains."""
    move_what_is_due()
    return verify_ledger()
