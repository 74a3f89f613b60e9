"""Releases that go together or not at all: which ones they are, and when they may make their next move. Pure.

The prompts of a commit form groups: the connected components of what their plans name under `together`, in either direction. Of a
group, those releases belong together whose text at that commit is not what production serves already.

From `Joined` on they stand at the same point of the canary at every moment, because every move of it is one transaction for all:
it begins, advances, asks and is promoted only when nothing is in the way of any of them, and ends for all when it ends for one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from promptship.release.events import Cancelled, Fact, RolledBack
from promptship.release.history import Release
from promptship.release.phase import Phase
from promptship.release.plan import Plan

BEFORE_ANY: Final = frozenset({"first", "unproven"})
"""Questions that take the place of a canary."""


def components(named: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
    """The group of every prompt that names others or is named, from what each names. A group has two prompts or more.

    Who names whom makes no difference: a group is everything that can be reached in either direction.
    """
    group: dict[str, set[str]] = {}
    for name, others in named.items():
        for other in set(others) - {name}:
            merged = group.get(name, {name}) | group.get(other, {other})
            for one in merged:
                group[one] = merged
    return {name: frozenset(members) for name, members in group.items()}


def unequal(one: Plan, other: Plan) -> list[str]:
    """What two plans of a group must have in common and have not: otherwise a unit would get one candidate and not the other."""
    pairs: dict[str, tuple[Any, Any]] = {
        "the shares of `canary.stages`": (_shares(one), _shares(other)),
        "`canary.lease`": (one.canary.lease, other.canary.lease),
        "`canary.holdback`": (one.canary.holdback, other.canary.holdback),
        "`canary.holdback_for`": (one.canary.holdback_for, other.canary.holdback_for),
        "`experiment`": (one.experiment, other.experiment),
        "`on_newer`": (one.on_newer, other.on_newer),
    }
    return [what for what, (here, there) in pairs.items() if here != there]


def _shares(plan: Plan) -> tuple[float, ...]:
    return tuple(stage.share for stage in plan.canary.stages)


def joining(ids: Iterable[str]) -> tuple[str, ...]:
    """What every member's `Joined` says."""
    return tuple(sorted(ids))


def salt_of(release: Release) -> str:
    """Salt of the release's canary: that of its group, so that a unit gets the candidates of all of them or of none."""
    return release.group[0] if release.group else release.id


def is_cleared(release: Release) -> bool:
    """Whether people have agreed to the first stage, which has not begun."""
    return release.phase is Phase.APPROVED and release.question == "traffic"


def before_joining(members: Sequence[Release]) -> str:
    """Why these releases, all that belong together, cannot join yet; empty: they can. Nobody is asked before, and none begins."""
    return _first(
        members,
        lambda one: "" if one.phase is Phase.EVALUATED else f"it has to pass its suites and is {_words(one)}",
    )


def before_traffic(members: Sequence[Release]) -> str:
    """Why the canary of a group that has joined cannot begin; empty: it can, for all."""
    return _first(
        members,
        lambda one: "" if one.phase is Phase.EVALUATED or is_cleared(one) else f"it is {_words(one)}",
    )


def before_stage(members: Sequence[Release], advancing: Collection[str]) -> str:
    """Why a group in its canary cannot leave its stage; empty: every one of `advancing` (ids whose newest verdict says advance) can."""
    stage = max(one.stage or 0 for one in members)

    def obstacle(one: Release) -> str:
        if one.phase is not Phase.CANARY:
            return f"it is {_words(one)}"
        if one.stage != stage:
            return f"it is at stage {(one.stage or 0) + 1}"
        return "" if one.id in advancing else "its canary has not shown enough yet"

    return _first(members, obstacle)


def before_asking(members: Sequence[Release]) -> str:
    """Why nobody can be asked about a canary that came to no verdict; empty: the question is asked for all."""
    return _first(members, lambda one: "" if one.phase is Phase.CANARY else f"it is {_words(one)}")


def before_promotion(members: Sequence[Release]) -> str:
    """Why a group cannot be promoted; empty: all of it can."""

    def obstacle(one: Release) -> str:
        if one.phase is Phase.APPROVED and not is_cleared(one):
            return ""
        return (
            "people have to agree to it" if one.phase is Phase.AWAITING_APPROVAL else f"it is {_words(one)}"
        )

    return _first(members, obstacle)


def waits_for(release: Release, members: Sequence[Release], advancing: Collection[str]) -> str:
    """What keeps a release that could go on by itself; empty: nothing of its group does."""
    others = [one for one in members if one.id != release.id]
    if not others or release.is_paused:
        return ""
    if release.phase is Phase.EVALUATED:
        return before_traffic(others) if release.group else before_joining(others)
    if is_cleared(release):
        return before_traffic(others)
    if release.phase is Phase.CANARY and release.id in advancing:
        return before_stage(members, advancing)
    return before_promotion(others) if release.phase is Phase.APPROVED else ""


def ending_along(member: Release, culprit: Release, fact: Fact, *, version: str | None) -> Fact | None:
    """How a member ends when another of its group does; None: it is over already.

    What is open has no verdict of its own, so it is cancelled and may be released again; a promotion can only be rolled back.
    `version`: what the member's prompt serves then.
    """
    reason = f"goes together with {culprit.prompt}, whose release {culprit.id} {_said(fact)}"
    if member.is_open:
        return Cancelled(reason=reason, along_with=culprit.id)
    if member.phase is Phase.PROMOTED and isinstance(fact, RolledBack):
        return RolledBack(by=fact.by, reason=reason, version=version, along_with=culprit.id)
    return None


def _said(fact: Fact) -> str:
    reason = getattr(fact, "reason", "") or getattr(fact, "by_release", "")
    words = {"failed": "failed"}.get(fact.kind, f"was {fact.kind.replace('_', ' ')}")
    return f"{words}: {reason}" if reason else words


def _first(members: Sequence[Release], obstacle: Callable[[Release], str]) -> str:
    for one in sorted(members, key=lambda member: member.prompt):
        why = "it is paused" if one.is_paused else obstacle(one)
        if why:
            return f"waits for {one.prompt}, with which it goes together: {why}"
    return ""


def _words(release: Release) -> str:
    return release.phase.value.replace("_", " ")
