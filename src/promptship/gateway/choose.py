"""Which version serves a call. Pure: the table, who asks, and whether the lease lives."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from promptship.gateway.rejection import Rejection, unknown_model
from promptship.routing.observation import Arm
from promptship.routing.split import takes_candidate
from promptship.routing.table import Route, Split


@dataclass(frozen=True, slots=True)
class Choice:
    """The decision, as the observation and the answer's headers tell it.

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


def choose(route: Route | None, *, prompt: str, pin: str, unit: str, leased: bool) -> Choice | Rejection:
    """The candidate exactly when a live lease, a named unit and the unit's bucket say so; else the stable version.

    A pinned call gets the pinned version or 404, never another one, and is outside the experiment.
    """
    if route is None or route.stable is None:
        return unknown_model(f"no version of the prompt {prompt!r} has been released")
    if pin:
        return _pinned(route, pin)
    split = route.split
    if split is None or not leased or not unit:
        return Choice(route.prompt, route.stable, "stable")
    hidden = hashlib.sha256(f"{split.salt}:{unit}".encode()).hexdigest()[:16]
    if takes_candidate(split.salt, unit, split.share):
        return _randomised(route, split, split.candidate, "candidate", hidden, route.stable)
    return _randomised(route, split, route.stable, "stable", hidden, split.candidate)


def _randomised(route: Route, split: Split, version: str, arm: Arm, unit: str, other: str) -> Choice:
    return Choice(route.prompt, version, arm, split.release_id, split.stage, unit, other)


def _pinned(route: Route, pin: str) -> Choice | Rejection:
    arms: list[tuple[Arm, str | None]] = [("stable", route.stable)]
    if route.split is not None:
        arms.append(("candidate", route.split.candidate))
    found = {version: arm for arm, version in reversed(arms) if version and version.startswith(pin)}
    if len(found) != 1:
        what = "is ambiguous" if found else "is not being served now"
        return unknown_model(
            f"version {pin} of the prompt {route.prompt!r} {what}; no other version is served for it"
        )
    ((version, arm),) = found.items()
    return Choice(route.prompt, version, arm)
