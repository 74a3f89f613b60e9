"""The id of a served request: made where the version is chosen, so that the same report twice is known to be one."""

from __future__ import annotations

import os


def uuid7(at_ms: int) -> str:
    """A UUIDv7 of that moment (Unix time in ms): sorts by time, so that joins on it stay cheap."""
    value = (at_ms & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
