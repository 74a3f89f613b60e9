"""Uvicorn's HTTP protocol with patience that ends: for a request's head, and for a client that does not take its answer."""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from promptship.gateway.admission import OVERLOADED

_BODY: Final = OVERLOADED.body()
_FULL: Final = (
    b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: %d\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b" % (OVERLOADED.retry_after_s or 1, len(_BODY), _BODY)
)


def bounded(*, connections_max: int, head_timeout_s: float) -> type[HttpToolsProtocol]:
    """The protocol with these limits, as uvicorn wants it: a class."""

    class Bounded(HttpToolsProtocol):
        _due: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > connections_max:
                transport.write(_FULL)
                transport.close()
                return
            self._due = self.loop.call_later(head_timeout_s, self._too_slow)

        def connection_lost(self, exc: Exception | None) -> None:
            self._not_due()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if not self.transport.is_closing():
                super().data_received(data)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._due is None:
                self._due = self.loop.call_later(head_timeout_s, self._too_slow)

        def on_headers_complete(self) -> None:
            self._not_due()
            super().on_headers_complete()

        def timeout_keep_alive_handler(self) -> None:
            # A close would wait for the client to take what is buffered, and this one has stopped taking.
            if self.transport.get_write_buffer_size():
                self.transport.abort()
            super().timeout_keep_alive_handler()

        def _too_slow(self) -> None:
            self._due = None
            if not self.transport.is_closing():
                self.transport.abort()

        def _not_due(self) -> None:
            if self._due is not None:
                self._due.cancel()
                self._due = None

    return Bounded
