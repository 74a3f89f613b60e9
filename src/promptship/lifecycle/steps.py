"""The steps of a release, each safe to run twice: look where the ledger stands, do this step's work once, append once.

A step that is not due returns at once where the release stands, so a flow that starts again continues where the last one fell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from promptship.lifecycle.app import App
from promptship.lifecycle.ending import end
from promptship.lifecycle.lint import lint_tree
from promptship.lifecycle.promotion import holding
from promptship.lifecycle.race import rereading
from promptship.lifecycle.risk import approvers_needed, effective_risk, question_before_traffic
from promptship.lifecycle.working_hours import opens
from promptship.numbers import plural
from promptship.ports import RouteChange
from promptship.prompts.digest import canonical, digest
from promptship.prompts.lint.finding import LintFinding
from promptship.release import events as e
from promptship.release.history import Release
from promptship.release.phase import OPEN, Phase
from promptship.release.plan import Plan
from promptship.release.policy import Experiment
from promptship.render.redact import redact
from promptship.routing.table import Route, Version

ACTOR: Final = "flow"
WAITING: Final = "wait"
"""Step of a stumble that is none: another release of the prompt has to end first."""
EXPERIMENT_PAUSE_S: Final = 900.0
"""How often a release looks whether the experiment it waits for has ended."""
SWITCHED_OFF: Final = (
    "the kill switch of this prompt is on; turn it off (`promptship kill --undo`) and release again"
)
DEFAULT_GIVE_UP_S: Final[float] = Plan.model_fields["give_up_after"].default


class Standing(StrEnum):
    """What a flow does after a step."""

    GO_ON = "go on"
    PARKED = (
        "parked"  # waits for traffic, for a person, or for another release; the ledger says when it is due
    )
    OVER = "over"


def standing_of(release: Release, *, beyond: frozenset[Phase]) -> Standing:
    """What a flow does with a release that a step leaves as it is; in the phases `beyond` the step is done, unless it is paused."""
    if release.phase in beyond and not release.is_paused:
        return Standing.GO_ON
    return Standing.PARKED if release.is_open else Standing.OVER


_AFTER_LINT = OPEN - {Phase.REQUESTED}
_AFTER_REGRESSION = _AFTER_LINT - {Phase.LINTED}
_AFTER_CANARY = frozenset({Phase.AWAITING_APPROVAL, Phase.APPROVED})


@rereading
def lint(app: App, release_id: str) -> Standing:
    """Take the prompt for this release, then lint it at its commit: `Linted`, or `Rejected` with every finding."""
    release = app.release(release_id)
    if release.phase is not Phase.REQUESTED or release.is_paused:
        return standing_of(release, beyond=_AFTER_LINT)
    if not app.ledger.claim(release.prompt, release.id):
        return _wait_for_claim(app, release)
    tree = app.repository.tree(release.commit)
    report = lint_tree(tree, app.settings, today=app.clock.now().date(), paths=[release.path])
    findings = tuple(asdict(finding) for finding in report.findings)
    if report.errors:
        fact = e.Rejected(by="lint", reason=redact(_first_of(report.errors)), findings=findings)
        _append(app, release, fact, now_due=True)
        return Standing.OVER
    prompt, plan = report.loaded[release.path].prompt, report.plans[release.path]
    version = Version(digest=digest(prompt), commit=release.commit, content=canonical(prompt))
    route = app.routes.get(release.prompt)
    if route is not None and route.stable == version.digest:
        reason = "nothing the model sees differs from the stable version"
        _append(app, release, e.Cancelled(reason=reason), now_due=True)
        return Standing.OVER
    app.routes.keep_version(version)
    risk = effective_risk(app, prompt, route).value
    linted = e.Linted(version=version.digest, findings=findings, plan=plan.model_dump(mode="json"), risk=risk)
    _append(app, release, linted, now_due=True)
    return Standing.GO_ON


def _first_of(errors: Sequence[LintFinding]) -> str:
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{first.path}:{first.line}: {first.rule} {first.message}{more}"


def _wait_for_claim(app: App, release: Release) -> Standing:
    fact = e.Stumbled(step=WAITING, reason="waits for the running release of this prompt to end")
    now = app.clock.now()
    # The other's end wakes it; should that wake-up be lost, the reconciler finds it due, and the prompt free.
    due_at = now + timedelta(seconds=app.settings.watcher.retry_every)
    app.ledger.append(release.id, [fact], expected_seq=release.seq, actor=ACTOR, at=now, due_at=due_at)
    # It may have ended in between, when there was nobody to wake yet.
    return lint(app, release.id) if app.ledger.claim(release.prompt, release.id) else Standing.PARKED


@rereading
def record_evaluation(
    app: App, release_id: str, *, stable: str | None, verdict: dict[str, Any], passes: bool, because: str
) -> Standing:
    """Write the suites' verdict down: `Evaluated`, or `Rejected` when they show a regression."""
    release = app.release(release_id)
    if release.phase is not Phase.LINTED:
        return standing_of(release, beyond=_AFTER_REGRESSION)
    if passes:
        _append(app, release, e.Evaluated(stable=stable, verdict=verdict), now_due=True)
        return Standing.GO_ON
    _append(app, release, e.Rejected(by="regression", reason=redact(because), verdict=verdict), now_due=True)
    return Standing.OVER


