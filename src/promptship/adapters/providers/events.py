"""A stream of server-sent events that becomes a stream of others. Pure: bytes in, bytes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

import orjson

_LINE_BYTES_MAX: Final = 8_000_000
ODD: Final = (ValueError, KeyError, IndexError, TypeError, AttributeError)
"""What reading raises where an answer is not what it should be."""


class Events(ABC):
    """Events in, events out, each made as soon as the line of the one before it has ended."""

    def __init__(self) -> None:
        self._rest = b""
        self._broken = False

    def feed(self, piece: bytes) -> bytes:
        """What the next bytes, cut anywhere, mean."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LINE_BYTES_MAX:
            return self._break()
        return b"".join([self._line(line) for line in lines])

    def close(self) -> bytes:
        """What is still to be said at the end."""
        rest, self._rest = self._rest, b""
        return self._line(rest)

    def _line(self, line: bytes) -> bytes:
        if self._broken or not line.startswith(b"data:"):
            return b""
        data = line[5:].strip()
        try:
            return self._done() if data == b"[DONE]" else self._event(orjson.loads(data))
        except ODD:
            return self._break()

    def _break(self) -> bytes:
        self._broken, self._rest = True, b""
        return self._error("the provider's stream cannot be read", "server_error", "malformed")

    def _done(self) -> bytes:
        """What `[DONE]` means; not every API says it."""
        return b""

    @abstractmethod
    def _event(self, event: dict[str, Any]) -> bytes:
        """What one event means. Whatever `ODD` it raises ends the stream with an error."""

    @abstractmethod
    def _error(self, message: str, kind: str, code: str) -> bytes:
        """An error as the last event."""


def named_event(name: str, value: dict[str, Any]) -> bytes:
    """A server-sent event with a name, as responses and messages have them."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(value))
