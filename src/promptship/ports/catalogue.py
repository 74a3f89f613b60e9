"""Which models a provider has, and how a change is proposed to those who own the prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """A model as its provider lists it. What the provider does not say is None."""

    name: str
    """What it is called by."""
    created: datetime | None = None
    shuts_down_on: date | None = None
    """Announced: the first day on which calls fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A provider's whole list."""

    provider: str
    models: Sequence[ListedModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlisted:
    """There is no list: not the same as an empty one."""

    provider: str
    reason: str


class Catalogue(Protocol):
    """The lists of the configured providers."""

    async def listing(self, provider: str) -> Listed | Unlisted:
        """Every model that a provider (a key of `[providers]`) lists.

        Raises:
            Unavailable: it does not answer, or with something that is no list.
            Refused: it does not accept the key.
            ConfigError: it is not configured, or its key is not set.
        """
        ...

    async def aclose(self) -> None:
        """Close connections, before the event loop that made them ends."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A branch that waits for a person to merge it."""

    branch: str
    commit: str
    pushed_to: str
    """Name of the remote that has it, too; empty: it is here only."""


class Proposals(Protocol):
    """Writes a branch with changed files. It never touches a branch that is released from, a tag, or a working directory."""

    def propose(
        self, branch: str, *, base: str, files: Mapping[str, bytes], message: str, author: str, at: datetime
    ) -> Proposed:
        """One commit on top of commit `base`, on a new branch, with these whole files; pushed when there is a remote.

        The same again is the same branch: proposed twice, it is there once. `author` is an e-mail address.

        Raises:
            NotFound: no commit `base`, or no such file in it.
            Conflict: a branch of this name holds something else.
            Unavailable: the remote does not take it; the branch is here, and asking again pushes it.
        """
        ...
