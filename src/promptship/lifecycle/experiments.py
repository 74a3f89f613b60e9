"""Experiments with several arms: start, agree to, grow, stop, and release what won. What is measured is in `experiment_looks`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta

from promptship.errors import Conflict, IllegalTransition, NotFound, Refused
from promptship.lifecycle.app import App
from promptship.lifecycle.approval import find_approver
from promptship.lifecycle.experiment_arms import Asked, Found, resolve
from promptship.lifecycle.experiment_record import (
    APPROVED,
    BEGAN,
    GREW,
    OPENED,
    REFUSED,
    TOPIC,
    ArmsExperiment,
    Status,
    find,
    is_over,
    keep,
    new_id,
    open_of,
    stopped,
    summary,
    take_back,
)
from promptship.lifecycle.freezes import frozen
from promptship.lifecycle.opening import Opened, open_release
from promptship.lifecycle.race import rereading
from promptship.lifecycle.reconcile import nudge
from promptship.numbers import moment, percent, plural, short
from promptship.ports import RouteChange
from promptship.prompts.model import RiskClass
from promptship.release.lint import HIGH_RISK_APPROVERS
from promptship.release.phase import OPEN
from promptship.release.policy import Experiment
from promptship.render.redact import redact
from promptship.routing.table import Route

ACTOR = "watcher"
UNBEGUN_S_MAX = 60.0
"""An experiment that needs nobody and has not begun by then never will: its process died."""
_SETTLED_AT_ONCE = 20


def start(
    app: App,
    prompt: str,
    asked: Asked,
    *,
    share: float,
    lasts_s: float | None,
    metrics: Sequence[str],
    actor: str,
) -> ArmsExperiment:
    """Open an experiment, and begin it unless its risk is high: then two people have to agree first (`approve`).

    Args:
        app: the ports.
        prompt: its name.
        asked: arms and control.
        share: of the units that take part, above 0, at most 1.
        lasts_s: it ends by itself after so many seconds of traffic; None: when somebody stops it.
        metrics: measured beside the guardrails of the prompt's plan.
        actor: who starts it.

    Raises:
        ConfigError: arms, weights or metrics that cannot be: all at once.
        NotFound: the prompt is not served, or a version is unknown.
        Refused: something else is being tried on the prompt, its plan allows no experiment, an arm may not get traffic, or
            too few approvers are configured.
    """
    route = app.routes.get(prompt)
    if route is None or route.stable is None:
        raise NotFound(f"prompt {prompt} is not served yet: adopt or release it first")
    _must_be_free(app, route)
    _must_not_be_frozen(app, prompt)
    found = resolve(app, route, asked, metrics)
    if not found.plan.experiment.allowed:
        raise Refused(f"the plan of {prompt} allows no experiment with it (`experiment.allowed = false`)")
    needed = _approvers_needed(app, found)
    now = app.clock.now()
    experiment_id = new_id(prompt, found.arms, now)
    opened = {
        "prompt": prompt, "arms": [asdict(arm) for arm in found.arms], "share": share, "lasts_s": lasts_s,
        "metrics": list(found.metrics), "plan": found.plan.model_dump(mode="json"), "risk": found.risk.value,
        "required": needed,
    }  # fmt: skip
    app.journal.keep(f"{TOPIC}{experiment_id}", OPENED, opened, actor=actor, at=now, expected_seq=-1)
    return begin(app, experiment_id, actor=actor) if not needed else summary(app, experiment_id)


def _approvers_needed(app: App, found: Found) -> int:
    if found.risk is not RiskClass.HIGH:
        return 0
    needed, there = max(found.plan.approval.required, HIGH_RISK_APPROVERS), len(app.settings.approvers)
    if there < needed:
        raise Refused(
            f"a prompt of high risk: {plural(needed, 'approver')} must agree before any traffic and {there} configured; add [[approvers]]"
        )
    return needed


def _must_be_free(app: App, route: Route, *, besides: str = "") -> None:
    """Raises Refused, and names what is being tried on the prompt already."""
    prompt, split = route.prompt, route.split
    if route.killed is not None:
        raise Refused(
            f"the kill switch of {prompt} is on; turn it off first (`promptship kill --undo {prompt}`)"
        )
    if split is not None and split.is_canary:
        raise Refused(
            f"release {split.release_id} of {prompt} is in its canary: a canary and an experiment of one prompt exclude each other; "
            "wait for its end, or cancel it"
        )
    if split is not None and split.held is not None:
        raise Refused(
            f"release {split.release_id} of {prompt} holds the version before back for some units; "
            f"wait for its end, or end it (`promptship experiment stop {prompt}`)"
        )
    other = open_of(app, prompt)
    if other is not None and other.id != besides:
        raise Refused(f"experiment {other.id} of {prompt} is {other.status} already: stop it first")


def _must_not_be_frozen(app: App, prompt: str) -> None:
    """Raises Refused in a freeze: an experiment gives its arms traffic."""
    freeze = frozen(app, prompt)
    if freeze is not None:
        until = f"until {moment(freeze.until)}" if freeze.until is not None else "until the freeze is ended"
        raise Refused(f"no experiment with {prompt} begins {until}: {freeze.reason}")


def begin(app: App, experiment_id: str, *, actor: str) -> ArmsExperiment:
    """Give an opened experiment its traffic. What keeps it from it ends it.

    Raises:
        Refused: something else is being tried on the prompt meanwhile.
    """
    try:
        _begin(app, experiment_id, actor=actor)
    except (Refused, NotFound, Conflict, IllegalTransition) as error:
        stopped(app, experiment_id, actor=actor, reason=f"it could not begin: {error}")
        raise
    return summary(app, experiment_id)


@rereading
def _begin(app: App, experiment_id: str, *, actor: str) -> None:
    found = summary(app, experiment_id)
    if found.status is not Status.WAITING:
        return
    route = app.routes.get(found.prompt)
    if route is None:
        raise NotFound(f"no prompt {found.prompt} is being served")
    if route.split is None or route.split.release_id != found.id:
        _must_be_free(app, route, besides=found.id)
        reason = f"experiment {found.id}: {words(found)}"
        app.routes.randomise(change_of(app, found, route), actor=actor, at=app.clock.now(), reason=reason)
    keep(app, found, BEGAN, {}, actor=actor)


def change_of(app: App, found: ArmsExperiment, route: Route) -> RouteChange:
    """The route as the journal wants it, under a fresh lease."""
    policy = found.plan.experiment
    return RouteChange(
        prompt=found.prompt, expected_revision=route.revision, stable=route.stable, commit=route.commit,
        share=found.share, salt=found.id, lease_until=app.clock.now() + timedelta(seconds=found.canary.lease),
        policy=None if policy == Experiment() else policy, experiment=found.id, arms=found.parts,
    )  # fmt: skip


def words(found: ArmsExperiment) -> str:
    """Arms and share in one line."""
    pairs = zip(found.arms, found.fractions, found.parts, strict=True)
    arms = (f"{arm.name} {percent(of)}{' dropped' if part.dropped else ''}" for arm, of, part in pairs)
    return f"{', '.join(arms)} of {percent(found.share)} of the units"


def approve(app: App, typed: str, *, who: str, via: str) -> ArmsExperiment:
    """Count one approver's yes to an experiment of high risk; with enough of them it begins.

    Raises:
        Refused: not an approver, a second yes, an author where the plan forbids it, nothing to decide, or it cannot begin. An
            attempt that does not count is kept in the journal.
    """
    _must_not_be_frozen(app, find(app, typed).prompt)
    found = _approved(app, find(app, typed).id, who=who, via=via)
    return begin(app, found.id, actor=f"person:{who}") if len(found.approvers) >= found.required else found


@rereading
def _approved(app: App, experiment_id: str, *, who: str, via: str) -> ArmsExperiment:
    found = summary(app, experiment_id)
    approver = find_approver(app.settings.approvers, who)
    why = ""
    if approver is None:
        why = f"{who} is not a configured approver"
    elif found.status is not Status.WAITING:
        why = f"the experiment is {found.status}: there is nothing to decide"
    elif approver.name in found.approvers:
        why = f"{approver.name} has approved it already"
    elif found.plan.approval.not_author:
        authors = {app.repository.resolve(arm.commit).author for arm in found.arms if arm.commit}
        if not approver.email or approver.email.lower() in authors:
            why = f"the plan wants somebody else than an author, and {approver.name} is one or has no e-mail address"
    if approver is None or why:
        if found.status is Status.WAITING:
            keep(app, found, REFUSED, {"why": redact(why), "via": via}, actor=f"{via}:{redact(who)[:200]}")
        raise Refused(why)
    keep(app, found, APPROVED, {"approver": approver.name, "via": via}, actor=f"person:{approver.name}")
    return summary(app, experiment_id)


@rereading
def grow(app: App, typed: str, share: float, *, actor: str) -> ArmsExperiment:
    """Let more units take part. Nobody changes the arm, and nobody falls out.

    Raises:
        Refused: it does not run, or the share is not larger.
    """
    found = summary(app, find(app, typed).id)
    if found.status is not Status.RUNNING:
        raise Refused(f"experiment {found.id} is {found.status}")
    if share <= found.share:
        raise Refused(
            f"experiment {found.id} has {percent(found.share)} of the units; a smaller share would take the arm from units that have it"
        )
    keep(app, found, GREW, {"share": share}, actor=actor)
    found = summary(app, found.id)
    match_route(app, found, actor=actor)
    return found


def match_route(app: App, found: ArmsExperiment, *, actor: str) -> Route | None:
    """Bring share and dropped arms of a running experiment's route to what the journal says; None: the route is not its own."""
    route = app.routes.get(found.prompt)
    if route is None or route.split is None or route.split.release_id != found.id:
        return None
    if (route.split.share, route.split.arms) == (found.share, found.parts):
        return route
    reason = f"experiment {found.id}: {words(found)}"
    return app.routes.randomise(change_of(app, found, route), actor=actor, at=app.clock.now(), reason=reason)


