"""Assertion types that a model judges, by name; and those that are decided elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from promptship.evals.assertions.base import Assertion, AssertionSpec, BuildContext, Maker
from promptship.evals.assertions.catalogue import COMPARED, NOT_VOTING
from promptship.evals.assertions.judged_compared import chosen, max_score
from promptship.evals.assertions.judged_context import context_faithfulness, context_recall, context_relevance
from promptship.evals.assertions.judged_conversation import conversation_relevance, goal_success
from promptship.evals.assertions.judged_flags import classifier, moderation
from promptship.evals.assertions.judged_orders import RUBRICS_VERSION
from promptship.evals.assertions.judged_rubric import closed_qa, factuality, llm_rubric, pi, remote_rubric
from promptship.evals.assertions.judged_steps import g_eval
from promptship.evals.assertions.judged_vectors import Metric, answer_relevance, similar
from promptship.evals.score import Judged, Subject, Unscored

__all__ = ["COMPARED", "JUDGED", "NOT_VOTING", "RUBRICS_VERSION"]


@dataclass(frozen=True, slots=True)
class Person:
    """A type that only a person decides. It must weigh 0."""

    async def judge(self, _subject: Subject) -> Judged:
        """Never a score."""
        return Judged(Unscored("a person scores this"))


def _human(_spec: AssertionSpec, _context: BuildContext) -> Assertion:
    return Person()


JUDGED: Final[Mapping[str, Maker]] = MappingProxyType(
    {
        "agent-rubric": remote_rubric("agent", "an agent with tools must judge this"),
        "answer-relevance": answer_relevance,
        "classifier": classifier,
        "context-faithfulness": context_faithfulness,
        "context-recall": context_recall,
        "context-relevance": context_relevance,
        "conversation-relevance": conversation_relevance,
        "factuality": factuality,
        "g-eval": g_eval,
        "human": _human,
        "llm-rubric": llm_rubric("rubric"),
        "max-score": max_score,
        "model-graded-closedqa": closed_qa,
        "model-graded-factuality": factuality,
        "moderation": moderation,
        "pairwise": chosen,
        "pi": pi,
        "search-rubric": remote_rubric("search", "a model that can search the web must judge this"),
        "select-best": chosen,
        "similar": similar(Metric.COSINE),
        "similar:cosine": similar(Metric.COSINE),
        "similar:dot": similar(Metric.DOT),
        "similar:euclidean": similar(Metric.EUCLIDEAN),
        "trajectory:goal-success": goal_success,
    }
)
"""Maker of every judged type; without `not-`."""
