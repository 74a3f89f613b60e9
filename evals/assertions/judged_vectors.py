"""Types that measure with embeddings: similarity, and whether an answer fits its question."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from promptship.evals.assertions.base import Assertion, AssertionSpec, BuildContext, Dialect, Maker, invalid
from promptship.evals.assertions.judged_asking import Hearing, heard
from promptship.evals.assertions.judged_making import (
    ROUNDING,
    only,
    prompt_of,
    reaching,
    reading,
    threshold_of,
)
from promptship.evals.assertions.judged_prompts import Orders, as_value, orders
from promptship.evals.assertions.judged_reading import Unread, texts, whole_object
from promptship.evals.score import Judged, Score, Scored, Subject

SIMILAR: Final = 0.75
RELEVANT: Final = 0.5
QUESTIONS: Final = 3

if TYPE_CHECKING:
    from promptship.evals.assertions.judged_asking import Floats


class Metric(StrEnum):
    """How two vectors are compared."""

    COSINE = "cosine"
    DOT = "dot"
    EUCLIDEAN = "euclidean"


def cosine(left: Floats, right: Floats) -> float:
    """Of two vectors that are not zero, -1..1; neither tiny nor huge ones lose it."""
    import numpy as np

    left, right = left / np.abs(left).max(), right / np.abs(right).max()
    value = float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))
    return min(1.0, max(-1.0, value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Similar:
    """The answer is close to one of several texts: similarity at least the threshold, distance at most."""

    references: tuple[str, ...]
    metric: Metric
    threshold: float
    raw: bool
    """promptfoo's score is the similarity itself; ours is kept in 0..1."""
    who: Any = None

    async def judge(self, subject: Subject) -> Judged:
        """Score: cosine or dot product, or 1 / (1 + distance)."""
        return await heard(subject.services, self.who, lambda hearing: self._score(hearing, subject))

    async def _score(self, hearing: Hearing, subject: Subject) -> Score:
        said, *others = await hearing.embed([subject.output, *self.references])
        best: Scored | None = None
        for other in others:
            found = self._compared(said, other)
            if found.passed:
                return found
            if best is None or found.score > best.score:
                best = found
        assert best is not None  # noqa: S101 - there is at least one reference
        return best

    def _compared(self, said: Floats, other: Floats) -> Scored:
        if self.metric is Metric.EUCLIDEAN:
            import numpy as np

            distance = float(np.linalg.norm(said - other))
            passed = distance <= self.threshold + ROUNDING
            because = f"distance {distance:.3f}, wanted at most {self.threshold:g}"
            return Scored(passed, 1.0 / (1.0 + distance), "" if passed else because)
        value = cosine(said, other) if self.metric is Metric.COSINE else float(said @ other)
        passed = value >= self.threshold - ROUNDING
        because = f"similarity {value:.3f}, wanted at least {self.threshold:g}"
        score = value if self.raw else min(1.0, max(0.0, value))
        return Scored(passed, score, "" if passed else because)


def similar(metric: Metric) -> Maker:
    """Maker of `similar`. `value`: a text or several; `threshold`: least similarity, or greatest distance (0.75)."""

    def make(spec: AssertionSpec, context: BuildContext) -> Assertion:
        only(spec, context, "threshold")
        value = spec.value if isinstance(spec.value, list | tuple) else [spec.value]
        if isinstance(spec.value, int | float) and not isinstance(spec.value, bool):
            value = [str(spec.value)]
        if not value or not all(isinstance(item, str) and item for item in value):
            got = "missing" if spec.value is None else repr(spec.value)[:60]
            raise invalid("value", got, "expected a text, or a list of texts")
        high = 1.0 if metric is Metric.COSINE else math.inf
        return Similar(
            references=tuple(value), metric=metric, threshold=threshold_of(spec, context, SIMILAR, high=high),
            raw=context.dialect is Dialect.PROMPTFOO, who=spec.provider,
        )  # fmt: skip

    return make


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRelevance:
    """How close the questions that an answer answers are to the one that was asked: mean cosine."""

    orders: Orders
    threshold: float
    raw: bool
    who: Any = None

    async def judge(self, subject: Subject) -> Judged:
        """Variable `query` is what was asked, or else the prompt."""
        return await heard(subject.services, self.who, lambda hearing: self._score(hearing, subject))

    async def _score(self, hearing: Hearing, subject: Subject) -> Score:
        query = subject.vars.get("query")
        asked = query if isinstance(query, str) and query else prompt_of(subject)
        questions = await self._questions(hearing, subject)
        target, *vectors = await hearing.embed([asked, *questions])
        mean = math.fsum(cosine(target, vector) for vector in vectors) / len(vectors)
        return reaching(mean if self.raw else max(0.0, mean), self.threshold, f"relevance {mean:.3f}")

    async def _questions(self, hearing: Hearing, subject: Subject) -> list[str]:
        """Three in one reply to our orders; a reply that is one question is asked for twice more."""
        answer = as_value(subject.output) if self.orders.promptfoo else subject.output
        values = {**({} if self.orders.promptfoo else subject.vars), "answer": answer}
        messages = await self.orders.messages(subject.services, [("answer", subject.output)], values)
        own = self.orders.own

        def plain(reply: str) -> list[str]:
            return _question(reply, own=own)

        read = reading(self.orders, _three, plain)
        questions = await hearing.say(messages, read)
        while len(questions) < QUESTIONS:
            questions += await hearing.say(messages, plain)
        return questions


def _three(text: str) -> list[str]:
    found = texts(whole_object(text), "questions")
    if len(found) != QUESTIONS:
        raise Unread(f"`questions` has {len(found)} entries instead of {QUESTIONS}")
    return found


def _question(text: str, *, own: bool) -> list[str]:
    """The whole reply; to our own orders only what looks like a question, so that an excuse is none."""
    if not text.strip() or not (own or "?" in text):
        raise Unread("it is no question")
    return [text]


def answer_relevance(spec: AssertionSpec, context: BuildContext) -> Assertion:
    """`threshold`: least mean cosine (0.5)."""
    only(spec, context, "rubricPrompt", "threshold")
    if spec.value is not None and context.dialect is Dialect.NATIVE:
        raise invalid("value", repr(spec.value)[:60], f"{spec.type} takes no value", "remove the key")
    return AnswerRelevance(
        orders=orders("questions", spec, context), threshold=threshold_of(spec, context, RELEVANT),
        raw=context.dialect is Dialect.PROMPTFOO, who=spec.provider,
    )  # fmt: skip
