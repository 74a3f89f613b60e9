"""Keeps the usage of a stream from a client that did not ask for it: the gateway asks for it always, to measure. Pure."""

from __future__ import annotations

import re
from typing import Final

import orjson

_BETWEEN: Final = re.compile(rb"(\r?\n\r?\n)")
_SIGNS: Final = (b'"choices":[]', b'"choices": []')
_HELD_BYTES_MAX: Final = 1_000_000


class UsageHider:
    """Passes a chat completion's stream on, without the event that holds usage and nothing else. Other bytes stay as they are."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> bytes:
        """What may be passed on now; an event that has not ended yet waits for its end."""
        if not self._rest and piece.endswith(b"\n\n") and not any(sign in piece for sign in _SIGNS):
            return piece
        parts = _BETWEEN.split(self._rest + piece)
        self._rest = parts.pop()
        said = [
            event + between
            for event, between in zip(parts[::2], parts[1::2], strict=True)
            if not _is_usage(event)
        ]
        if len(self._rest) > _HELD_BYTES_MAX:
            said.append(self._rest)
            self._rest = b""
        return b"".join(said)

    def close(self) -> bytes:
        """What is left at the end of the stream."""
        rest, self._rest = self._rest, b""
        return b"" if _is_usage(rest) else rest


def _is_usage(event: bytes) -> bool:
    if not event.startswith(b"data:") or not any(sign in event for sign in _SIGNS):
        return False
    try:
        chunk = orjson.loads(event[5:])
        return chunk["choices"] == [] and isinstance(chunk["usage"], dict)
    except (ValueError, KeyError, TypeError):
        return False


def asks_usage(options: object) -> bool:
    """Whether a request's `stream_options` ask for usage."""
    return isinstance(options, dict) and options.get("include_usage") is True
