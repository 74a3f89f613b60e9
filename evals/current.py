"""No run takes kept answers of a configuration that does not answer any more: one call per model and run finds out who answers."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from promptship.chat import ChatAnswer
from promptship.errors import ConfigError, Refused, Unavailable
from promptship.evals.calls import Answers
from promptship.evals.units import Asking, Once

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True)
class _Model:
    """What a run knows of one model."""

    seen: set[tuple[str, str]] = field(default_factory=set)
    """Name and fingerprint of what answered in this run."""
    finding_out: asyncio.Event | None = None
    """Set when the call that finds out has ended."""
    unknowable: bool = False
    """That call got no answer: kept answers are all there is, and no new one stands beside them."""


class CurrentAnswers:
    """`Asking` that takes a kept answer only while its fingerprint still answers.

    Kept answers alone cannot tell. So the first request of a model whose kept answer has a fingerprint is asked anew; what comes
    is its answer, and says whether the others count. A kept answer without a fingerprint always counts.

    Args:
        asking: makes the calls, over the same `answers`.
        answers: earlier answers; None: there are none.
    """

    def __init__(self, asking: Asking, answers: Answers | None) -> None:
        self._asking = asking
        self._answers = answers
        self._models: defaultdict[tuple[str, str], _Model] = defaultdict(_Model)

    async def answer(
        self, endpoint: str, once: Once, *, model: str = "", key: str = "", deadline_s: float | None = None, anew: bool = False
    ) -> ChatAnswer:  # fmt: skip
        """See `promptship.evals.units.Asking`."""
        known = self._models[endpoint, model]

        async def ask(*, anew: bool) -> ChatAnswer:
            return await self._asking.answer(
                endpoint, once, model=model, key=key, deadline_s=deadline_s, anew=anew
            )

        kept = self._answers.get(key) if key and self._answers is not None and not anew else None
        if kept is None:
            return await _finding_out(known, ask, anew=anew)
        if not kept.fingerprint:
            return await ask(anew=False)
        while not known.seen and not known.unknowable:
            if known.finding_out is not None:
                await known.finding_out.wait()
                continue
            try:
                return await _finding_out(known, ask, anew=True)
            except (Unavailable, Refused, ConfigError):
                known.unknowable = True
                log.warning(
                    "whether model %s still answers as it did cannot be asked: kept answers are used", model
                )
        still = known.unknowable and not known.seen
        answer = await ask(anew=not still and (kept.model, kept.fingerprint) not in known.seen)
        _note(known, answer)
        return answer

    async def limited(
        self, endpoint: str, once: Callable[[], Awaitable[T]], *, model: str = "", deadline_s: float | None = None
    ) -> T:  # fmt: skip
        """See `promptship.evals.units.Asking`."""
        return await self._asking.limited(endpoint, once, model=model, deadline_s=deadline_s)


async def _finding_out(known: _Model, ask: Callable[..., Awaitable[ChatAnswer]], *, anew: bool) -> ChatAnswer:
    """A call that nothing is kept for, or that is to be made anew; those who have kept answers wait for the first of them."""
    event = None
    if not known.seen and known.finding_out is None:
        event = known.finding_out = asyncio.Event()
    try:
        answer = await ask(anew=anew)
        _note(known, answer)
    finally:
        if event is not None:
            known.finding_out = None
            event.set()
    return answer


def _note(known: _Model, answer: ChatAnswer) -> None:
    if not answer.cached:
        known.seen.add((answer.model, answer.fingerprint))
