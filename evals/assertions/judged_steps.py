"""`g-eval`: a judge first writes the steps of the grading, then grades by them (after Liu et al. 2023, G-Eval)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from promptship.evals.assertions.base import Assertion, AssertionSpec, BuildContext, Dialect, invalid
from promptship.evals.assertions.judged_asking import Hearing, heard
from promptship.evals.assertions.judged_making import (
    conversation,
    only,
    prompt_of,
    reaching,
    reading,
    said_text,
    threshold_of,
)
from promptship.evals.assertions.judged_prompts import Orders, as_value, orders
from promptship.evals.assertions.judged_reading import (
    Unread,
    first_object,
    number,
    reason,
    texts,
    whole_object,
)
from promptship.evals.score import Judged, Part, Score, Scored, Subject

POINTS: Final = 10.0
THRESHOLD: Final = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepwise:
    """The mean over criteria of points / 10. Steps depend on the criterion alone: with a cache they are written once."""

    steps: Orders
    evaluate: Orders
    criteria: tuple[str, ...]
    threshold: float
    who: Any = None

    async def judge(self, subject: Subject) -> Judged:
        """The mean score; one criterion without a verdict leaves it Unscored."""
        return await heard(subject.services, self.who, lambda hearing: self._score(hearing, subject))

    async def _score(self, hearing: Hearing, subject: Subject) -> Score:
        found = [await self._points(hearing, subject, criterion) for criterion in self.criteria]
        mean = math.fsum(points for points, _ in found) / len(found) / POINTS
        if len(found) > 1 and not self.evaluate.promptfoo:
            hearing.parts = tuple(
                Part(
                    label=criterion[:80],
                    type="g-eval",
                    score=reaching(points / POINTS, self.threshold, because),
                )
                for criterion, (points, because) in zip(self.criteria, found, strict=True)
            )
        return Scored(mean >= self.threshold - 1e-12, mean, "\n\n".join(because for _, because in found))

    async def _points(self, hearing: Hearing, subject: Subject, criterion: str) -> tuple[float, str]:
        read = reading(self.steps, _steps, _steps_loosely)
        asked = await self.steps.messages(
            subject.services, [("criterion", criterion)], {"criteria": criterion}
        )
        steps = await hearing.say(asked, read)
        parts = [
            ("criterion", criterion),
            ("steps", "\n".join(f"- {step}" for step in steps)),
            *conversation(subject),
            ("answer", subject.output),
        ]
        asked_for = prompt_of(subject)
        values = {
            "criteria": criterion, "steps": "\n- ".join(steps), "maxScore": f"{POINTS:g}",
            "input": as_value(asked_for) if self.evaluate.promptfoo else asked_for,
            "output": said_text(subject, self.evaluate),
        }  # fmt: skip
        given = reading(self.evaluate, _given, _given_loosely)
        return await hearing.say(await self.evaluate.messages(subject.services, parts, values), given)


def _steps(text: str) -> list[str]:
    return _some(texts(whole_object(text), "steps"))


def _steps_loosely(text: str) -> list[str]:
    return _some(texts(first_object(text, "steps"), "steps"))


def _some(steps: list[str]) -> list[str]:
    if not steps:
        raise Unread("`steps` is empty")
    return steps


def _given(text: str) -> tuple[float, str]:
    said = whole_object(text)
    return number(said, "score", POINTS), reason(said)


def _given_loosely(text: str) -> tuple[float, str]:
    said = first_object(text, "score")
    if isinstance(said["score"], str):
        try:
            said["score"] = float(said["score"])
        except ValueError:
            raise Unread("`score` is not a number") from None
    return number(said, "score", POINTS), reason(said)


def g_eval(spec: AssertionSpec, context: BuildContext) -> Assertion:
    """`value`: a criterion, or several; `rubricPrompt`: `steps` and `evaluate`, each may be left out."""
    only(spec, context, "rubricPrompt", "threshold")
    value = spec.value if isinstance(spec.value, list | tuple) else [spec.value]
    if not value or not all(isinstance(item, str) and item.strip() for item in value):
        got = "missing" if spec.value is None else repr(spec.value)[:60]
        raise invalid("value", got, "expected a criterion, or a list of criteria")
    own = spec.rubric_prompt or {}
    if not isinstance(own, dict) or not set(own) <= {"steps", "evaluate"}:
        if context.dialect is Dialect.NATIVE:
            raise invalid("rubricPrompt", repr(own)[:60], "expected a mapping with `steps` and `evaluate`")
        own = own if isinstance(own, dict) else {}  # as promptfoo does: anything else is ignored
    return Stepwise(
        steps=orders("steps", spec, context, own.get("steps") or ""),
        evaluate=orders("stepwise", spec, context, own.get("evaluate") or ""),
        criteria=tuple(value), threshold=threshold_of(spec, context, THRESHOLD), who=spec.provider,
    )  # fmt: skip
