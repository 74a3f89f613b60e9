"""Who may say yes. The same function and the same checks for Slack, the command line and the web."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Final, NoReturn

from promptship.errors import Conflict, IllegalTransition, NotFound, Refused
from promptship.lifecycle.app import App
from promptship.lifecycle.approvers import find_approver, identify
from promptship.lifecycle.at_once import take_effect
from promptship.lifecycle.ending import end, roll_back_prompt
from promptship.lifecycle.freezes import may_approve_in
from promptship.lifecycle.race import rereading
from promptship.lifecycle.reconcile import nudge
from promptship.prompts.model import RiskClass
from promptship.release import events as e
from promptship.release.history import Release
from promptship.release.phase import WATCHED, Phase
from promptship.render.redact import redact
from promptship.settings import Approver

__all__ = ["approve", "find_approver", "may_reject", "reject", "roll_back"]

_log = logging.getLogger(__name__)

REFUSALS_MAX: Final = 50
"""Refused decisions that a release's history keeps; further ones are refused all the same and stand in the log."""


@rereading
def approve(
    app: App, release_id: str, *, who: str, via: str, seq: int | None = None, reason: str = ""
) -> Release:
    """Count one approver's yes; with enough of them the release is approved, and the traffic follows at once.

    Args:
        app: the ports.
        release_id: full id.
        who: an approver's configured name, e-mail address or Slack id; or the Slack id of a member of a configured group.
        via: where the decision was made: `slack`, `cli`, `web`.
        seq: seq of the approval request on the card that was clicked; None where the person sees the current state.
        reason: free text, kept.

    Raises:
        Refused: not an approver of this risk, the author where plan or service forbid it, an old card, too late, nothing to
            decide, or a second yes. The attempt is kept in the ledger and changes nothing.
        Unavailable: it cannot be told now whether he may.
    """
    release = app.release(release_id)
    risk = RiskClass(release.risk)
    approver = _checked(app, release, who=who, via=via, seq=seq, risk=risk)
    _may_say_yes(app, release, approver, who=who, via=via)
    facts: list[e.Fact] = [e.ApprovalGiven(approver=approver.name, reason=redact(reason), via=via)]
    approvers = (*release.approvers, approver.name)
    if len(approvers) >= release.required:
        facts.append(e.Approved(approvers=approvers))
    now = app.clock.now()
    app.ledger.append(
        release.id, facts, expected_seq=release.seq, actor=f"person:{approver.name}", at=now,
        # While others are missing, it stays due for what it waited for: its expiry, or a card that is not delivered yet.
        due_at=now, keep_due=len(facts) == 1,
    )  # fmt: skip
    if len(facts) > 1:
        take_effect(app, release.id)
        nudge(app, release.id)
    return app.release(release_id)


@rereading
def reject(
    app: App, release_id: str, *, who: str, via: str, seq: int | None = None, reason: str = ""
) -> Release:
    """One approver's no rolls the release back at once, whatever its risk. Same arguments and errors as `approve`."""
    release = app.release(release_id)
    approver = _checked(app, release, who=who, via=via, seq=seq, risk=None)
    text = redact(reason) or "no reason given"
    fact = e.RolledBack(by="approver", reason=f"rejected by {approver.name}: {text}", version=release.stable)
    release = end(app, release, fact, actor=f"person:{approver.name}")
    nudge(app, release_id)
    return release


@rereading
def may_reject(app: App, release_id: str, *, who: str, via: str, seq: int | None = None) -> None:
    """Return when `reject` would count now, for whoever asks a reason first. Raises as `reject`."""
    _checked(app, app.release(release_id), who=who, via=via, seq=seq, risk=None)


