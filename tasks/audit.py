"""Regular proof that history has not been changed."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import create_markdown_artifact

from promptship.errors import PromptshipError
from promptship.lifecycle.reconcile import reconcile
from promptship.tasks.policy import STEP
from promptship.wiring import app


class ChainBroken(PromptshipError):
    """An event in the ledger is not what was written."""

    exit_code = 1


@task(name="verify the ledger", **STEP)
def verify_ledger() -> str:
    """Recompute every hash chain; returns the head to anchor outside.

    Raises:
        ChainBroken: something was changed, with every broken link.
    """
    audit = app().ledger.verify()
    create_markdown_artifact(
        key="ledger-head",
        markdown=f"{audit.events:,} events of {audit.releases:,} releases, head `{audit.head}`",
        description="Anchor this outside: a chain alone cannot show that its end was cut off.",
    )
    if audit.problems:
        raise ChainBroken("\n".join(audit.problems))
    return audit.head


@task(name="move what is due", **STEP)
def move_what_is_due() -> int:
    """The watcher does this every few seconds; here it also happens when no watcher runs."""
    return reconcile(app())
