"""Frames between the pool and a limited process. Only the standard library: also another Python must be able to import it.

A request is length, id, length of the head (little-endian, 4 bytes each), the head (JSON: what to do) and the body (JSON that is
handed on as it is). An answer is length, id, status and the body.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

VALUE: Final = 0
"""The body is a value as JSON; unlike JSON it may hold NaN and Infinity."""
FAILED: Final = 1
"""The body is `{"reason", "detail", "asserted", "raised"}`."""
LAST: Final = 2
"""The same, and the process ends: it must not be asked again."""

_REQUEST: Final = struct.Struct("<III")
_ANSWER: Final = struct.Struct("<IIB")
_LENGTH: Final = struct.Struct("<I")

ANSWER_BYTES_MAX: Final = 32 << 20
"""Of one answer, whatever was asked."""


def request(number: int, head: bytes, body: bytes) -> bytes:
    """A frame to the process."""
    return b"".join((_REQUEST.pack(8 + len(head) + len(body), number, len(head)), head, body))


def answer(number: int, status: int, body: bytes) -> bytes:
    """A frame from the process."""
    return _ANSWER.pack(5 + len(body), number, status) + body


def requests(buffer: bytearray) -> Iterator[tuple[int, bytes, bytes]]:
    """Take every complete request out of a buffer: number, head, body."""
    for end in _ends(buffer):
        _, number, head_length = _REQUEST.unpack_from(buffer)
        start, middle = _REQUEST.size, _REQUEST.size + head_length
        yield number, _taken(buffer, start, middle), _taken(buffer, middle, end)


def answers(buffer: bytearray) -> Iterator[tuple[int, int, bytes]]:
    """Take every complete answer out of a buffer: number, status, body. Raises ValueError for one that is too long."""
    for end in _ends(buffer, ANSWER_BYTES_MAX + _ANSWER.size):
        _, number, status = _ANSWER.unpack_from(buffer)
        yield number, status, _taken(buffer, _ANSWER.size, end)


def _ends(buffer: bytearray, length_max: int | None = None) -> Iterator[int]:
    """Where the first frame ends, as long as it is complete; afterwards it is taken away."""
    while len(buffer) >= _LENGTH.size:
        end = _LENGTH.size + _LENGTH.unpack_from(buffer)[0]
        if length_max is not None and end > length_max:
            raise ValueError("an answer is too long")
        if len(buffer) < end:
            return
        yield end
        del buffer[:end]


def _taken(buffer: bytearray, start: int, end: int) -> bytes:
    with memoryview(buffer) as view:
        return bytes(view[start:end])  # one copy: an answer may be long
