"""The work of a run as the runner sees it: units that can be held, in groups that may be settled together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from promptship.chat import ChatAnswer
from promptship.evals.rows import Arm, Row
from promptship.evals.services import Services

T = TypeVar("T")
Once = Callable[[], Awaitable[ChatAnswer]]
"""One attempt of a call. Raises Unavailable (tried again), Refused, ConfigError."""


class Unit(Protocol):
    """One trial of one case with one arm. Native: `promptship.evals.trial`; promptfoo: `promptship.evals.promptfoo.unit`."""

    @property
    def case(self) -> str:
        """Id of the case, unique in the run."""
        ...

    @property
    def arm(self) -> Arm:
        """Whom it asks."""
        ...

    @property
    def trial(self) -> int:
        """Repetition, from 0."""
        ...

    @property
    def digest(self) -> str:
        """Of everything that decides about the score, except chance: a kept row with the same digest is not asked again."""
        ...

    async def hold(self, services: Services) -> Row:
        """Ask and score. Never raises for one bad case: a call or script that fails makes the row Unscored, with `error`."""
        ...


Settle = Callable[[Sequence[Row], Services], Awaitable[Sequence[Row]]]
"""Scores that need the answers of all arms (select-best, max-score, pairwise): the same rows, in the same order, scored anew."""


@dataclass(frozen=True, slots=True)
class Group:
    """Units of one case and trial, one per arm; held side by side, handed on together once settled."""

    units: tuple[Unit, ...]
    settle: Settle | None = None


class Asking(Protocol):
    """Calls to providers: retries, deadline, rate limits, fuses, the answer cache and the budget of a run."""

    async def answer(
        self, endpoint: str, once: Once, *, model: str = "", key: str = "", deadline_s: float | None = None, anew: bool = False
    ) -> ChatAnswer:  # fmt: skip
        """The answer of `once`, tried again while it raises Unavailable.

        `endpoint` names what limits and fuses are kept for: the provider and its address. `model`: one of several there, with a
        fuse of its own. `key`: content address of everything
        that was sent, and of the trial; with it an earlier answer is taken from the cache. Empty: never cached. `anew`: an earlier
        answer is not taken, but replaced.

        Raises:
            Unavailable: no answer within deadline or attempts; or a fuse is blown; or the budget is spent, or cannot be kept.
            Refused: 401, also at once for every later call of that endpoint; 403, of that model.
            ConfigError: the request is wrong.
        """
        ...

    async def limited(
        self, endpoint: str, once: Callable[[], Awaitable[T]], *, model: str = "", deadline_s: float | None = None
    ) -> T:  # fmt: skip
        """The same for anything that is no chat answer (embeddings, moderation): no cache, no budget."""
        ...
