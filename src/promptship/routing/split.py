"""Who gets the candidate: sticky, pure, the same in every process and language."""

from __future__ import annotations

import hashlib

BUCKETS = 10_000


def place(salt: str, unit: str) -> int:
    """Where a unit (user, session) lies under a release's salt: first 8 bytes of sha256(salt ":" unit), big-endian."""
    return int.from_bytes(hashlib.sha256(f"{salt}:{unit}".encode()).digest()[:8], "big")


def bucket(salt: str, unit: str) -> int:
    """Bucket 0..9,999 of a unit under a release's salt: its place mod 10,000.

    Golden vectors in `tests/golden/split.json` pin it: a change would move users between arms.
    """
    return place(salt, unit) % BUCKETS


def takes_candidate(salt: str, unit: str, share: float) -> bool:
    """Whether the unit is in the canary at this share (0..1). Growing the share only ever adds units."""
    return within(place(salt, unit), share)


def within(place_: int, share: float) -> bool:
    """Whether what lies there is in the canary at this share (0..1)."""
    return place_ % BUCKETS < round(share * BUCKETS)
