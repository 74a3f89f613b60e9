"""The judges of a configuration, made before anything is spent: a key that is missing would cost every row that is judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from promptship.errors import ConfigError, Problem
from promptship.evals.assertions.catalogue import KINDS, Need
from promptship.evals.promptfoo.assertion_types import NOT
from promptship.evals.promptfoo.graders import PromptfooGraders
from promptship.evals.promptfoo.model import Config, TestCase
from promptship.evals.promptfoo.places import Places, assertions_of
from promptship.evals.promptfoo.run import Plan

TEXT: Final = "text"
_ASKED: Final[Mapping[Need, str]] = {
    Need.JUDGE: TEXT, Need.EMBEDDINGS: "embedding", Need.MODERATION: "moderation", Need.CLASSIFIER: "classification",
}  # fmt: skip
"""The kind of question behind a need."""


def refuse_unjudged(planned: Plan, graders: PromptfooGraders) -> None:
    """Raise ConfigError when judged assertions have nobody who judges, or his key is missing."""
    problems = judge_problems(planned.cases, planned.config, graders)
    if problems:
        raise ConfigError(problems)


def judge_problems(
    cases: Sequence[TestCase], config: Config, graders: PromptfooGraders
) -> tuple[Problem, ...]:
    """What keeps judged assertions from being asked; each once, where it is met first."""
    places = Places(config)
    met: dict[Problem, tuple[Problem, int]] = {}
    for who, kind, told, where, key in questions(cases, config):
        try:
            graders.ready(who, kind)
        except ConfigError as error:
            for why in error.problems:
                first, count = met.get(why, (Problem(where, key, told, "expected somebody who judges"), 0))
                met[why] = (first, count + 1)
    return tuple(_said(places.problem(first), why, count) for why, (first, count) in met.items())


def _said(place: Problem, why: Problem, count: int) -> Problem:
    more = f", and {count - 1:,} more" if count > 1 else ""
    cause = f"{why.key} is {why.got}" if why.key else why.got
    return replace(place, got=f"{place.got}{more}: {cause}", expected=why.expected, advice=why.advice)


def questions(cases: Sequence[TestCase], config: Config) -> Iterator[tuple[Any, str, str, str, str]]:
    """Who is asked what, by which assertion, and where that stands; the same question to the same judge once per assertion."""
    told = {id(raw): (where, key) for raw, where, key in assertions_of(cases, config)}
    seen: set[tuple[int, int]] = set()
    for case in cases:
        own = case.options.get("provider")
        for raw in _flat(case.asserts):
            if (id(raw), id(own)) in seen or id(raw) not in told:
                continue
            seen.add((id(raw), id(own)))
            name = str(raw.get("type"))
            needs = KINDS[name.removeprefix(NOT)].needs if name.removeprefix(NOT) in KINDS else ()
            where, key = told[id(raw)]
            for need in needs:
                if need in _ASKED:
                    yield raw.get("provider") or own, _ASKED[need], name, where, key


def _flat(asserts: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    for raw in asserts:
        if isinstance(raw, Mapping):
            yield raw
            members = raw.get("assert")
            yield from _flat(members if isinstance(members, list) else ())
