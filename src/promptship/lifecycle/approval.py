"""Who may say yes. The same function and the same checks for Slack, the command line and the web."""

from __future__ import annotations

from contextlib import suppress
from typing import NoReturn

from promptship.errors import Conflict, Refused
from promptship.lifecycle.app import App
from promptship.lifecycle.ending import end
from promptship.lifecycle.race import rereading
from promptship.lifecycle.reconcile import nudge
from promptship.release import events as e
from promptship.release.history import Release
from promptship.release.phase import Phase
from promptship.render.redact import redact
from promptship.settings import Approver


@rereading
def approve(
    app: App, release_id: str, *, who: str, via: str, seq: int | None = None, reason: str = ""
) -> Release:
    """Count one approver's yes; with enough of them the release is approved and goes on.

    Args:
        app: the ports.
        release_id: full id.
        who: an approver's configured name, e-mail address or Slack id.
        via: where the decision was made: `slack`, `cli`, `web`.
        seq: seq of the approval request on the card that was clicked; None where the person sees the current state.
        reason: free text, kept.

    Raises:
        Refused: not an approver, the author where the plan forbids it, an old card, too late, nothing to decide, or a second
            yes. The attempt is kept in the ledger and changes nothing.
    """
    release = app.release(release_id)
    approver = _checked(app, release, who=who, via=via, seq=seq)
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
        nudge(app, release.id)
    return app.release(release_id)


@rereading
def reject(
    app: App, release_id: str, *, who: str, via: str, seq: int | None = None, reason: str = ""
) -> Release:
    """One approver's no rolls the release back at once. Same arguments and errors as `approve`."""
    release = app.release(release_id)
    approver = _checked(app, release, who=who, via=via, seq=seq)
    text = redact(reason) or "no reason given"
    fact = e.RolledBack(by="approver", reason=f"rejected by {approver.name}: {text}", version=release.stable)
    release = end(app, release, fact, actor=f"person:{approver.name}")
    nudge(app, release_id)
    return release


def _checked(app: App, release: Release, *, who: str, via: str, seq: int | None) -> Approver:
    approver = find_approver(app.settings.approvers, who)
    if approver is None:
        _refuse(app, release, who, via, f"{who} is not a configured approver")
    if release.phase is not Phase.AWAITING_APPROVAL:
        _refuse(app, release, who, via, f"the release is {release.phase}: there is nothing to decide")
    if seq is not None and seq != release.question_seq:
        _refuse(app, release, who, via, "this card is old: the release has moved on since it was sent")
    plan = release.plan
    if plan is not None and plan.approval.not_author:
        if not approver.email:
            why = f"the plan wants somebody else than the author, and {approver.name} has no e-mail address in [[approvers]]"
            _refuse(app, release, who, via, why)
        if approver.email.lower() == release.author:
            _refuse(
                app, release, who, via, f"{approver.name} wrote the change and the plan wants somebody else"
            )
    return approver


def _may_say_yes(app: App, release: Release, approver: Approver, *, who: str, via: str) -> None:
    """What only a yes must satisfy: a no is welcome at any time."""
    if release.expires_at is not None and app.clock.now() >= release.expires_at:
        _refuse(app, release, who, via, "the question has expired: the release is about to be rolled back")
    if approver.name in release.approvers:
        _refuse(app, release, who, via, f"{approver.name} has approved it already")


def find_approver(approvers: tuple[Approver, ...], who: str) -> Approver | None:
    """The configured approver with this name, e-mail address (any case) or Slack id."""
    wanted = who.strip().lower()
    for approver in approvers:
        if wanted and wanted in {approver.name.lower(), approver.email.lower(), approver.slack.lower()}:
            return approver
    return None


def _refuse(app: App, release: Release, who: str, via: str, why: str) -> NoReturn:
    """Keep the attempt for the audit, then refuse it. An attempt that loses a race is refused all the same."""
    fact = e.ApprovalRefused(who=redact(who)[:200], why=why, via=via)
    with suppress(Conflict):
        app.ledger.append(
            release.id, [fact], expected_seq=release.seq, actor=f"{via}:{redact(who)[:200]}",
            at=app.clock.now(), keep_due=True,
        )  # fmt: skip
    raise Refused(why)