@rereading
def roll_back(app: App, release_id: str, *, who: str, via: str, reason: str) -> Release:
    """Take this release's traffic away: end its canary, or undo its promotion while it is what serves. Any approver may.

    Raises:
        Refused: not an approver, or this release serves nothing any more. The attempt is kept in the ledger.
        Unavailable: it cannot be told now whether he may.
    """
    release = app.release(release_id)
    approver = identify(app, who)
    if approver is None:
        _refuse(app, release, who, via, f"{who} is not a configured approver")
    said, actor = redact(reason) or f"rolled back by {approver.name}", f"person:{approver.name}"
    if release.phase in WATCHED:
        fact = e.RolledBack(by="person", reason=said, version=release.stable)
        end(app, release, fact, actor=actor)
    elif release.phase is Phase.PROMOTED:
        try:
            roll_back_prompt(app, release.prompt, actor=actor, reason=said, only=release.id)
        except (IllegalTransition, NotFound) as error:
            _refuse(app, release, who, via, str(error))
    else:
        _refuse(app, release, who, via, f"the release is {release.phase}: it serves nobody")
    nudge(app, release_id)
    return app.release(release_id)


def _checked(
    app: App, release: Release, *, who: str, via: str, seq: int | None, risk: RiskClass | None
) -> Approver:
    approver = identify(app, who, risk=risk)
    if approver is None:
        _refuse(app, release, who, via, f"{who} is not a configured approver")
    if release.phase is not Phase.AWAITING_APPROVAL:
        _refuse(app, release, who, via, f"the release is {release.phase}: there is nothing to decide")
    if seq is not None and seq != release.question_seq:
        _refuse(app, release, who, via, "this card is old: the release has moved on since it was sent")
    if risk is not None and risk not in approver.risks:
        _refuse(app, release, who, via, f"{approver.name} may not approve a release of {risk} risk")
    return approver


def _not_author(app: App, release: Release) -> bool:
    """Whether plan or service want somebody else than the author. A push can only add this, never take it away."""
    planned = release.plan is not None and release.plan.approval.not_author
    return planned or app.settings.approval.not_author


def _may_say_yes(app: App, release: Release, approver: Approver, *, who: str, via: str) -> None:
    """What only a yes must satisfy: a no is welcome at any time, from the author too."""
    if not may_approve_in(app, release.prompt, approver.name):
        _refuse(app, release, who, via, f"{approver.name} may not approve in this environment")
    if _not_author(app, release):
        if not approver.email:
            why = f"somebody else than the author must decide, and {approver.name} has no e-mail address in [[approvers]]"
            _refuse(app, release, who, via, why)
        if approver.email.lower() == release.author:
            _refuse(app, release, who, via, f"{approver.name} wrote the change and somebody else must decide")
    if release.expires_at is not None and app.clock.now() >= release.expires_at:
        _refuse(app, release, who, via, "the question has expired: the release is about to end")
    if approver.name in release.approvers:
        _refuse(app, release, who, via, f"{approver.name} has approved it already")
    is_known = find_approver(app.settings.approvers, approver.name) is not None
    if release.required > 1 and not is_known and not approver.email:
        why = f"{approver.name} has no e-mail address here and may be another approver; add him to [[approvers]]"
        _refuse(app, release, who, via, why)


def _refuse(app: App, release: Release, who: str, via: str, why: str) -> NoReturn:
    """Keep the attempt for the audit, then refuse it. An attempt that loses a race is refused all the same."""
    kept = sum(isinstance(one.fact, e.ApprovalRefused) for one in app.ledger.events(release.id, looks=False))
    if kept >= REFUSALS_MAX:
        _log.warning("release %s: a further decision via %s did not count: %s", release.id, via, redact(why))
        raise Refused(why)
    fact = e.ApprovalRefused(who=redact(who)[:200], why=redact(why), via=via)
    with suppress(Conflict):
        app.ledger.append(
            release.id, [fact], expected_seq=release.seq, actor=f"{via}:{redact(who)[:200]}",
            at=app.clock.now(), keep_due=True,
        )  # fmt: skip
    raise Refused(why)
