"""The steps of a release, each safe to run twice: look where the ledger stands, do this step's work once, append once.

A step that is not due returns at once where the release stands, so a flow that starts again continues where the last one fell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from promptship.lifecycle.app import App
from promptship.lifecycle.ending import end
from promptship.lifecycle.freezes import LOOK_AGAIN_S, freeze_of
from promptship.lifecycle.groups import members, write
from promptship.lifecycle.joining import assemble, nobody_to_ask, questions
from promptship.lifecycle.lint import lint_tree
from promptship.lifecycle.promotion import holding
from promptship.lifecycle.race import rereading
from promptship.lifecycle.risk import effective_risk
from promptship.lifecycle.stages import ask_for, begin_stage
from promptship.ports import Append, RouteChange
from promptship.prompts.digest import canonical, digest
from promptship.prompts.lint.finding import LintFinding
from promptship.release import events as e
from promptship.release.history import Release
from promptship.release.phase import OPEN, Phase
from promptship.release.plan import Plan
from promptship.release.together import before_promotion, is_cleared, joining
from promptship.render.redact import redact
from promptship.routing.table import Version

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
    today = app.clock.now().date()
    report = lint_tree(tree, app.settings, today=today, paths=[release.path], route=release.prompt)
    findings = tuple(asdict(finding) for finding in report.findings)
    if report.errors:
        fact = e.Rejected(by="lint", reason=redact(_first_of(report.errors)), findings=findings)
        end(app, release, fact, actor=ACTOR)
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
    rejected = e.Rejected(by="regression", reason=redact(because), verdict=verdict)
    end(app, release, rejected, actor=ACTOR)
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
    if release.is_paused or (release.phase is not Phase.EVALUATED and not is_cleared(release)):
        return standing_of(release, beyond=_AFTER_CANARY)
    assembled = assemble(app, release)
    group = assembled.members
    if not group:
        return _wait(app, release, assembled.waits) if assembled.waits else Standing.OVER
    standing = _in_the_way(app, release, group)
    if standing is not None:
        return standing
    asked = {} if release.group or is_cleared(release) else questions(app, group)
    if asked:
        return _ask_first(app, release, group, asked)
    standing = _stale(app, group, "stable changed before the canary began") or _frozen(app, release, group)
    if standing is not None:
        return standing
    now, ids = app.clock.now(), joining(one.id for one in group)
    salt = ids[0]
    appends = [_begun(app, one, _joined(one, ids), salt=salt, now=now) for one in group]
    write(app, appends, actor=ACTOR, at=now)
    return Standing.PARKED


def _begun(app: App, release: Release, joined: Sequence[e.Fact], *, salt: str, now: datetime) -> Append:
    """The first stage of one release, whose route has its own stable version."""
    route = app.routes.get(release.prompt)
    assert release.plan is not None and route is not None and route.stable is not None  # noqa: S101, PT018 - see `_stale`
    fact, change = begin_stage(release, release.plan, route, 0, stable=route.stable, salt=salt, now=now)
    return Append(release_id=release.id, facts=[*joined, fact], expected_seq=release.seq, route=change)


def _joined(release: Release, ids: tuple[str, ...]) -> list[e.Fact]:
    """What is said once before the first move that a release makes with others."""
    return [] if release.group or len(ids) == 1 else [e.Joined(releases=ids)]


def _in_the_way(app: App, release: Release, group: Sequence[Release]) -> Standing | None:
    """The kill switch ends a release, an experiment of its prompt keeps it waiting; None: neither, for any of the group."""
    for one in group:
        route = app.routes.get(one.prompt)
        if route is not None and route.killed is not None:
            end(app, one, e.Cancelled(reason=SWITCHED_OFF), actor=ACTOR)
            return Standing.OVER
        if route is not None and route.split is not None and route.split.arms:
            return _wait_for_experiment(app, release, one.prompt, route.split.release_id)
    return None


def _stale(app: App, group: Sequence[Release], why: str) -> Standing | None:
    """What was judged against another stable version than the one that serves now ends."""
    for one in group:
        route = app.routes.get(one.prompt)
        if (route.stable if route else None) != one.stable:
            end(app, one, e.Cancelled(reason=f"{why}; release this commit again"), actor=ACTOR)
            return Standing.OVER
    return None


def _frozen(app: App, release: Release, group: Sequence[Release]) -> Standing | None:
    freezes = (freeze_of(app, one) for one in group)
    freeze = next((one for one in freezes if one is not None), None)
    return None if freeze is None else _wait_for_thaw(app, release, freeze)


def _wait(app: App, release: Release, reason: str) -> Standing:
    """Wait for another release. Whoever moves that one moves this one; it looks now and then, too."""
    now, pause = app.clock.now(), timedelta(seconds=EXPERIMENT_PAUSE_S)
    fact = e.Stumbled(step=WAITING, reason=reason)
    (last,) = app.ledger.events(release.id, looks=False)[-1:]
    if last.fact != fact or now >= last.at + pause:
        app.ledger.append(
            release.id, [fact], expected_seq=release.seq, actor=ACTOR, at=now, due_at=now + pause
        )
    return Standing.PARKED


def _wait_for_thaw(app: App, release: Release, freeze: e.Frozen) -> Standing:
    """No more traffic in a freeze. It goes on by itself when it ends; whoever ends one without an end wakes the release."""
    now = app.clock.now()
    due_at = freeze.until or now + timedelta(seconds=LOOK_AGAIN_S)
    app.ledger.append(release.id, [freeze], expected_seq=release.seq, actor=ACTOR, at=now, due_at=due_at)
    return Standing.PARKED


def _wait_for_experiment(app: App, release: Release, prompt: str, experiment_id: str) -> Standing:
    """A canary and an experiment of one prompt exclude each other. The experiment's end wakes the release; it looks now and then, too."""
    whose = "this prompt" if prompt == release.prompt else prompt
    reason = (
        f"waits for experiment {experiment_id} of {whose}: a canary and an experiment exclude each other; "
        f"to go on now: `promptship experiment stop {prompt}`"
    )
    return _wait(app, release, reason)


