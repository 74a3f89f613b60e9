"""What a run would ask and cost, without asking anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final, Protocol, runtime_checkable

from promptship.evals.units import Group

CHARS_PER_TOKEN: Final = 4
"""Rule of thumb for English text; code and other languages take more tokens."""
TOKENS_OUT: Final = 300
"""Assumed length of an answer whose request names no maximum."""

Price = Callable[[str, int, int], float | None]
"""USD of a call: model, tokens in, tokens out; None: the model's price is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One call that a unit will make."""

    model: str
    characters: int
    """Of what is sent."""
    tokens_out: int | None = None
    """The most the request allows; None: it names no maximum."""
    judge: bool = False


@runtime_checkable
class Foreseeing(Protocol):
    """A unit that can say what it will ask. One that cannot counts as one call of unknown length."""

    def foreseen(self) -> Sequence[Planned]:
        """Its calls, without making them. Of later turns and judges the answer's part is guessed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """An estimate: tokens are characters / 4, answers as long as allowed or 300 tokens, nothing comes from a cache."""

    trials: int
    calls: int
    judge_calls: int
    """Of `calls`."""
    tokens_in: int
    tokens_out: int
    cost_usd: float | None
    """Of the calls whose price is known; None: no price is known."""
    unpriced: Mapping[str, int]
    """Calls by model whose price nobody knows; empty string: units that cannot say what they ask."""


def estimate(
    groups: Iterable[Group], price: Price | None = None, *, tokens_out: int = TOKENS_OUT
) -> Estimate:
    """Add up what a run would ask. `tokens_out`: assumed length of an answer whose request names no maximum."""
    trials = calls = judges = all_in = all_out = 0
    cost, priced = 0.0, False
    unpriced: Counter[str] = Counter()
    for group in groups:
        for unit in group.units:
            trials += 1
            if not isinstance(unit, Foreseeing):
                calls += 1
                unpriced[""] += 1
                continue
            for call in unit.foreseen():
                calls += 1
                judges += call.judge
                read = ceil(call.characters / CHARS_PER_TOKEN)
                written = tokens_out if call.tokens_out is None else call.tokens_out
                all_in, all_out = all_in + read, all_out + written
                usd = price(call.model, read, written) if price is not None else None
                if usd is None:
                    unpriced[call.model] += 1
                else:
                    cost, priced = cost + usd, True
    return Estimate(
        trials=trials, calls=calls, judge_calls=judges, tokens_in=all_in, tokens_out=all_out,
        cost_usd=cost if priced else None, unpriced=dict(unpriced),
    )  # fmt: skip
