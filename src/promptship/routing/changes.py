"""What changes a route, and what is remembered of a change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from promptship.release.policy import Experiment
from promptship.routing.table import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteChange:
    """A change of one prompt's route, applied in the same transaction as the events that explain it.

    `expected_revision` is the route's revision the change was decided on (0: the prompt has no route yet).
    """

    prompt: str
    expected_revision: int
    stable: str | None
    commit: str
    """Commit of the stable version."""
    release_id: str | None = None
    candidate: str | None = None
    stage: int | None = None
    share: float = 0.0
    salt: str = ""
    lease_until: datetime | None = None
    policy: Experiment | None = None
    """Who may get the candidate; None: everybody."""
    held: str | None = None
    """Holdback: the version before, for the units beyond `share`; the candidate is the stable version then."""
    experiment: str | None = None
    """Id of the experiment whose `arms` these are; then there is no release, candidate or stage."""
    arms: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRecord:
    """One change of a prompt's route: what serves since, and who changed it why."""

    revision: int
    at: datetime
    stable: str | None
    """Version digest that serves everybody outside the canary since."""
    previous: str | None
    """Stable digest before; the same as `stable` when only the canary changed."""
    candidate: str | None
    """Version digest in canary since; None: no canary."""
    share: float
    release_id: str | None
    """Release whose events explain the change; None: adopted without a release."""
    actor: str
    reason: str
    killed: str | None = None
    """Version digest that the kill switch serves since, instead of all others; None: it is off."""
    held: str | None = None
    """Version digest that is held back for some since; None: no holdback."""
    experiment: str | None = None
    """Experiment that runs since; None: none."""
    arms: tuple[Part, ...] = ()
    """Its arms."""
    hash: str = ""
    """Of this change in the chain of the prompt's changes; empty where there is no chain."""