def stop(app: App, typed: str, *, actor: str, reason: str) -> str:
    """Stop an experiment (an id, or its prompt's name), or end a prompt's holdback; everybody gets what is stable. Returns its id.

    Raises:
        NotFound: there is none.
        Refused: it was stopped already.
    """
    ended = take_back(app, typed, actor=actor, reason=reason)
    if ended is not None:
        wake(app, typed)
        return ended
    found = find(app, typed)
    if found.status is Status.STOPPED:
        raise Refused(f"experiment {found.id} was stopped already: {found.reason}")
    end(app, found, actor=actor, reason=reason)
    return found.id


def end(app: App, found: ArmsExperiment, *, actor: str, reason: str) -> None:
    """Take its traffic back, if it has any, and write that down."""
    route = app.routes.get(found.prompt)
    if route is not None and route.split is not None and route.split.release_id == found.id:
        take_back(app, found.prompt, actor=actor, reason=reason)
    stopped(app, found.id, actor=actor, reason=reason)
    wake(app, found.prompt)


def wake(app: App, prompt: str) -> None:
    """Releases that waited for the end go on now; should that be lost, they are due within minutes."""
    for one in app.ledger.summaries(prompt=prompt, phases=OPEN):
        nudge(app, one.id)


def promote(app: App, typed: str, arm: str, *, actor: str) -> Opened:
    """Open the release of an arm's version, with all checks of a release, and stop the experiment: its canary needs the traffic.

    Raises:
        NotFound: no such experiment or arm, or its commit is gone.
        Refused: it is stable already, it was dropped, or the release of its commit has ended; the experiment goes on then.
    """
    found = find(app, typed)
    won = next((one for one in found.arms if one.name == arm), None)
    if won is None:
        raise NotFound(
            f"experiment {found.id} has no arm {arm}; it has {', '.join(one.name for one in found.arms)}"
        )
    route = app.routes.get(found.prompt)
    if route is not None and route.stable == won.version:
        raise Refused(f"arm {arm} is the stable version already")
    if arm in found.dropped:
        raise Refused(f"arm {arm} was dropped: {found.dropped[arm]}")
    why = f"arm {arm} of experiment {found.id}"
    opened = open_release(app, prompt=found.prompt, ref=won.commit, actor=actor, reason=why, again=True)
    if not opened.created and not (before := app.release(opened.release_id)).is_open:
        raise Refused(
            f"the commit of arm {arm} has been released already, as {before.id}: {before.phase.replace('_', ' ')}"
            f"{f' ({before.reason})' if before.reason else ''}; commit the version anew to release it again"
        )
    if found.status is not Status.STOPPED:
        end(
            app,
            found,
            actor=actor,
            reason=f"arm {arm} is being released as {opened.release_id} ({short(won.version)})",
        )
    return opened


