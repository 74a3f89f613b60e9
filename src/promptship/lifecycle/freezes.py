"""Freezes: times in which nothing gets more traffic. From the settings, and those that a person began and ends.

Whether a freeze covers a place at a moment is a pure question. What it keeps from happening is a stage that begins, a promotion, and a
holdback that ends; what takes traffic away, and everything that only looks or asks, goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Final

from promptship.errors import NotFound, Refused
from promptship.lifecycle.app import App
from promptship.lifecycle.approvers import identify
from promptship.lifecycle.environments import called, environment_of, rules_of
from promptship.lifecycle.groups import members
from promptship.lifecycle.race import rereading
from promptship.lifecycle.reconcile import nudge
from promptship.ports import ReleaseSummary
from promptship.release.environment import parse
from promptship.release.events import FreezeOverridden, Frozen
from promptship.release.history import Release
from promptship.release.phase import OPEN, Phase
from promptship.render.redact import redact
from promptship.settings import FreezeSettings
from promptship.settings.environments import Weekly

TOPIC: Final = "freeze:"
ON, OFF = "on", "off"
LOOK_AGAIN_S: Final = 3600.0
"""How often a release looks whether a freeze without an end is over. Whoever ends it wakes the release."""
_WINDOWS_MAX: Final = 1000
_STEPS_MAX: Final = 400
_HELD_BACK: Final = frozenset({Phase.EVALUATED, Phase.APPROVED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """One freeze, whoever made it."""

    name: str
    reason: str = ""
    environments: tuple[str, ...] = ()
    """Names; none: all."""
    prompts: tuple[str, ...] = ()
    """Globs; none: all."""
    since: datetime | None = None
    until: datetime | None = None
    weekly: Weekly | None = None
    by: str = ""
    """Actor who began it; empty: the settings."""


@dataclass(frozen=True, slots=True)
class Covered:
    """A moment that a freeze covers."""

    freeze: Freeze
    until: datetime | None
    """When this freeze, or all of them, cover it no more; None: nobody can say."""


def covers(freeze: Freeze, environment: str, prompt: str, at: datetime) -> Covered | None:
    """Whether this freeze covers a prompt in an environment (its name) at a moment, and until when."""
    if freeze.environments and environment not in freeze.environments:
        return None
    if freeze.prompts and not any(fnmatchcase(prompt, glob) for glob in freeze.prompts):
        return None
    return is_on(freeze, at)


def is_on(freeze: Freeze, at: datetime) -> Covered | None:
    """Whether its time is now, and until when."""
    if (freeze.since is not None and at < freeze.since) or (freeze.until is not None and at >= freeze.until):
        return None
    if freeze.weekly is None:
        return Covered(freeze, freeze.until)
    ends = freeze.weekly.until(at)
    if ends is None:
        return None
    return Covered(freeze, ends if freeze.until is None else min(ends, freeze.until))


def covered(freezes: Sequence[Freeze], environment: str, prompt: str, at: datetime) -> Covered | None:
    """The first freeze that covers the moment, with the time when none does any more; None: it may have more traffic."""

    def those(moment: datetime) -> list[Covered]:
        return [one for freeze in freezes if (one := covers(freeze, environment, prompt, moment)) is not None]

    now = those(at)
    if not now:
        return None
    first, moment = now[0].freeze, at
    for _ in range(_STEPS_MAX):
        ends = [one.until for one in now]
        if None in ends:
            return Covered(first, None)
        moment = max(end for end in ends if end is not None)
        now = those(moment)
        if not now:
            return Covered(first, moment)
    return Covered(first, None)


def freezes(app: App) -> list[Freeze]:
    """Every freeze there is: the settings', and those that a person began and nobody has ended."""
    return [*map(_from_settings, app.settings.freezes), *_begun(app)]


def in_force(app: App) -> list[Covered]:
    """The freezes whose time is now, wherever they hold, each with its own end."""
    return [one for freeze in freezes(app) if (one := is_on(freeze, app.clock.now())) is not None]


def held_back(app: App, summaries: Sequence[ReleaseSummary]) -> frozenset[str]:
    """Ids of these releases that a freeze keeps from more traffic."""
    if not freezes(app):
        return frozenset()
    open_ones = (one.id for one in summaries if one.phase in OPEN)
    return frozenset(one for one in open_ones if app.release(one).freeze is not None)


def freeze_of(app: App, release: Release) -> Frozen | None:
    """What keeps a release, or one that goes together with it, from more traffic now; None: nothing, or approvers let them go on."""
    held = (one for one in members(app, release) if not one.through_freezes)
    return next((found for one in held if (found := frozen(app, one.prompt)) is not None), None)


