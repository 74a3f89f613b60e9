"""Time, models, the Git repository, and those who start runs and tell of routes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from promptship.chat import ChatAnswer, ChatRequest
from promptship.routing.table import RoutingTable


class Clock(Protocol):
    """Time, so that tests own it."""

    def now(self) -> datetime:
        """Wall time, timezone-aware UTC."""
        ...


class Models(Protocol):
    """Language models behind the configured providers."""

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """One answer.

        Raises:
            Unavailable: no answer, 429, 5xx, timeout, malformed body.
            Refused: 401 or 403; trying again cannot help.
            ConfigError: no provider is configured for the model, or 4xx: the request itself is wrong.
        """
        ...

    async def embed(self, model: str, texts: Sequence[str]) -> tuple[Sequence[Sequence[float]], int]:
        """One vector per text, and how many tokens were read (0: not said). Raises as `complete`."""
        ...

    async def moderate(self, model: str, asked: str, said: str) -> Mapping[str, float]:
        """Categories flagged in an answer with their scores 0..1; empty: none. Raises as `complete`."""
        ...

    async def aclose(self) -> None:
        """Close connections, before the event loop that made them ends; a later call opens new ones."""
        ...


class Tree(Protocol):
    """Files at one moment: a commit, or the working directory. Paths are relative, with `/`."""

    @property
    def name(self) -> str:
        """Shown in errors: a short commit, or the directory."""
        ...

    def read(self, path: str) -> bytes:
        """Content. Raises NotFound."""
        ...

    def files(self) -> Sequence[str]:
        """Every path, sorted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit as a release needs it."""

    id: str
    author: str
    """Author's e-mail, lower case."""
    at: datetime
    subject: str


class Repository(Protocol):
    """The Git repository the prompts live in."""

    def resolve(self, ref: str) -> Commit:
        """Commit of a branch, tag or (short) hash. Raises NotFound."""
        ...

    def tree(self, commit: str) -> Tree:
        """The files of a commit. Raises NotFound."""
        ...

    def changed(self, before: str, after: str) -> Sequence[str]:
        """Paths added or modified from `before` to `after`; deleted ones are not listed. `before` all zeros: every file of `after`."""
        ...

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether commit `newer` was built on commit `older`; a commit is its own ancestor. Raises NotFound."""
        ...

    def removed(self, before: str, after: str) -> Sequence[str]:
        """Paths that `before` has and `after` has not. `before` all zeros: none. Raises NotFound."""
        ...

    def merge_base(self, one: str, other: str) -> str | None:
        """Newest commit that both were built on; None: they have nothing in common. Raises NotFound."""
        ...

    def fetch(self, *refs: str) -> None:
        """Bring in every branch of the remote, and these references beside them; a repository without remote is as it is.

        Raises:
            Unavailable: the remote does not answer, does not let us in, or takes too long.
        """
        ...


class CancelledRun(NamedTuple):
    """A run that somebody asked the orchestrator to cancel."""

    release_id: str
    run_id: str


class Orchestrator(Protocol):
    """Starts runs of the flows. Prefect, reached over HTTP; the ledger stays the truth."""

    def start(self, release_id: str, *, key: str) -> str:
        """Ask for a run; the same key twice is one run, and so is asking while one waits to begin. Returns the run's id."""
        ...

    def cancelled(self, releases: Sequence[str]) -> Sequence[CancelledRun]:
        """Runs of these releases that somebody has asked to be cancelled. What was stopped for another reason is none of them."""
        ...

    def settle(self, release_id: str, *, keep: str) -> None:
        """Close what earlier runs of the release left open to be cancelled, all but the run `keep`."""
        ...

    def start_review(self, host: str, number: int, head: str, *, key: str) -> str:
        """The same for a review of a pull or merge request at a commit."""
        ...


class RouteFeed(Protocol):
    """How a gateway learns of routes: pushed, with polling as fallback."""

    def follow(self) -> AsyncIterator[RoutingTable]:
        """Yields the table at once, then on every change and lease renewal; reconnects by itself, never ends."""
        ...
