"""The names of promptfoo's assertion types (0.123.1), and what is special about some of them."""

from __future__ import annotations

from typing import Final

BASE_TYPES: Final = (
    "agent-rubric", "answer-relevance", "bleu", "classifier", "contains", "contains-all", "contains-any", "contains-html",
    "contains-json", "contains-sql", "contains-xml", "context-faithfulness", "context-recall", "context-relevance",
    "conversation-relevance", "cost", "equals", "factuality", "finish-reason", "g-eval", "gleu", "guardrails", "icontains",
    "icontains-all", "icontains-any", "is-html", "is-json", "is-refusal", "is-sql", "is-valid-function-call",
    "is-valid-openai-function-call", "is-valid-openai-tools-call", "is-xml", "javascript", "latency", "levenshtein",
    "llm-rubric", "meteor", "model-graded-closedqa", "model-graded-factuality", "moderation", "perplexity",
    "perplexity-score", "pi", "python", "regex", "rouge-n", "ruby", "search-rubric", "similar", "similar:cosine",
    "similar:dot", "similar:euclidean", "skill-used", "starts-with", "tool-call-f1", "trace-error-spans",
    "trace-span-count", "trace-span-duration", "trajectory:goal-success", "trajectory:step-count",
    "trajectory:tool-args-match", "trajectory:tool-sequence", "trajectory:tool-used", "webhook", "word-count",
)  # fmt: skip
SET: Final = "assert-set"
COMPARING: Final = ("select-best", "max-score")
"""Decided once the answers of all columns are there. Neither has a `not-` form."""
PEOPLE: Final = "human"
REDTEAM: Final = "promptfoo:redteam:"
NOT: Final = "not-"
NOT_IGNORED_BY: Final = frozenset(
    {
        "factuality", "is-valid-function-call", "is-valid-openai-function-call", "is-valid-openai-tools-call",
        "model-graded-closedqa", "model-graded-factuality", "pi", "trace-error-spans", "trace-span-count",
        "trace-span-duration",
    }
)  # fmt: skip
"""Types whose `not-` promptfoo accepts and then ignores."""
ALL_TYPES: Final = (*BASE_TYPES, *(NOT + name for name in BASE_TYPES), *COMPARING, PEOPLE, SET)
"""What `type` may be, red-team types apart."""
