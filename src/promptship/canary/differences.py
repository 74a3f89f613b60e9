"""Where what was written down and what is recomputed differ (`promptship.lifecycle.replay`)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

DIGITS: Final = 1e-9
"""Numbers agree when they do to this part: processors differ in the last digit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing in the ledger that does not follow from what stands before it."""

    seq: int
    look: int | None
    what: str
    """Where: `verdict.findings.0.e_value`, `state...`, `effect`, `chain`."""
    recorded: str
    recomputed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What came of taking every look of a release again."""

    release_id: str
    prompt: str
    looks: int
    equal: int
    differences: tuple[Difference, ...]
    unrecorded: tuple[int, ...]
    """Looks whose counts are not in the ledger (written by an older promptship): these were not recomputed."""

    @property
    def agrees(self) -> bool:
        """Whether every look was recomputed and every verdict and effect is what it should be."""
        return not self.differences and not self.unrecorded


def differing(
    where: str, recorded: Any, recomputed: Any, *, within: float = DIGITS
) -> Iterator[tuple[str, str, str]]:
    """Every place where two JSON values differ; numbers by more than `within`, relative (to 1, near 0)."""
    match recorded, recomputed:
        case dict(), dict():
            for key in [*recorded, *(key for key in recomputed if key not in recorded)]:
                yield from differing(f"{where}.{key}", recorded.get(key), recomputed.get(key), within=within)
        case (list() | tuple(), list() | tuple()) if len(recorded) == len(recomputed):
            yield from _each(where, recorded, recomputed, within)
        case (int() | float(), int() | float()) if not isinstance(recorded, bool) and not isinstance(
            recomputed, bool
        ):
            if not math.isclose(recorded, recomputed, rel_tol=within, abs_tol=within):
                yield where, repr(recorded), repr(recomputed)
        case _ if recorded != recomputed:
            yield where, _shown(recorded), _shown(recomputed)


def _each(
    where: str, recorded: Sequence[Any], recomputed: Iterable[Any], within: float
) -> Iterator[tuple[str, str, str]]:
    for index, (one, other) in enumerate(zip(recorded, recomputed, strict=True)):
        yield from differing(f"{where}.{index}", one, other, within=within)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
