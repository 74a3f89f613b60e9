"""The frames in which Amazon Bedrock streams (`application/vnd.amazon.eventstream`). Pure.

A frame: its length, its headers' length and their checksum; headers; the payload, JSON; a checksum of it all. Numbers are big-endian,
checksums CRC-32.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

import orjson

EVENT_STREAM: Final = "application/vnd.amazon.eventstream"
_PRELUDE: Final = 12
_CHECK: Final = 4
_TEXT: Final = 7
_FRAME_BYTES_MAX: Final = 24_000_000


class Frames:
    """Frames out of bytes that are cut anywhere."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[tuple[str, dict[str, Any]]]:
        """(name of the event, or of the exception; what it says) of every frame that is whole by now.

        Raises:
            ValueError: these are no frames.
        """
        self._rest += piece
        found = []
        while len(self._rest) >= _PRELUDE:
            length = int.from_bytes(self._rest[:4])
            if not _PRELUDE + _CHECK <= length <= _FRAME_BYTES_MAX:
                raise ValueError("a frame of that length cannot be")
            if len(self._rest) < length:
                break
            frame, self._rest = self._rest[:length], self._rest[length:]
            found.append(_read(frame))
        return found


def _read(frame: bytes) -> tuple[str, dict[str, Any]]:
    if zlib.crc32(frame[:-_CHECK]) != int.from_bytes(frame[-_CHECK:]):
        raise ValueError("a frame's checksum is wrong")
    end = _PRELUDE + int.from_bytes(frame[4:8])
    headers = _headers(frame[_PRELUDE:end])
    name = headers.get(":exception-type") or headers.get(":event-type") or headers.get(":error-code") or ""
    value = orjson.loads(frame[end:-_CHECK] or b"{}")
    if headers.get(":message-type", "event") != "event":
        message = value.get("message") or headers.get(":error-message") or name
        return "exception", {"type": name, "message": message}
    return name, value


def _headers(raw: bytes) -> dict[str, str]:
    """Headers that are texts; Bedrock sends no others."""
    found: dict[str, str] = {}
    at = 0
    while at < len(raw):
        start, at = at + 1, at + 1 + raw[at]
        name = raw[start:at].decode()
        if raw[at] != _TEXT:
            raise ValueError("a header that is no text")
        length = int.from_bytes(raw[at + 1 : at + 3])
        found[name] = raw[at + 3 : at + 3 + length].decode()
        at += 3 + length
    return found
