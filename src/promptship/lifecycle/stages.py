"""What a release's moves are made of: the facts of a stage that begins, and of a question to people."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from promptship.lifecycle.app import App
from promptship.lifecycle.risk import approvers_needed
from promptship.lifecycle.working_hours import opens
from promptship.ports import RouteChange
from promptship.release import events as e
from promptship.release.history import Release
from promptship.release.plan import Plan
from promptship.release.policy import Experiment
from promptship.render.redact import redact
from promptship.routing.table import Route


def begin_stage(
    release: Release, plan: Plan, route: Route, number: int, *, stable: str, salt: str, now: datetime
) -> tuple[e.StageStarted, RouteChange]:
    """What gives the candidate the share of a stage: the fact, and the route change that goes with it, under a fresh lease."""
    share = plan.canary.stages[number].share
    change = RouteChange(
        prompt=release.prompt, expected_revision=route.revision, stable=stable, commit=route.commit,
        release_id=release.id, candidate=release.version, stage=number, share=share, salt=salt,
        lease_until=now + timedelta(seconds=plan.canary.lease),
        policy=None if plan.experiment == Experiment() else plan.experiment,
    )  # fmt: skip
    return e.StageStarted(stage=number, share=share, salt=salt, stable=stable), change


def ask_for(app: App, release: Release, question: Any, reason: str) -> e.ApprovalRequested:
    """The approval request this release's plan asks for."""
    assert release.plan is not None  # noqa: S101 - set at Linted
    # Nobody is asked outside working hours: the time to answer begins with them.
    asked_at = opens(app.settings.approval.working_hours, app.clock.now())
    expires_at = asked_at + timedelta(seconds=release.plan.approval.expires)
    return e.ApprovalRequested(
        question=question, required=approvers_needed(release, question), expires_at=expires_at,
        reason=redact(reason),
    )  # fmt: skip
