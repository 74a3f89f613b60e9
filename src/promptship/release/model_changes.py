"""What the world does to a model that production uses, and what follows from it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final, Self

from promptship.prompts.model_names import understood

ON_THE_DAY: Final = 0


class ChangeKind(StrEnum):
    """Why prompts are re-tested with another model."""

    APPEARED = "appeared"  # a newer model of the family is there
    MOVED = "moved"  # what answers under the name is another one than before
    RETIRES = "retires"  # its shutdown is announced
    ASKED = "asked"  # a person wants to know


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChange:
    """A reason to compare two models on the prompts of one of them."""

    kind: ChangeKind
    provider: str
    """Key of `[providers]` that has the new one."""
    model: str
    """In use."""
    to: str
    """What it is compared with. Of a move: what answered before, by its own name."""
    on: str = ""
    """ISO date of a retirement; of a move: what answers now."""
    prompts: tuple[str, ...] = ()
    """Only these; empty: every production prompt that names the model."""
    attempt: int = 0
    """Counts repetitions that a person asked for."""

    @property
    def id(self) -> str:
        """The same change is noticed once, however often it is seen."""
        parts = [
            self.kind,
            self.provider,
            self.model,
            self.to,
            self.on,
            ",".join(sorted(self.prompts)),
            str(self.attempt),
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]

    def data(self) -> dict[str, Any]:
        """Plain values for the journal."""
        return asdict(self) | {"kind": self.kind.value, "prompts": list(self.prompts)}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Of `data`."""
        return cls(**{**data, "kind": ChangeKind(data["kind"]), "prompts": tuple(data["prompts"])})

    def sentence(self) -> str:
        """What happened, for people."""
        match self.kind:
            case ChangeKind.APPEARED:
                return f"{self.provider} has {self.to}, a newer model of the family of {self.model}"
            case ChangeKind.MOVED:
                return f"{self.model} at {self.provider} is answered by another model than {self.to}, which answered before"
            case ChangeKind.RETIRES:
                return f"{self.model} at {self.provider} retires on {self.on}; {self.to} is its successor"
            case ChangeKind.ASKED:
                return f"{self.to} was asked for instead of {self.model}"


def successor(used: str, among: Iterable[str], *, ignored: Collection[str] = ()) -> str | None:
    """The model to move to: the latest of those that succeed `used` in its family; None: there is none.

    Of equals one that is final is taken before a preview, and an alias for an alias, a snapshot for a snapshot.
    """
    mine = understood(used)
    if mine.family in ignored:
        return None
    later = [name for name in map(understood, among) if name.succeeds(mine)]

    def merit(name: Any) -> tuple[bool, tuple[int, ...], bool, str, str]:
        return (not name.preview, name.version, name.is_alias == mine.is_alias, name.snapshot, name.name)

    return max(later, key=merit).name if later else None


def appeared(used: Iterable[str], new: Collection[str], *, ignored: Collection[str] = ()) -> dict[str, str]:
    """By model in use: which of the models that were never listed before is worth a test."""
    found = {model: successor(model, new, ignored=ignored) for model in used}
    return {model: name for model, name in found.items() if name is not None}


def moved(before: Sequence[str], now: str) -> str | None:
    """What answered under a name so far, when it is another model that answers now; None: nothing new.

    `before`: models that were said to answer, the latest last. One that has answered before may answer again: providers change over
    machine by machine.
    """
    known = [name for name in before if name]
    return known[-1] if known and now and now not in known else None


def lead_due(days_left: int, leads: Iterable[int], told: Collection[int]) -> int | None:
    """Which lead time, in days, is to be told now; None: none.

    The shortest that has come and was not told, unless a shorter one was: who was away for a month hears once, not three times. The day
    itself is always one of them.
    """
    come = [lead for lead in {*leads, ON_THE_DAY} if days_left <= lead]
    due = min(come, default=None)
    return None if due is None or any(one <= due for one in told) else due


def earliest(*dates: date | None) -> date | None:
    """The first of the dates that are known."""
    return min((one for one in dates if one is not None), default=None)
