"""`Asking` without limits: what a test of providers needs to see of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from promptship.chat import ChatAnswer
from promptship.evals.units import Once

T = TypeVar("T")


@dataclass
class FakeAsking:
    """Calls at once and once; remembers whom and under which key."""

    endpoints: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    async def answer(
        self, endpoint: str, once: Once, *, model: str = "", key: str = "", deadline_s: float | None = None, anew: bool = False
    ) -> ChatAnswer:  # fmt: skip
        self.endpoints.append(endpoint)
        self.keys.append(key)
        return await once()

    async def limited(
        self, endpoint: str, once: Callable[[], Awaitable[T]], *, model: str = "", deadline_s: float | None = None
    ) -> T:  # fmt: skip
        self.endpoints.append(endpoint)
        return await once()
