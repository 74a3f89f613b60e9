"""Assertions made of other assertions: `not-` and `assert-set`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from promptship.evals.assertions.base import Assertion, Prepared, WithOpposite
from promptship.evals.combining import combined, weighted_means
from promptship.evals.score import Judged, Part, Subject, inverted


@dataclass(frozen=True, slots=True)
class Not:
    """Passes exactly when the other fails; no score stays no score."""

    other: Assertion

    async def judge(self, subject: Subject) -> Judged:
        """The other's result, inverted."""
        judged = await self.other.judge(subject)
        return replace(judged, score=inverted(judged.score))


@dataclass(frozen=True, slots=True)
class Opposite:
    """What a type has as its opposite itself."""

    other: WithOpposite

    async def judge(self, subject: Subject) -> Judged:
        """The other's own opposite."""
        return await self.other.judge_opposite(subject)


def negated(assertion: Assertion) -> Assertion:
    """The assertion with `not-`."""
    return Opposite(assertion) if isinstance(assertion, WithOpposite) else Not(assertion)


@dataclass(frozen=True, slots=True)
class AssertSet:
    """Passes when every member that weighs something passes or, with a threshold, when their weighted mean reaches it."""

    members: tuple[Prepared, ...]
    threshold: float | None = None

    async def judge(self, subject: Subject) -> Judged:
        """One after the other, as in a trial; members are the parts of the result."""
        asked = [(member, await member.assertion.judge(subject)) for member in self.members]
        parts = tuple(_part(member, judged) for member, judged in asked)
        return Judged(
            combined(parts, [part.weight for part in parts], self.threshold),
            judge_tokens=sum(judged.judge_tokens for _, judged in asked),
            judge_cost_usd=sum(judged.judge_cost_usd for _, judged in asked),
            judge_unpriced=sum(judged.judge_unpriced for _, judged in asked),
            named=_named(asked),
            parts=parts,
        )


def _part(member: Prepared, judged: Judged) -> Part:
    return Part(
        label=member.label, score=judged.score, weight=member.weight, metric=member.metric, type=member.type,
        value=member.value, said=judged.said, parts=judged.parts,
    )  # fmt: skip


def _named(asked: Sequence[tuple[Prepared, Judged]]) -> dict[str, float]:
    """The further scores of the members."""
    return weighted_means(
        (name, score, member.weight) for member, judged in asked for name, score in judged.named.items()
    )
