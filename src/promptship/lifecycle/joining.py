"""Bringing the releases of a group together before their first traffic: who belongs to it, who is still missing, what people are asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from promptship.lifecycle.app import App
from promptship.lifecycle.ending import end
from promptship.lifecycle.environments import approvers_in
from promptship.lifecycle.groups import latest_at, members
from promptship.lifecycle.opening import open_along
from promptship.lifecycle.risk import approvers_needed, question_before_traffic
from promptship.numbers import plural
from promptship.release.events import Cancelled
from promptship.release.history import Release
from promptship.release.phase import OPEN, Phase
from promptship.release.together import BEFORE_ANY, before_joining, before_traffic, is_cleared

ACTOR: Final = "flow"


@dataclass(frozen=True, slots=True)
class Assembled:
    """The releases that begin with one: itself at least, or what they wait for. Neither: it has just been ended."""

    members: tuple[Release, ...] = ()
    waits: str = ""


def assemble(app: App, release: Release) -> Assembled:
    """Everything that begins its canary with this release, which has passed its suites itself.

    A prompt of its group that nobody has released at its commit is released now, unless production serves that text already. If
    that text was stopped with a verdict of its own, this release cannot go on: it is cancelled.
    """
    if release.group:
        group = members(app, release)
        return Assembled(group) if not (waits := before_traffic(group)) else Assembled(waits=waits)
    if is_cleared(release):
        return Assembled((release,))
    group = (release,)
    for prompt in release.together:
        summary = latest_at(app, prompt, release.commit)
        if summary is None or summary.phase not in OPEN:
            opened = open_along(app, release, prompt)
            if opened is None:
                continue
            other = app.release(opened)
        else:
            other = app.release(summary.id)
        if not other.is_open:
            _cancel(app, release, other)
            return Assembled()
        if other.group:
            return Assembled(
                waits=f"waits for release {other.id} of {prompt}, which went on without this one, to end"
            )
        group = (*group, other)
    waits = before_joining(group)
    return Assembled(waits=waits) if waits and len(group) > 1 else Assembled(group)


def _cancel(app: App, release: Release, other: Release) -> None:
    ended = f"release {other.id} of that text is {other.phase.value.replace('_', ' ')}"
    why = f": {other.reason}" if other.reason and other.phase is not Phase.PROMOTED else ""
    reason = f"goes together with {other.prompt} as it is at this commit, and {ended}{why}"
    end(app, release, Cancelled(reason=reason, along_with=other.id), actor=ACTOR)


def questions(app: App, group: tuple[Release, ...]) -> dict[str, tuple[str, str]]:
    """(question, why) that people have to answer before the first traffic, by release; empty: there is none.

    When one of them can have no canary, none has: their candidates serve the same share at every moment.
    """
    found = ((one.id, question_before_traffic(one, app.routes.get(one.prompt))) for one in group)
    asked = {one: question for one, question in found if question is not None}
    without = next((one for one in group if one.id in asked and asked[one.id][0] in BEFORE_ANY), None)
    if without is None:
        return asked
    along = "unproven", f"goes together with {without.prompt}, which has no canary: {asked[without.id][1]}"
    return {
        one.id: asked[one.id] if one.id in asked and asked[one.id][0] in BEFORE_ANY else along
        for one in group
    }


def nobody_to_ask(app: App, release: Release, question: str, reason: str) -> str:
    """Why a question could not be answered by anybody; empty: it could."""
    needed, there = approvers_needed(release, question), approvers_in(app.settings, release.prompt)
    if there >= needed:
        return ""
    advice = "add [[approvers]]"
    if question == "first":
        advice += ", or make what production serves already stable with `promptship adopt`"
    configured = "nobody is" if there == 0 else f"only {there} of them {'is' if there == 1 else 'are'}"
    return f"{reason}; {plural(needed, 'approver')} must agree and {configured} configured; {advice}"
