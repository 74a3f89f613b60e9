"""The route of a promotion: the candidate for everybody, or for all but a holdback."""

from __future__ import annotations

from datetime import timedelta

from promptship.lifecycle.app import App
from promptship.ports import RouteChange
from promptship.release.history import Release
from promptship.release.plan import Canary
from promptship.release.policy import Experiment
from promptship.routing.table import Route


def holding(app: App, release: Release, route: Route | None, change: RouteChange) -> RouteChange:
    """The route change of a promotion, with the holdback that the release's plan wants; as it is where there can be none.

    There is none after a release whose candidate has had no traffic at random, for nothing says who had it.
    """
    plan = release.plan
    if plan is None or not plan.canary.holdback or route is None or route.stable is None:
        return change
    if not release.salt or not plan.experiment.allowed:
        return change
    return RouteChange(
        prompt=change.prompt, expected_revision=change.expected_revision, stable=change.stable, commit=change.commit,
        release_id=release.id, candidate=change.stable, stage=stage_of(plan.canary), share=1 - plan.canary.holdback,
        salt=release.salt, lease_until=app.clock.now() + timedelta(seconds=plan.canary.lease),
        policy=None if plan.experiment == Experiment() else plan.experiment, held=route.stable,
    )  # fmt: skip


def stage_of(canary: Canary) -> int:
    """The stage that a holdback is counted under: the one after the last."""
    return len(canary.stages)