def evaluated(app: App, release_id: str) -> Standing | None:
    """Where the release stands towards its suites; None: they are to be run now."""
    release = app.release(release_id)
    runs_now = release.phase is Phase.LINTED and not release.is_paused
    return None if runs_now else standing_of(release, beyond=_AFTER_REGRESSION)


@rereading
def start_canary(app: App, release_id: str) -> Standing:
    """Give the candidate its first share; the watcher takes it from there. People are asked first where they have to be."""
    release = app.release(release_id)
    if release.is_paused or (release.phase is not Phase.EVALUATED and not _is_cleared(release)):
        return standing_of(release, beyond=_AFTER_CANARY)
    assert release.plan is not None and release.version is not None  # noqa: S101, PT018 - the fold sets both at Linted
    route = app.routes.get(release.prompt)
    if route is not None and route.killed is not None:
        _append(app, release, e.Cancelled(reason=SWITCHED_OFF), now_due=True)
        return Standing.OVER
    if route is not None and route.split is not None and route.split.arms:
        return _wait_for_experiment(app, release, route.split.release_id)
    asked = question_before_traffic(release, route)
    if asked is not None and not _is_cleared(release):
        return _ask_first(app, release, *asked)
    if route is None or route.stable is None or route.stable != release.stable:
        reason = "stable changed before the canary began; release this commit again"
        _append(app, release, e.Cancelled(reason=reason), now_due=True)
        return Standing.OVER
    now = app.clock.now()
    fact, change = begin_stage(release, release.plan, route, 0, stable=route.stable, salt=release.id, now=now)
    app.ledger.append(release.id, [fact], expected_seq=release.seq, actor=ACTOR, at=now, route=change)
    return Standing.PARKED


def _wait_for_experiment(app: App, release: Release, experiment_id: str) -> Standing:
    """A canary and an experiment of one prompt exclude each other. The experiment's end wakes the release; it looks now and then, too."""
    reason = (
        f"waits for experiment {experiment_id} of this prompt: a canary and an experiment exclude each other; "
        f"to go on now: `promptship experiment stop {release.prompt}`"
    )
    now = app.clock.now()
    app.ledger.append(
        release.id, [e.Stumbled(step=WAITING, reason=reason)], expected_seq=release.seq, actor=ACTOR, at=now,
        due_at=now + timedelta(seconds=EXPERIMENT_PAUSE_S),
    )  # fmt: skip
    return Standing.PARKED


def _is_cleared(release: Release) -> bool:
    """Whether people have agreed to the first stage, which has not begun."""
    return release.phase is Phase.APPROVED and release.question == "traffic"


def _ask_first(app: App, release: Release, question: str, reason: str) -> Standing:
    """Ask before any traffic; a question that nobody could answer is the end."""
    needed, there = approvers_needed(release, question), app.settings.approvers_max
    if there >= needed:
        _append(app, release, ask_for(app, release, question, reason), now_due=True)
        return Standing.GO_ON
    advice = "add [[approvers]]"
    if question == "first":
        advice += ", or make what production serves already stable with `promptship adopt`"
    configured = "nobody is" if there == 0 else f"only {there} of them {'is' if there == 1 else 'are'}"
    fact = e.Failed(
        reason=f"{reason}; {plural(needed, 'approver')} must agree and {configured} configured; {advice}"
    )
    _append(app, release, fact, now_due=True)
    return Standing.OVER


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


@rereading
def promote(app: App, release_id: str) -> Standing:
    """Make the candidate stable, in the transaction that says so; what was judged against another stable is cancelled."""
    release = app.release(release_id)
    if release.phase is not Phase.APPROVED or release.is_paused or _is_cleared(release):
        return standing_of(release, beyond=frozenset())
    assert release.version is not None  # noqa: S101 - set at Linted
    route = app.routes.get(release.prompt)
    if route is not None and route.killed is not None:
        end(app, release, e.Cancelled(reason=SWITCHED_OFF), actor=ACTOR)
        return Standing.OVER
    if route is not None and route.split is not None and route.split.arms:
        return _wait_for_experiment(app, release, route.split.release_id)
    if (route.stable if route else None) != release.stable:
        reason = "stable changed after the evidence was taken; release this commit again"
        end(app, release, e.Cancelled(reason=reason), actor=ACTOR)
        return Standing.OVER
    change = RouteChange(
        prompt=release.prompt, expected_revision=route.revision if route else 0,
        stable=release.version, commit=release.commit,
    )  # fmt: skip
    change = holding(app, release, route, change)
    fact = e.Promoted(version=release.version, previous=route.stable if route else None)
    _append(app, release, fact, now_due=True, route=change)
    return Standing.OVER


def _append(
    app: App, release: Release, fact: e.Fact, *, now_due: bool, route: RouteChange | None = None
) -> None:
    """One fact, one transaction. `now_due`: if this process dies right here, the reconciler goes on."""
    now = app.clock.now()
    app.ledger.append(
        release.id, [fact], expected_seq=release.seq, actor=ACTOR, at=now, route=route,
        due_at=now if now_due else None,
    )  # fmt: skip
