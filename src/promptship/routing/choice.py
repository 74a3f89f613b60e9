"""Which version serves a call: one decision for gateway, clients and OFREP. Pure: the route, who asks, whether the lease lives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from promptship.routing.eligibility import NOTHING, Attributes, Decision, eligible
from promptship.routing.observation import Arm
from promptship.routing.split import part_place, place, within
from promptship.routing.table import Part, Route, Split, as_served

UNIT_CHARACTERS_MAX: Final = 512
"""Longest name of a unit."""


class Choice(NamedTuple):
    """The decision, as the observation and the answer's headers tell it. A tuple: one is made for every request.

    `release` and `stage` are set only for a unit that was randomised under a live lease.
    """

    prompt: str
    version: str
    arm: Arm
    release: str | None = None
    stage: int | None = None
    unit: str | None = None
    """sha256(salt, unit)[:16] inside an experiment; outside there is no salt to hide a name with, so nothing is kept."""
    other: str | None = None
    """The version of the other arm, inside an experiment; of several arms the control's, for the control the first of the others."""
    decision: Decision = Decision.NONE
    """Why the request is in the experiment or outside it; empty when there is none."""
    disclosure: str = ""
    """What everybody in the experiment is told, in either arm."""
    variant: str = ""
    """Name of the arm, in an experiment with several: to those who count it is `arm`, its role, and `stage`, its number."""


@dataclass(frozen=True, slots=True)
class Unserved:
    """Nothing may serve this call. `why` is a sentence for people; it quotes nobody but the one who asked."""

    why: str


def choose(
    route: Route | None, *, prompt: str, pin: str, unit: str, leased: bool, attributes: Attributes = NOTHING
) -> Choice | Unserved:
    """The candidate exactly when a live lease, a named unit, the policy and the unit's bucket say so; else the stable version.

    In an experiment with several arms the bucket says whether the unit takes part, and the next digits of its place which arm it
    has. In a holdback the candidate is stable already, and who would not get it has the version before.
    A pinned call gets the pinned version or nothing, never another one, and is outside the experiment. With the kill switch on
    only its version serves.

    Args:
        route: the prompt's; None: there is none.
        prompt: its name, for the refusal.
        pin: prefix of the digest that must serve, or empty.
        unit: who is randomised, or empty.
        leased: whether the split's lease still runs on the caller's own clock.
        attributes: what the request says of itself, for the policy.
    """
    if route is None or route.stable is None:
        return Unserved(f"no version of the prompt {prompt!r} has been released")
    if pin:
        return _pinned(route, pin)
    if route.killed is not None:
        return Choice(route.prompt, route.killed, "stable", decision=Decision.KILLED)
    split = route.split
    if split is None:
        return Choice(route.prompt, route.stable, "stable")
    decision = _decision(split, unit, attributes, leased=leased)
    if decision is not Decision.IN:
        return Choice(route.prompt, route.stable, "stable", decision=decision)
    where = place(split.salt, unit)  # the hash of the unit's name and its bucket, from one digest
    if split.arms:
        return _of_arms(route, route.stable, split, where)
    hidden = f"{where:016x}"
    other = split.held or route.stable
    if within(where, split.share):
        return _randomised(route, split, split.candidate, "candidate", hidden, other)
    return _randomised(route, split, other, "stable", hidden, split.candidate)


def _of_arms(route: Route, stable: str, split: Split, where: int) -> Choice:
    if not within(where, split.share):
        return Choice(route.prompt, stable, "stable", decision=Decision.NOT_DRAWN)
    number, part = arm_of(split.arms, where)
    control = split.arms[0]
    if part.dropped:
        return Choice(route.prompt, control.version, "stable", decision=Decision.DROPPED)
    other = control if number else split.arms[1]
    disclosure = split.policy.disclosure if split.policy is not None else ""
    return Choice(
        route.prompt, part.version, "candidate" if number else "stable", split.release_id, number, f"{where:016x}",
        other.version, Decision.IN, disclosure, part.name,
    )  # fmt: skip


def arm_of(arms: Sequence[Part], where: int) -> tuple[int, Part]:
    """Number and arm of the unit whose place (`split.place`) this is."""
    at = part_place(where)
    return next((number, part) for number, part in enumerate(arms) if at < part.upto)


def _decision(split: Split, unit: str, attributes: Attributes, *, leased: bool) -> Decision:
    if not leased:
        return Decision.LAPSED
    return eligible(split.policy, attributes) if unit else Decision.NO_UNIT


def _randomised(route: Route, split: Split, version: str, arm: Arm, unit: str, other: str) -> Choice:
    disclosure = split.policy.disclosure if split.policy is not None else ""
    return Choice(
        route.prompt, version, arm, split.release_id, split.stage, unit, other, Decision.IN, disclosure
    )


def _pinned(route: Route, pin: str) -> Choice | Unserved:
    route = as_served(route)
    arms: list[tuple[Arm, str | None]] = [("stable", route.stable)]
    if route.split is not None:
        arms.append(("candidate", route.split.candidate))
        arms.append(("stable", route.split.held))
        arms += [
            ("candidate" if number else "stable", part.version)
            for number, part in enumerate(route.split.arms)
        ]
    found = {version: arm for arm, version in reversed(arms) if version and version.startswith(pin)}
    if len(found) != 1:
        what = "is ambiguous" if found else "is not being served now"
        return Unserved(
            f"version {pin} of the prompt {route.prompt!r} {what}; no other version is served for it"
        )
    ((version, arm),) = found.items()
    decision = Decision.NONE if route.split is None else Decision.PINNED
    if route.killed is not None:
        decision = Decision.KILLED
    return Choice(route.prompt, version, arm, decision=decision)
