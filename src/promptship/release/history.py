"""Where a release stands: a fold over its events, so that CLI, web, flow and watcher cannot disagree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from promptship.errors import NotFound
from promptship.release import events as e
from promptship.release.phase import BEFORE_TRAFFIC, OPEN, Phase, step
from promptship.release.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release as its events tell it. `seq` is the last event's number: the version for compare-and-set."""

    id: str
    seq: int
    phase: Phase
    prompt: str
    path: str
    commit: str
    author: str
    opened_at: datetime
    moved_at: datetime
    """When the phase (or the stage) last changed."""
    together: tuple[str, ...] = ()
    """See `Requested.together`."""
    group: tuple[str, ...] = ()
    """Ids of the releases that move with it, its own too; empty: it moves alone, or they have not joined yet."""
    version: str | None = None
    plan: Plan | None = None
    risk: str = "low"
    """See `Linted.risk`."""
    stable: str | None = None
    suite_verdict: dict[str, object] | None = None
    stage: int | None = None
    share: float = 0.0
    salt: str = ""
    stage_started_at: datetime | None = None
    looks: int = 0
    last_look: e.Looked | None = None
    question: str | None = None
    question_seq: int = -1
    """Seq of the last approval request; a decision made on an older card does not count. -1: never asked."""
    required: int = 0
    expires_at: datetime | None = None
    asked: tuple[e.ApprovalAsked, ...] = ()
    is_delivered: bool = False
    """Whether the last question has reached people."""
    is_escalated: bool = False
    """Whether others were told that the last question waits."""
    approvers: tuple[str, ...] = ()
    """Who said yes to the last question."""
    reason: str = ""
    """Why it ended, why people are asked, or, before its canary, why the last step stumbled."""
    ended_at: datetime | None = None
    along_with: str = ""
    """Release of its group whose end this one followed; empty: it ended by itself."""
    paused_at: datetime | None = None
    """Since when it stands still; None: it does not."""
    paused_by: str = ""
    """Actor of the pause, `person:<name>`."""
    pause_reason: str = ""
    freeze: e.Frozen | None = None
    """The freeze that it met last and has not left behind since."""
    through_freezes: str = ""
    """Approver who let it go on in freezes; empty: nobody has."""

    @property
    def is_open(self) -> bool:
        """Whether anything can still happen by itself."""
        return self.phase in OPEN

    @property
    def is_paused(self) -> bool:
        """Whether somebody has stopped it for now. What has ended is not paused any more."""
        return self.paused_at is not None and self.is_open


def _opened(event: e.Event) -> Release:
    fact = event.fact
    if not isinstance(fact, e.Requested):
        message = f"release {event.release_id} does not begin with a request but with {fact.kind}"
        raise NotFound(message)
    return Release(
        id=event.release_id, seq=event.seq, phase=Phase.REQUESTED, prompt=fact.prompt, path=fact.path, commit=fact.commit,
        author=fact.author, opened_at=event.at, moved_at=event.at, reason=fact.reason, together=fact.together,
    )  # fmt: skip


def advance(release: Release, event: e.Event) -> Release:
    """The release after one more event.

    Raises:
        IllegalTransition: the event does not fit the phase.
    """
    to = e.PHASE_AFTER[event.fact.kind]
    if to is not None:
        phase = step(release.phase, to)
        ended = None if phase in OPEN else event.at
        release = replace(release, phase=phase, moved_at=event.at, ended_at=ended)
        if to is not Phase.APPROVED and to is not Phase.AWAITING_APPROVAL:
            release = replace(release, freeze=None)  # it got its traffic, or is over
    return replace(_learn(release, event), seq=event.seq)


def _learn(release: Release, event: e.Event) -> Release:  # one arm per kind of fact
    match event.fact:
        case e.Linted(version=version, plan=plan, risk=risk):
            return replace(release, version=version, plan=Plan.model_validate(plan), risk=risk, reason="")
        case e.Evaluated(stable=stable, verdict=verdict):
            return replace(release, stable=stable, suite_verdict=verdict, reason="")
        case e.Joined(releases=releases):
            return replace(release, group=releases, reason="")
        case e.StageStarted(stage=stage, share=share, salt=salt, stable=stable):
            return replace(
                release, stage=stage, share=share, salt=salt, stable=stable, stage_started_at=event.at, reason=""
            )  # fmt: skip
        case e.Looked() as look:
            return replace(release, looks=look.look, last_look=look)
        case e.ApprovalRequested() as asked:
            return replace(
                release, question=asked.question, question_seq=event.seq, required=asked.required,
                expires_at=asked.expires_at, reason=asked.reason, approvers=(), is_delivered=False, is_escalated=False,
            )  # fmt: skip
        case e.ApprovalAsked() as asked:
            return replace(release, asked=(*release.asked, asked), is_delivered=True)
        case e.Escalated():
            return replace(release, is_escalated=True)
        case e.ApprovalGiven(approver=approver):
            return replace(release, approvers=(*release.approvers, approver))
        case e.Approved(approvers=approvers):
            return replace(release, approvers=approvers)
        case e.Rejected(reason=reason, verdict=verdict):
            return replace(release, reason=reason, suite_verdict=verdict or release.suite_verdict)
        case e.RolledBack(reason=reason, along_with=other) | e.Cancelled(reason=reason, along_with=other):
            return replace(release, reason=reason, share=0.0, along_with=other)
        case e.Failed(reason=reason):
            return replace(release, reason=reason, share=0.0)
        case e.Stumbled(reason=reason) if release.phase in BEFORE_TRAFFIC:
            # Later the reason says why people are asked, or how it ended: that must not be lost.
            return replace(release, reason=reason)
        case e.Paused(reason=reason) if release.paused_at is None:
            return replace(release, paused_at=event.at, paused_by=event.actor, pause_reason=reason)
        case e.Resumed() if release.paused_at is not None:
            return _resumed(release, event.at - release.paused_at)
        case e.Frozen() as freeze:
            return replace(release, freeze=freeze)
        case e.FreezeOverridden(approver=approver):
            return replace(release, freeze=None, through_freezes=approver)
        case e.Superseded(by_release=newer):
            return replace(release, reason=f"superseded by {newer}")
        case e.Promoted():
            return replace(release, share=1.0, reason="")
        case _:
            return release


def _resumed(release: Release, stood_still: timedelta) -> Release:
    """Whoever was asked before the pause has as much time left as he had then."""
    until = release.expires_at + stood_still if release.expires_at is not None else None
    return replace(release, paused_at=None, paused_by="", pause_reason="", expires_at=until)


def fold(history: Iterable[e.Event]) -> Release:
    """The release that these events tell, in order of `seq`. Looks may be left out except the last.

    Raises:
        NotFound: no event at all, or the first is not a request.
    """
    release: Release | None = None
    for event in history:
        release = _opened(event) if release is None else advance(release, event)
    if release is None:
        message = "no such release: the ledger has no event of it"
        raise NotFound(message)
    return release
