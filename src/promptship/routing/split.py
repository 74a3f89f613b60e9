"""Who gets which version: sticky, pure, the same in every process and language."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import accumulate

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


def part_place(place_: int) -> int:
    """Where, 0..9,999, what lies there falls among the arms of an experiment: the next four digits of the same place.

    Whether a unit takes part is decided by the last four (`within`), so a growing share never moves a unit between arms.
    """
    return place_ // BUCKETS % BUCKETS


def limits(weights: Sequence[float]) -> tuple[int, ...]:
    """Where each arm's part of 0..9,999 ends, in the order given: arm i has the places from the limit before it up to its own.

    Parts are the weights' in whole ten-thousandths (largest remainders), and at least one each; the last limit is 10,000.

    Raises:
        ValueError: no weight at all, one that is not above 0, or more arms than places.
    """
    total = sum(weights)
    if not weights or len(weights) > BUCKETS or not min(weights) > 0 or not 0 < total < float("inf"):
        raise ValueError(f"expected weights above 0, got {list(weights)}")
    exact = [weight / total * BUCKETS for weight in weights]
    parts = [max(int(part), 1) for part in exact]
    # By remainder, ties in the order given; what a tiny arm was given too much is taken from the largest.
    order = sorted(range(len(parts)), key=lambda at: (parts[at] - exact[at], at))
    missing = BUCKETS - sum(parts)
    for at in order[: max(missing, 0)]:
        parts[at] += 1
    for _ in range(-missing):
        parts[parts.index(max(parts))] -= 1
    return tuple(accumulate(parts))
