"""Bounds of what a spool line may hold, beyond the types of its record's model: what the rollup does with it must be safe."""

from __future__ import annotations

import re
from typing import Final

AT_MS_MAX: Final = 4_102_444_800_000  # the year 2100; later is a unit mix-up
LATENCY_MS_MAX: Final = 1e9
COUNT_MAX: Final = 1_000_000_000
COST_USD_MAX: Final = 1e6
STAGE_MAX: Final = 10_000
WORD_CHARACTERS_MAX: Final = 128
WORDS: Final = frozenset({"id", "prompt", "version", "release", "request"})
"""Ids and names: 1 to 128 printable characters, no spaces, so that they can be keys in every database."""
NAMES: Final = frozenset({"kind", "name"})
"""Kinds of feedback, names of checks: they become part of a metric's name."""
NAMES_PATTERN: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "at_ms": (0, AT_MS_MAX),
    "request_at_ms": (0, AT_MS_MAX),
    "stage": (0, STAGE_MAX),
    "status": (0, 999),
    "latency_ms": (0, LATENCY_MS_MAX),
    "tokens_in": (0, COUNT_MAX),
    "tokens_out": (0, COUNT_MAX),
    "cost_usd": (0, COST_USD_MAX),
    "value": (0, 1),
}
"""Smallest and largest value of a field; `value` is a score, and feedback's is false or true."""
