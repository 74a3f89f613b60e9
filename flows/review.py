"""The review of a pull request: lint and suites of its head against what production serves, told where people merge.

Nothing is released by it. A run that is killed is started again by the watcher, and asks only what has no answer yet.
"""

from __future__ import annotations

from prefect import flow

from promptship.lifecycle.reviewing import lease
from promptship.tasks.hold import holding
from promptship.tasks.review import begin, look, tell


@flow(name="review", flow_run_name="{host}-{number}-{head}", retries=0, persist_result=False)
def review(host: str, number: int, head: str) -> str:
    """Review one pull request at one commit; returns the outcome."""
    with holding(lease(host, number)) as mine:
        if not mine:
            return "another run reviews this pull request"
        pull = begin(host, number, head)
        return "nothing to review" if pull is None else tell(host, pull, look(host, pull))
