"""Where traffic of each prompt goes: immutable, revisioned, the same in ledger, control plane and gateways."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from promptship.release.policy import Experiment
from promptship.routing.sampling import Sampling
from promptship.routing.split import BUCKETS


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Part(_Wire):
    """One arm of an experiment. Its number in `Split.arms` is the stage it is counted under; number 0 is the control."""

    name: str
    version: str
    """Digest."""
    upto: int = Field(ge=1, le=BUCKETS)
    """End of its part of 0..9,999 (`promptship.routing.split.limits`)."""
    dropped: bool = False
    """Its units get the control's version, outside the experiment: what they have seen would colour the control."""


class Split(_Wire):
    """What of a prompt's traffic is randomised: a canary, an experiment (`arms`), or a holdback after a promotion (`held`)."""

    release_id: str
    """Of the release, or of the experiment."""
    candidate: str
    """Version digest; empty in an experiment, whose versions stand in `arms`."""
    stage: int
    share: float = Field(ge=0, le=1)
    """Of units: who gets the candidate, or takes part in the experiment."""
    salt: str
    lease_s: float = Field(default=0.0, ge=0)
    """Seconds of the watcher's lease that are left *at the time of sending*; relative, so clocks need not agree. 0: lapsed."""
    policy: Experiment | None = None
    """Who may take part; None: everybody. It changes only with the stage, in the same transaction."""
    arms: tuple[Part, ...] = ()
    """Of an experiment, the control first."""
    held: str | None = None
    """Holdback: digest of the version before, which serves the units beyond `share`; the candidate is stable already."""

    @property
    def is_canary(self) -> bool:
        """Whether a release is being tried: no experiment, no holdback."""
        return not self.arms and self.held is None


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
    split = route.split
    tried = () if split is None else (split.candidate, split.held, *(part.version for part in split.arms))
    return {one for one in (route.stable, *tried) if one}


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
