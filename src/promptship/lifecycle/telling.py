"""What people are told: the question when a release needs them, and how it ended. Posts cannot be taken back.

So nothing here is repeated because somebody else wrote to the ledger in the meantime: only the note that a thing was said is.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from promptship.errors import PromptshipError, Unavailable
from promptship.lifecycle.app import App
from promptship.lifecycle.cards import page_of, question_card, settled_card
from promptship.lifecycle.groups import fellows
from promptship.lifecycle.onward import pass_on
from promptship.lifecycle.race import rereading
from promptship.lifecycle.reconcile import nudge
from promptship.lifecycle.steps import ACTOR, WAITING, Standing, standing_of
from promptship.lifecycle.working_hours import after, opens
from promptship.numbers import moment, plural
from promptship.ports import Card
from promptship.release import events as e
from promptship.release.history import Release
from promptship.release.phase import Phase

_log = logging.getLogger(__name__)

TELL_FOR: Final = timedelta(hours=1)
"""An ending that nobody could be told of for so long is left untold: the ledger has it."""
_AFTER_ASKING: Final = frozenset({Phase.APPROVED})


def ask(app: App, release_id: str) -> Standing:
    """Deliver the approval card once, in working hours; then wait for people, and after a while tell others."""
    release = app.release(release_id)
    if release.phase is not Phase.AWAITING_APPROVAL or release.is_paused:
        return standing_of(release, beyond=_AFTER_ASKING)
    if release.is_delivered:
        return _escalate(app, release)
    opening = opens(app.settings.approval.working_hours, app.clock.now())
    if opening > app.clock.now():
        return _ask_later(app, release_id, opening)
    channel, reference = app.approvals.ask(question_card(app, release))
    standing = _note_asked(app, release_id, e.ApprovalAsked(channel=channel, reference=reference))
    _settle(app, release)
    return standing


def _settle(app: App, release: Release) -> None:
    """Take the buttons off the cards of earlier questions; a click there would be refused."""
    for asked in release.asked:
        try:
            app.approvals.update(asked.channel, asked.reference, settled_card(app, release))
        except PromptshipError as error:
            _log.warning("an earlier card of release %s keeps its buttons: %s", release.id, error)


@rereading
def _note_asked(app: App, release_id: str, fact: e.ApprovalAsked) -> Standing:
    """Keep where the card stands, whatever happened while it was on its way: otherwise its buttons would stay for ever."""
    release = app.release(release_id)
    waits = release.phase is Phase.AWAITING_APPROVAL
    app.ledger.append(
        release.id, [fact], expected_seq=release.seq, actor=ACTOR, at=app.clock.now(),
        due_at=_due_after_asking(app, release), keep_due=not waits,
    )  # fmt: skip
    return standing_of(release, beyond=_AFTER_ASKING)


@rereading
def _ask_later(app: App, release_id: str, opening: datetime) -> Standing:
    """Wait for working hours; people who look by themselves may decide before."""
    release = app.release(release_id)
    if release.phase is not Phase.AWAITING_APPROVAL or release.is_delivered:
        return standing_of(release, beyond=_AFTER_ASKING)
    fact = e.Stumbled(step=WAITING, reason=f"people are asked in working hours, from {moment(opening)}")
    app.ledger.append(
        release.id, [fact], expected_seq=release.seq, actor=ACTOR, at=app.clock.now(), due_at=opening
    )
    return Standing.PARKED


def _due_after_asking(app: App, release: Release) -> datetime | None:
    """When others are to be told, or when the question expires."""
    at = _escalates_at(app, release)
    if at is None or (release.expires_at is not None and release.expires_at <= at):
        return release.expires_at
    return at


def _escalates_at(app: App, release: Release) -> datetime | None:
    """When nobody has decided for too long; None: never. Counted from the question, not from its delivery."""
    rules = app.settings.approval
    if not rules.escalate_after or release.is_escalated:
        return None
    return after(rules.working_hours, release.moved_at, rules.escalate_after)


def _escalate(app: App, release: Release) -> Standing:
    """Tell others, once, that a question waits too long. Rather once to some of them than twice to all.

    Raises:
        Unavailable: nobody could be told; the release stays due.
    """
    at = _escalates_at(app, release)
    if at is not None and app.clock.now() >= at:
        told = _tell_others(app, release)
        _note_escalated(app, release.id, e.Escalated(to=told))
    return standing_of(release, beyond=_AFTER_ASKING)


def _tell_others(app: App, release: Release) -> tuple[str, ...]:
    missing = release.required - len(release.approvers)
    page = page_of(app, release.id)
    text = (
        f"{release.prompt}: a release waits for {plural(missing, 'approver')} since {moment(release.moved_at)}; "
        f"it expires {moment(release.expires_at)}. {page or f'promptship release show {release.id}'}"
    )
    told: list[str] = []
    for place in app.settings.approval.escalate_to:
        try:
            app.approvals.tell(place, text)
            told.append(place)
        except PromptshipError as error:
            _give_up_on(release, error, may_wait=not told)
    return tuple(told)


@rereading
def _note_escalated(app: App, release_id: str, fact: e.Escalated) -> None:
    release = app.release(release_id)
    waits = release.phase is Phase.AWAITING_APPROVAL
    app.ledger.append(
        release.id, [fact], expected_seq=release.seq, actor=ACTOR, at=app.clock.now(),
        due_at=release.expires_at, keep_due=not waits,
    )  # fmt: skip


def conclude(app: App, release_id: str) -> Phase:
    """Wake the next release of the prompt, pass a promotion on, and tell how it ended. Open releases are left alone.

    Raises:
        Unavailable: nobody could be told yet; the release stays due.
    """
    release = app.release(release_id)
    if release.is_open or _is_told(app, release_id):
        return release.phase
    # The next one does not wait until Slack is up again.
    for waiting in app.ledger.summaries(prompt=release.prompt, phases=frozenset({Phase.REQUESTED})):
        nudge(app, waiting.id)
    # Nor does one that waited for what this release turned out not to change.
    for waits in fellows(app, release):
        if waits.phase is Phase.EVALUATED:
            nudge(app, waits.id)
    pass_on(app, release)
    _tell(app, release)
    _note_told(app, release)
    return release.phase


def _is_told(app: App, release_id: str) -> bool:
    """Whether the last ending was told: a promotion that was told can still be rolled back."""
    facts = [event.fact for event in app.ledger.events(release_id, looks=False)]
    kinds = [fact.kind for fact in facts if fact.kind == "concluded" or e.PHASE_AFTER[fact.kind] is not None]
    return kinds[-1] == "concluded"


@rereading
def _note_told(app: App, told: Release) -> None:
    release = app.release(told.id)
    if release.phase is not told.phase or _is_told(app, told.id):
        return  # rolled back while its promotion was told: that is another ending, and due
    app.ledger.append(
        release.id, [e.Concluded()], expected_seq=release.seq, actor=ACTOR, at=app.clock.now(), due_at=None
    )


def _tell(app: App, release: Release) -> None:
    """Edit the cards, then post the notices. A notice is rather lost than posted twice.

    Raises:
        Unavailable: nothing was posted, and it is early enough to try again.
    """
    may_wait = app.clock.now() - (release.ended_at or release.moved_at) < TELL_FOR
    card = settled_card(app, release)
    for asked in release.asked:
        try:
            app.approvals.update(asked.channel, asked.reference, card)
        except PromptshipError as error:
            _give_up_on(release, error, may_wait=may_wait)
    posted = False
    for channel in _channels(release):
        try:
            app.approvals.tell(channel, _notice(card))
            posted = True
        except PromptshipError as error:
            _give_up_on(release, error, may_wait=may_wait and not posted)


def _channels(release: Release) -> list[str | None]:
    """Where a notice goes: the plan's channels, and the configured one unless a card stands there already."""
    configured: list[str | None] = [] if release.asked else [None]
    return [*configured, *(release.plan.notify if release.plan else ())]


def _notice(card: Card) -> str:
    return card.title + (f": {card.outcome}" if card.outcome else "")


def _give_up_on(release: Release, error: PromptshipError, *, may_wait: bool) -> None:
    """What is down is worth another try; a wrong token or channel is not: it would keep the release from ever being over."""
    if may_wait and isinstance(error, Unavailable):
        raise error
    _log.warning("release %s was not told of everywhere: %s", release.id, error)
