"""Which version serves a call: one decision for gateway, clients and OFREP. Pure: the route, who asks, whether the lease lives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from promptship.routing.eligibility import NOTHING, Attributes, Decision, eligible
from promptship.routing.observation import Arm
from promptship.routing.split import place, within
from promptship.routing.table import Route, Split, as_served

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
    """The version of the other arm, inside an experiment."""
    decision: Decision = Decision.NONE
    """Why the request is in the experiment or outside it; empty when there is none."""
    disclosure: str = ""
    """What everybody in the experiment is told, in either arm."""


@dataclass(frozen=True, slots=True)
class Unserved:
    """Nothing may serve this call. `why` is a sentence for people; it quotes nobody but the one who asked."""

    why: str


def choose(
    route: Route | None, *, prompt: str, pin: str, unit: str, leased: bool, attributes: Attributes = NOTHING
) -> Choice | Unserved:
    """The candidate exactly when a live lease, a named unit, the policy and the unit's bucket say so; else the stable version.

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
    hidden = f"{where:016x}"
    if within(where, split.share):
        return _randomised(route, split, split.candidate, "candidate", hidden, route.stable)
    return _randomised(route, split, route.stable, "stable", hidden, split.candidate)


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
