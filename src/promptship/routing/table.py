"""Where traffic of each prompt goes: immutable, revisioned, the same in ledger, control plane and gateways."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


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


class Route(_Wire):
    """The route of one prompt. `revision` grows with every change; a gateway never goes back to a smaller one."""

    prompt: str
    revision: int
    stable: str | None
    """Version digest that serves everybody outside the canary; None: the prompt has never been released (404)."""
    commit: str = ""
    split: Split | None = None


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