def frozen(app: App, route: str) -> Frozen | None:
    """What keeps a route from more traffic now."""
    place = parse(route)
    known = freezes(app)
    environment = called(app.settings, place.environment)
    found = covered(known, environment, place.prompt, app.clock.now()) if known else None
    if found is None:
        return None
    reason = f"freeze {found.freeze.name}" + (f": {found.freeze.reason}" if found.freeze.reason else "")
    return Frozen(reason=reason, until=found.until)


@rereading
def begin(app: App, freeze: Freeze, *, actor: str) -> None:
    """Begin a freeze now.

    Raises:
        ConfigError: an environment of it does not exist.
        Refused: one of that name is on, or stands in the settings.
    """
    for name in freeze.environments:
        environment_of(app.settings, name)
    if any(one.name == freeze.name for one in freezes(app)):
        raise Refused(f"there is a freeze {freeze.name} already; end it, or give this one another name")
    entries = app.journal.entries(f"{TOPIC}{freeze.name}", limit=1)
    data: dict[str, Any] = {
        "reason": redact(freeze.reason), "environments": list(freeze.environments), "prompts": list(freeze.prompts),
        "until": freeze.until.isoformat() if freeze.until else None,
    }  # fmt: skip
    app.journal.keep(
        f"{TOPIC}{freeze.name}", ON, data, actor=actor, at=app.clock.now(), expected_seq=entries[0].seq if entries else -1
    )  # fmt: skip


def end_freeze(app: App, name: str, *, actor: str, reason: str = "") -> int:
    """End a freeze that a person began, and wake the releases that wait; returns how many.

    Raises:
        NotFound: no such freeze is on. One of the settings ends by its time, or when the settings change.
    """
    entries = app.journal.entries(f"{TOPIC}{name}", limit=1)
    if not entries or entries[0].kind != ON:
        known = ", ".join(one.name for one in _begun(app)) or "none"
        raise NotFound(f"no freeze {name} that a person began is on; on: {known}")
    app.journal.keep(
        f"{TOPIC}{name}", OFF, {"reason": redact(reason)}, actor=actor, at=app.clock.now(), expected_seq=entries[0].seq
    )  # fmt: skip
    woken = 0
    for summary in app.ledger.summaries(phases=_HELD_BACK, limit=10_000):
        release = app.release(summary.id)
        if release.freeze is not None and freeze_of(app, release) is None:
            nudge(app, summary.id)
            woken += 1
    return woken


def override(app: App, release_id: str, *, who: str, reason: str) -> Release:
    """Let a release go on in freezes, and wake it.

    Raises:
        NotFound: no such release.
        Refused: `who` is no approver there, there is no reason, or the release is over.
    """
    release = _override(app, release_id, who=who, reason=reason)
    nudge(app, release_id)
    return release


@rereading
def _override(app: App, release_id: str, *, who: str, reason: str) -> Release:
    release = app.release(release_id)
    approver = identify(app, who)
    if approver is None:
        raise Refused(
            f"{who} is not a configured approver: only an approver may let a release go on in a freeze"
        )
    if not may_approve_in(app, release.prompt, approver.name):
        raise Refused(f"{approver.name} is no approver of that environment")
    if not reason.strip():
        raise Refused("say why it must go on in a freeze: --reason")
    if not release.is_open:
        raise Refused(f"release {release.id} is {release.phase}: it has ended already")
    if release.through_freezes:
        return release
    fact, now = FreezeOverridden(approver=approver.name, reason=redact(reason)), app.clock.now()
    # Due at once, unless people or another release are waited for: then nothing is to be done now.
    app.ledger.append(
        release.id, [fact], expected_seq=release.seq, actor=f"person:{approver.name}", at=now,
        due_at=now, keep_due=release.phase not in _HELD_BACK,
    )  # fmt: skip
    return app.release(release_id)


def may_approve_in(app: App, route: str, approver: str) -> bool:
    """Whether the settings let this approver say yes in the environment of a route."""
    subset = rules_of(app.settings, route).approvers
    return subset is None or approver in subset


def _from_settings(one: FreezeSettings) -> Freeze:
    return Freeze(
        name=one.name, reason=one.reason, environments=one.environments, prompts=one.prompts, since=one.since,
        until=one.until, weekly=one.weekly,
    )  # fmt: skip


def _begun(app: App) -> list[Freeze]:
    found = []
    now = app.clock.now()
    for topic in app.journal.topics(TOPIC, limit=_WINDOWS_MAX):
        (newest,) = app.journal.entries(topic, limit=1)
        if newest.kind != ON:
            continue
        until = datetime.fromisoformat(newest.data["until"]) if newest.data["until"] else None
        if until is not None and until <= now:
            continue
        freeze = Freeze(
            name=topic.removeprefix(TOPIC), reason=newest.data["reason"], environments=tuple(newest.data["environments"]),
            prompts=tuple(newest.data["prompts"]), since=newest.at, until=until, by=newest.actor,
        )  # fmt: skip
        found.append(freeze)
    return found