def _ask_first(
    app: App, release: Release, group: Sequence[Release], asked: Mapping[str, tuple[str, str]]
) -> Standing:
    """Ask before any traffic; a question that nobody could answer is the end."""
    for one in group:
        problem = nobody_to_ask(app, one, *asked[one.id]) if one.id in asked else ""
        if problem:
            end(app, one, e.Failed(reason=problem), actor=ACTOR)
            return Standing.OVER
    now, ids = app.clock.now(), joining(one.id for one in group)
    appends = []
    for one in group:
        questioned = [ask_for(app, one, *asked[one.id])] if one.id in asked else []
        facts = [*_joined(one, ids), *questioned]
        due_at = now if questioned else None
        appends.append(Append(release_id=one.id, facts=facts, expected_seq=one.seq, due_at=due_at))
    write(app, appends, actor=ACTOR, at=now)
    return Standing.GO_ON if release.id in asked else Standing.PARKED


@rereading
def promote(app: App, release_id: str) -> Standing:
    """Make the candidate stable, in the transaction that says so; what was judged against another stable is cancelled."""
    release = app.release(release_id)
    if release.phase is not Phase.APPROVED or release.is_paused or is_cleared(release):
        return standing_of(release, beyond=frozenset())
    group = members(app, release)
    waits = before_promotion(group)
    if waits:
        return _wait(app, release, waits)
    standing = (
        _in_the_way(app, release, group)
        or _stale(app, group, "stable changed after the evidence was taken")
        or _frozen(app, release, group)
    )
    if standing is not None:
        return standing
    now = app.clock.now()
    write(app, [_promoted(app, one, now=now) for one in group], actor=ACTOR, at=now)
    return Standing.OVER


def _promoted(app: App, release: Release, *, now: datetime) -> Append:
    """The promotion of one release, due at once: if this process dies right here, the reconciler goes on."""
    assert release.version is not None  # noqa: S101 - set at Linted
    route = app.routes.get(release.prompt)
    change = RouteChange(
        prompt=release.prompt, expected_revision=route.revision if route else 0,
        stable=release.version, commit=release.commit,
    )  # fmt: skip
    change = holding(app, release, route, change)
    fact = e.Promoted(version=release.version, previous=route.stable if route else None)
    return Append(release_id=release.id, facts=[fact], expected_seq=release.seq, route=change, due_at=now)


def _append(
    app: App, release: Release, fact: e.Fact, *, now_due: bool, route: RouteChange | None = None
) -> None:
    """One fact, one transaction. `now_due`: if this process dies right here, the reconciler goes on."""
    now = app.clock.now()
    app.ledger.append(
        release.id, [fact], expected_seq=release.seq, actor=ACTOR, at=now, route=route,
        due_at=now if now_due else None,
    )  # fmt: skip
