"""What becomes of a release when one of its steps could not be done: it is tried again, or it fails with the reason."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from promptship.errors import ConfigError, InvalidVariables, NotFound, PromptshipError, Refused, Unavailable
from promptship.lifecycle.app import App
from promptship.lifecycle.ending import end
from promptship.lifecycle.race import rereading
from promptship.lifecycle.steps import ACTOR, DEFAULT_GIVE_UP_S, WAITING, Standing
from promptship.release import events as e
from promptship.release.history import Release
from promptship.release.phase import BEFORE_TRAFFIC, Phase
from promptship.render.redact import redact

FINAL: Final = (ConfigError, InvalidVariables, NotFound, Refused)
"""Files, settings or rights are wrong: the same step would say the same again."""
PAUSE_S_MAX: Final = 900.0
"""A provider may ask for a day of patience; we look again sooner."""


@rereading
def stumble(app: App, release_id: str, *, step: str, error: Exception) -> Standing:
    """Note that a step could not be done. Returns whether the release waits for another try or is over.

    Before its canary a release fails: at once when trying again cannot help, otherwise when it has stumbled for the plan's
    `give_up_after`. Later there is evidence and perhaps traffic, so it waits: for whoever mends it, or until the approval expires.
    """
    release = app.release(release_id)
    if not release.is_open:
        return Standing.OVER
    now = app.clock.now()
    reason = _reason(error)
    if release.phase in BEFORE_TRAFFIC and (isinstance(error, FINAL) or _too_long(app, release, now)):
        fact: e.Fact = e.Failed(reason=f"{step}: {reason}")
        end(app, release, fact, actor=ACTOR)
        return Standing.OVER
    due_at = now + _pause(app, error)
    if release.phase is Phase.AWAITING_APPROVAL and release.expires_at is not None:
        due_at = min(due_at, release.expires_at)
    fact = e.Stumbled(step=step, reason=reason)
    app.ledger.append(release.id, [fact], expected_seq=release.seq, actor=ACTOR, at=now, due_at=due_at)
    return Standing.PARKED


def _reason(error: Exception) -> str:
    """For people. What is not ours may quote anything, prompts and keys too: only its kind is kept."""
    if isinstance(error, PromptshipError):
        return redact(str(error))
    return f"unexpected {type(error).__name__}; the log of the run has the details"


def _pause(app: App, error: Exception) -> timedelta:
    asked_s = error.retry_after_s if isinstance(error, Unavailable) else None
    return timedelta(seconds=min(asked_s or app.settings.watcher.retry_every, PAUSE_S_MAX))


def _too_long(app: App, release: Release, now: datetime) -> bool:
    """Whether it has done nothing but stumble for `give_up_after`. Neither waiting for another release's end nor a pause is stumbling."""
    since: datetime | None = None
    for event in app.ledger.events(release.id, looks=False):
        if not isinstance(event.fact, e.Stumbled):
            starts_anew = isinstance(event.fact, e.Resumed) or e.PHASE_AFTER[event.fact.kind] is not None
            since = None if starts_anew else since
        else:
            since = None if event.fact.step == WAITING else since or event.at
    give_up_s = release.plan.give_up_after if release.plan else DEFAULT_GIVE_UP_S
    return since is not None and now - since > timedelta(seconds=give_up_s)
