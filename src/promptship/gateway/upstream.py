"""What the gateway needs of a provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol


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

    async def open(self, model: str, body: bytes) -> Answer:
        """Send a chat completion and wait for the head of its answer, whatever its status.

        Raises:
            Unavailable: no head of an answer came.
            ConfigError: no provider is configured for the model, or its key is not set.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...
