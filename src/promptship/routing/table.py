"""Where traffic of each prompt goes: immutable, revisioned, the same in ledger, control plane and gateways."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from promptship.release.policy import Experiment
from promptship.routing.sampling import Sampling


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Split(_Wire):
    """A running canary of one prompt."""

    release_id: str
    candidate: str
    """Version digest."""
    stage: int
    share: float = Field(ge=0, le=1)
    salt: str
    lease_s: float = Field(default=0.0, ge=0)
    """Seconds of the watcher's lease that are left *at the time of sending*; relative, so clocks need not agree. 0: lapsed."""
    policy: Experiment | None = None
    """Who may take part; None: everybody. It changes only with the stage, in the same transaction."""


class Route(_Wire):
    """The route of one prompt. `revision` grows with every change; a gateway never goes back to a smaller one."""

    prompt: str
    revision: int
    stable: str | None
    """Version digest that serves everybody outside the canary; None: the prompt has never been released (404)."""
    commit: str = ""
    split: Split | None = None
    killed: str | None = None
    """Digest that the kill switch serves to everybody; None: it is off. In a table, `stable` is this digest then: see `as_served`."""


def as_served(route: Route) -> Route:
    """The route as it is told to those who serve: with the kill switch on, its version is all there is."""
    if route.killed is None:
        return route
    return route.model_copy(update={"stable": route.killed, "split": None})


def digests(route: Route) -> set[str]:
    """Every version that the route names."""
    candidate = route.split.candidate if route.split is not None else None
    return {one for one in (route.stable, candidate) if one is not None}


class Version(_Wire):
    """The content behind a digest, as `promptship.prompts.digest.canonical` made it."""

    digest: str
    commit: str
    content: dict[str, Any]


class RoutingTable(_Wire):
    """Everything a gateway needs to serve. `revision` is the largest of its routes'."""

    revision: int
    routes: dict[str, Route] = Field(default_factory=dict)
    versions: dict[str, Version] = Field(default_factory=dict)
    """Every digest that any route names."""
    sampling: dict[str, Sampling] = Field(default_factory=dict)
    """By prompt: which answers are handed on to be scored. A prompt without checks is absent."""
