"""What the gateway needs of a provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from promptship.routing.api import Api


class Answer(Protocol):
    """An answer whose head has arrived."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Raw headers."""
        ...

    @property
    def content_type(self) -> str:
        """Media type in lower case, without parameters."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes; raises Unavailable when it breaks off."""
        ...

    async def aclose(self) -> None:
        """Give the connection back, or cut the call off."""
        ...


class Upstream(Protocol):
    """Providers by model."""

    async def open(
        self, model: str, body: bytes, api: Api = "chat", headers: Sequence[tuple[str, str]] = ()
    ) -> Answer:
        """Send a call in the words of an API and wait for the head of its answer, whatever its status.

        The answer is in the words of the same API, also where the provider has others. `headers` are sent besides.

        Raises:
            Unavailable: no head of an answer came.
            ConfigError: no provider is configured for the model, its key is not set, or it cannot be asked in this API.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


class Costs(Protocol):
    """What calls cost."""

    def __call__(
        self,
        model: str,
        tokens_in: int | None,
        tokens_out: int | None,
        cached: int = 0,
        cache_written: int = 0,
    ) -> float | None:
        """USD of one call; None: the model's price or a count is unknown."""
        ...