def settle(app: App) -> None:
    """Write down the end of experiments that ended without it: a process died, or something else took the route."""
    for topic in app.journal.topics(TOPIC, limit=_SETTLED_AT_ONCE):
        if is_over(app, topic):
            continue
        found = summary(app, topic.removeprefix(TOPIC))
        why = _ended_by(app, found)
        if why:
            stopped(app, found.id, actor=ACTOR, reason=why)
            wake(app, found.prompt)


def _ended_by(app: App, found: ArmsExperiment) -> str:
    """Why an experiment is over that nobody stopped; empty: it is not."""
    route = app.routes.get(found.prompt)
    mine = route is not None and route.split is not None and route.split.release_id == found.id
    age_s = (app.clock.now() - found.opened_at).total_seconds()
    if found.status is Status.RUNNING and not mine:
        history = app.routes.history(found.prompt)
        since = next((at for at, record in enumerate(history) if record.experiment == found.id), 0)
        return (
            f"its arms no longer serve: {history[max(since - 1, 0)].reason}"
            if history
            else "its prompt is gone"
        )
    if found.status is Status.WAITING and not mine:
        if len(found.approvers) < found.required:
            expires_s = found.plan.approval.expires
            return "nobody agreed in time" if age_s >= expires_s else ""
        return "it could not begin" if age_s >= UNBEGUN_S_MAX else ""
    return ""
