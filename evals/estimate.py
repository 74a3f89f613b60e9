"""What a run would ask and cost, as a rule and at most, without asking anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Final, Protocol, runtime_checkable

from promptship.evals.units import Group

CHARS_PER_TOKEN: Final = 4
"""Rule of thumb for English text; code and other languages take more tokens."""
STABLE: Final = "stable"
TOKENS_OUT: Final = 300
"""Assumed length of an answer whose request names no maximum."""

Price = Callable[[str, int, int], float | None]
"""USD of a call: model, tokens in, tokens out; None: the model's price is not known."""


class Rivals(StrEnum):
    """Between which answers of a group a comparison is made."""

    NONE = "none"  # it is none: it is about one answer
    ALL = "all"  # once per group
    STABLE = "stable"  # each arm against stable


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One question that a unit will put to a model."""

    model: str
    characters: int
    """Of what is sent."""
    tokens_out: int | None = None
    """The most the request allows; None: it names no maximum."""
    judge: bool = False
    times: int = 1
    """Calls it takes as a rule."""
    times_max: int = 1
    """At most."""
    rivals: Rivals = Rivals.NONE


@runtime_checkable
class Foreseeing(Protocol):
    """A unit that can say what it will ask. One that cannot counts as one call of unknown length."""

    def foreseen(self) -> Sequence[Planned]:
        """Its calls, without making them. Of later turns and judges the answer's part is guessed; attacks get all their turns."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """An estimate: tokens are characters / 4, answers as long as allowed or 300 tokens, nothing comes from a cache, nothing ends early.

    Calls that get no answer are tried again; providers do not charge for those, and they are not counted.
    """

    trials: int
    calls: int
    """As a rule, of a prompt that withstands its attacks."""
    judge_calls: int
    """Of `calls`."""
    calls_max: int
    """When judges have to be asked again."""
    judge_calls_max: int
    tokens_in: int
    """Of `calls`, like `tokens_out`."""
    tokens_out: int
    cost_usd: float | None
    """Of those of `calls` whose price is known; None: no price is known."""
    cost_usd_max: float | None
    """The same of `calls_max`."""
    unpriced: Mapping[str, int]
    """Those of `calls` by model whose price nobody knows; empty string: units that cannot say what they ask."""


def estimate(
    groups: Iterable[Group], price: Price | None = None, *, tokens_out: int = TOKENS_OUT
) -> Estimate:
    """Add up what a run would ask. `tokens_out`: assumed length of an answer whose request names no maximum."""
    trials = 0
    asked = Counter[str]()
    cost, cost_max, priced = 0.0, 0.0, False
    unpriced: Counter[str] = Counter()
    for group in groups:
        trials += len(group.units)
        for call in _calls(group):
            asked["calls"] += call.times
            asked["calls_max"] += call.times_max
            if call.judge:
                asked["judge_calls"] += call.times
                asked["judge_calls_max"] += call.times_max
            read = ceil(call.characters / CHARS_PER_TOKEN)
            written = tokens_out if call.tokens_out is None else call.tokens_out
            asked["tokens_in"] += call.times * read
            asked["tokens_out"] += call.times * (written if call.model else 0)
            usd = price(call.model, read, written) if price is not None and call.model else None
            if usd is None:
                unpriced[call.model] += call.times
            else:
                cost, cost_max, priced = cost + call.times * usd, cost_max + call.times_max * usd, True
    return Estimate(
        trials=trials, cost_usd=cost if priced else None, cost_usd_max=cost_max if priced else None, unpriced=dict(unpriced),
        **{name: asked[name] for name in _COUNTED},
    )  # fmt: skip


def _calls(group: Group) -> Iterator[Planned]:
    """Of all units; what compares their answers only where there are answers to compare."""
    arms = {unit.arm for unit in group.units}
    for number, unit in enumerate(group.units):
        for call in unit.foreseen() if isinstance(unit, Foreseeing) else [_UNKNOWN]:
            alone = call.rivals is Rivals.ALL and (number > 0 or len(arms) == 1)
            unmatched = call.rivals is Rivals.STABLE and (unit.arm == STABLE or STABLE not in arms)
            if not (alone or unmatched):
                yield call


_UNKNOWN: Final = Planned(model="", characters=0)
"""One call of a unit that cannot say what it asks."""
_COUNTED: Final = ("calls", "calls_max", "judge_calls", "judge_calls_max", "tokens_in", "tokens_out")
