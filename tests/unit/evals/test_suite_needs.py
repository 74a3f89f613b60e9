"""Assertions that nobody in a native suite could ever score do not load; the others do."""

from __future__ import annotations

import pytest

from promptship.errors import ConfigError, Problem
from tests.support.suites import suite_of

ALL_MODELS = "{model: j, embeddings: e, moderation: m}"


def problem(spec: str, judge: str = ALL_MODELS, variables: str = "{query: q, context: c}") -> Problem | None:
    """What is wrong with a suite of one case that demands it, beside something that can be scored."""
    head = f"judge: {judge}\n" if judge else ""
    text = f"{head}cases:\n  - vars: {variables}\n    assert:\n      - {{type: contains, value: x}}\n      - {spec}\n"
    try:
        suite_of(text)
    except ConfigError as error:
        (found,) = error.problems
        return found
    return None


@pytest.mark.parametrize(
    ("spec", "because"),
    [
        ("{type: trace-span-count, value: {pattern: x, max: 1}}", "needs a trace"),
        ("{type: not-trace-error-spans, value: 1}", "needs a trace"),
        ("{type: 'trajectory:tool-used', value: x}", "needs a trace"),
        ("{type: skill-used, value: x}", "needs the skills"),
        ("{type: classifier, value: x}", "needs a classifier"),
        ("{type: classifier, value: x, provider: c}", "needs a classifier"),
        ("{type: assert-set, assert: [{type: skill-used, value: x}]}", "needs the skills"),
        ("{type: search-rubric, value: x}", "expected the model that judges"),
        ("{type: agent-rubric, value: x}", "expected the model that judges"),
        ("{type: pi, value: x}", "expected the model that judges"),
        ("{type: llm-rubric, value: x, provider: {id: y}}", "expected the name of a model"),
        ("{type: answer-relevance, provider: y}", "asks two models"),
        ("{type: webhook, value: 'http://'}", "an address with a host"),
    ],
)
def test_what_could_never_have_a_score_is_refused_with_its_line(spec: str, because: str) -> None:
    found = problem(spec)
    assert found is not None
    assert because in found.expected
    assert (found.file, found.line) == ("suites/s.yaml", 6)
    assert found.key.startswith("cases[0].assert[1].")


@pytest.mark.parametrize(
    ("spec", "judge", "because"),
    [
        ("{type: llm-rubric, value: x}", "", "needs a judge"),
        ("{type: 'redteam:harmful'}", "", "it could never fail"),
        ("{type: 'redteam:false-premise'}", "", "it could never fail"),
        ("{type: similar, value: x}", "", "needs a judge"),
        ("{type: similar, value: x, provider: e}", "", "needs a judge"),
        ("{type: similar, value: x}", "{model: j}", "needs an embedding model"),
        ("{type: answer-relevance}", "{model: j}", "needs an embedding model"),
        ("{type: moderation}", "{model: j}", "needs a moderation model"),
    ],
)
def test_models_that_nobody_named_are_asked_for(spec: str, judge: str, because: str) -> None:
    found = problem(spec, judge)
    assert found is not None
    assert because in found.expected
    assert "judge" in found.advice


@pytest.mark.parametrize(
    ("spec", "judge"),
    [
        ("{type: llm-rubric, value: x}", "{model: j}"),
        ("{type: search-rubric, value: x, provider: p}", "{model: j}"),
        ("{type: similar, value: x, provider: e}", "{model: j}"),
        ("{type: moderation, provider: m}", "{model: j}"),
        ("{type: answer-relevance}", ALL_MODELS),
        ("{type: 'trajectory:goal-success', value: x}", "{model: j}"),
        ("{type: 'redteam:harmful'}", "{model: j}"),
        ("{type: 'redteam:agency'}", ""),
        ("{type: human}", ""),
        ("{type: webhook, value: 'http://localhost:1/x'}", ""),
        ("{type: tool-call-f1, value: x}", ""),
    ],
)
def test_what_can_have_a_score_loads(spec: str, judge: str) -> None:
    assert problem(spec, judge) is None


@pytest.mark.parametrize(
    ("spec", "variables", "key"),
    [
        ("{type: context-relevance}", "{query: q}", "vars.context"),
        ("{type: context-relevance}", "{context: c}", "vars.query"),
        ("{type: context-faithfulness}", "{query: q, context: []}", "vars.context"),
        ("{type: context-faithfulness}", "{query: q, context: [' ']}", "vars.context"),
        ("{type: context-faithfulness}", "{query: q, context: [1]}", "vars.context"),
        ("{type: assert-set, assert: [{type: context-relevance}]}", "{query: 7, context: c}", "vars.query"),
        ("{type: context-relevance}", "{query: q, context: [c]}", None),
        ("{type: context-relevance, contextTransform: output}", "{query: q}", None),
        ("{type: context-recall, value: c}", "{x: y}", None),
    ],
)
def test_variables_that_an_assertion_reads_are_there(spec: str, variables: str, key: str | None) -> None:
    found = problem(spec, variables=variables)
    assert (None if found is None else found.key) == (None if key is None else f"cases[0].{key}")
