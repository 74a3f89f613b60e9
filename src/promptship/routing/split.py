"""Who gets the candidate: sticky, pure, the same in every process and language."""

from __future__ import annotations

import hashlib

BUCKETS = 10_000


def bucket(salt: str, unit: str) -> int:
    """Bucket 0..9,999 of a unit (user, session) under a release's salt: first 8 bytes of sha256(salt ":" unit), big-endian, mod 10,000.

    Golden vectors in `tests/golden/split.json` pin it: a change would move users between arms.
    """
    digest = hashlib.sha256(f"{salt}:{unit}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS


def takes_candidate(salt: str, unit: str, share: float) -> bool:
    """Whether the unit is in the canary at this share (0..1). Growing the share only ever adds units."""
    return bucket(salt, unit) < round(share * BUCKETS)
