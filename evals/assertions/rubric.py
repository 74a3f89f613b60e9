"""`llm-rubric`: a judge model grades the answer."""

from __future__ import annotations

from dataclasses import dataclass, replace

from promptship.evals.assertions.base import AssertionSpec, Reader, text_value
from promptship.evals.score import Judged, Scored, Subject, Unscored


@dataclass(frozen=True, slots=True)
class Rubric:
    """Passes when the judge says so and, with a threshold, its score reaches it."""

    rubric: str
    threshold: float | None = None

    async def judge(self, subject: Subject) -> Judged:
        """A judge that fails is Unscored, never a zero and never a pass."""
        if subject.judge is None:
            return Judged(Unscored("the suite names no judge model"))
        score, tokens = await subject.judge.grade(self.rubric, subject)
        if isinstance(score, Scored) and self.threshold is not None and score.score < self.threshold:
            score = replace(score, passed=False)
        return Judged(score, tokens)


def rubric(spec: AssertionSpec, _read: Reader) -> Rubric:
    """`value`: the rubric; `threshold`: least score, 0..1."""
    return Rubric(text_value(spec), spec.threshold)
