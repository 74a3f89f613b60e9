"""Models change under production prompts: watch them, re-test the prompts, propose what to do.

Every run is a resumable function of the journal, like a release's is of the ledger: what is noticed is noticed once, what was answered is
not asked again, and a run that is killed is made good by the next.
"""

from __future__ import annotations

from prefect import flow

from promptship.tasks.retest import look_for_drift, open_retests, probe_models, retest_prompts, watch_models


@flow(name="models", retries=0, persist_result=False)
def models() -> int:
    """Hourly: who is new, who retires, who answers under another's name; returns how much is new."""
    steps = [watch_models(return_state=True), probe_models(return_state=True)]
    return sum(step.result() for step in steps)


@flow(name="retest", retries=0, persist_result=False)
def retest() -> int:
    """When something is new, and hourly: every open re-test, then every look for drift that is due; returns how many there were."""
    steps = [retest_prompts(retest_id, return_state=True) for retest_id in open_retests()]
    steps.append(look_for_drift(return_state=True))
    return sum(step.result() for step in steps)
