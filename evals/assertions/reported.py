"""Assertions on what the provider reports besides the answer. What it did not report is Unscored: never failed, never passed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from promptship.evals.assertions.base import (
    AssertionSpec,
    BuildContext,
    Dialect,
    invalid,
    shown,
    text_value,
    threshold_value,
)
from promptship.evals.score import Judged, Scored, Subject, Unscored, inverted, yes_or_no


@dataclass(frozen=True, slots=True)
class Latency:
    """The answer came within a time, in milliseconds."""

    limit_ms: float
    fresh: bool = False
    """promptfoo gives an answer from the cache no latency; here it has the one it took when it was asked."""

    async def judge(self, subject: Subject) -> Judged:
        """Unscored when nobody measured."""
        answer = subject.answer
        if answer.cached and self.fresh:
            return Judged(Unscored("the answer comes from the cache: its latency says nothing"))
        if not answer.latency_ms:
            return Judged(Unscored("latency was not measured"))
        because = f"{answer.latency_ms:.0f} ms, wanted at most {self.limit_ms:g}"
        return Judged(yes_or_no(answer.latency_ms <= self.limit_ms, because))


@dataclass(frozen=True, slots=True)
class Cost:
    """The answer cost at most so many US dollars."""

    limit_usd: float
    advice: str = "price_in and price_out of the model in [models]"

    async def judge(self, subject: Subject) -> Judged:
        """Unscored when the price is not known."""
        cost = subject.answer.cost_usd
        if cost is None:
            return Judged(Unscored(f"the cost is not known: give {self.advice}"))
        return Judged(
            yes_or_no(cost <= self.limit_usd, f"{cost:.3g} US dollars, wanted at most {self.limit_usd:g}")
        )


@dataclass(frozen=True, slots=True)
class FinishReason:
    """The provider's finish reason, ignoring upper and lower case."""

    wanted: str

    async def judge(self, subject: Subject) -> Judged:
        """Unscored when the provider gave none."""
        reason = subject.answer.finish_reason
        if not reason:
            return Judged(Unscored("the provider gave no finish reason"))
        return Judged(
            yes_or_no(reason.casefold() == self.wanted.casefold(), f"it finished because of {reason!r}")
        )


@dataclass(frozen=True, slots=True)
class Perplexity:
    """How surprised the model was by its own answer: exp of the mean negative log-probability of a token; 1 is certain."""

    threshold: float | None
    normalized: bool
    """Score 1 / (1 + perplexity), 0 to 0.5: more is better."""

    async def judge(self, subject: Subject) -> Judged:
        """Unscored without log-probabilities."""
        return self._judged(subject, opposite=False)

    async def judge_opposite(self, subject: Subject) -> Judged:
        """promptfoo: without a threshold the opposite passes as well."""
        return self._judged(subject, opposite=True)

    def _judged(self, subject: Subject, *, opposite: bool) -> Judged:
        logprobs = subject.answer.logprobs
        if not logprobs:
            return Judged(Unscored("the provider gave no log-probabilities"))
        try:
            perplexity = math.exp(-math.fsum(logprobs) / len(logprobs))
        except OverflowError:
            perplexity = math.inf
        measure = 1 / (1 + perplexity) if self.normalized else perplexity
        limit = self.threshold
        reached = limit is None or (measure >= limit if self.normalized else measure <= limit)
        because = f"perplexity{' score' if self.normalized else ''} {measure:.4g}, wanted {limit}"
        score = (
            Scored(reached, measure, "" if reached else because)
            if self.normalized
            else yes_or_no(reached, because)
        )
        if not opposite:
            return Judged(score)
        turned = inverted(score)
        if limit is None and isinstance(turned, Scored):
            turned = Scored(True, turned.score if self.normalized else 1.0)
        return Judged(turned)


@dataclass(frozen=True, slots=True)
class Guardrails:
    """The provider's own guardrails flagged neither what was asked nor what was answered."""

    async def judge(self, subject: Subject) -> Judged:
        """Unscored when the provider has none."""
        flagged = subject.answer.flagged
        if flagged is None:
            return Judged(Unscored("the provider reports no guardrails"))
        where = ", ".join(name for name, hit in flagged.items() if hit)
        return Judged(yes_or_no(not where, f"flagged: {where}"))


# Makers ---------------------------------------------------------------------------------------------------------------


def latency(spec: AssertionSpec, context: BuildContext) -> Latency:
    """`threshold`: milliseconds."""
    return Latency(_limit(spec, context, "milliseconds"), fresh=context.dialect is Dialect.PROMPTFOO)


def cost(spec: AssertionSpec, context: BuildContext) -> Cost:
    """`threshold`: US dollars."""
    limit_usd = _limit(spec, context, "US dollars")
    if context.dialect is Dialect.PROMPTFOO:
        return Cost(limit_usd, "inputCost and outputCost, US dollars per token, in the provider's config")
    return Cost(limit_usd)


def _limit(spec: AssertionSpec, context: BuildContext, unit: str) -> float:
    if context.dialect is Dialect.PROMPTFOO and spec.threshold is not None:
        return spec.threshold
    return threshold_value(spec, unit)


def finish_reason(spec: AssertionSpec, context: BuildContext) -> FinishReason:
    """`value`: such as `stop`, `length`, `tool_calls`."""
    if context.dialect is Dialect.PROMPTFOO and not isinstance(spec.value, str):
        raise invalid("value", shown(spec.value), "expected text")
    return FinishReason(text_value(spec))


def perplexity(spec: AssertionSpec, context: BuildContext) -> Perplexity:
    """`threshold`: the most that is allowed; in promptfoo's dialect it may be missing, then it always passes."""
    if context.dialect is Dialect.PROMPTFOO and spec.threshold is None:
        return Perplexity(None, normalized=False)
    return Perplexity(_limit(spec, context, "perplexity"), normalized=False)


def perplexity_score(spec: AssertionSpec, context: BuildContext) -> Perplexity:
    """`threshold`: the least that is allowed; in promptfoo's dialect it may be missing, then it always passes."""
    if context.dialect is Dialect.PROMPTFOO and spec.threshold is None:
        return Perplexity(None, normalized=True)
    return Perplexity(_limit(spec, context, "the score 1 / (1 + perplexity)"), normalized=True)


def guardrails(_spec: AssertionSpec, _context: BuildContext) -> Guardrails:
    """No value."""
    return Guardrails()
