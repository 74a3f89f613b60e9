"""What can be said about a suite before a single answer is paid: one row of plain facts per case, for the suite gate."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final

import orjson

from promptship.adapters.suite_gate import RULES, Rule, broken_promises, named
from promptship.evals.assertions import Prepared
from promptship.evals.assertions.catalogue import COMPARED
from promptship.evals.cases import Case, Suite
from promptship.prompts.lint.personal import contacts_in, personal_numbers_in
from promptship.prompts.lint.secrets import secrets_in

NEAR: Final = 92.0
"""Similarity in percent (normalised indel) from which two inputs are near duplicates."""
SHINGLE: Final = 4
"""Words of one shingle; only inputs that share one are compared, so that thousands of cases take seconds."""
BUCKET_MAX: Final = 30
"""A shingle that so many inputs share is a phrase of the suite, not a sign of a copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """Facts of one case. None: there is nothing of that kind. Nothing here quotes the case."""

    id: str
    duplicate_of: str | None
    """An earlier case that asks and demands exactly the same."""
    near_duplicate_of: str | None
    """An earlier case with nearly the same input; None also where both have a topic, the same or not."""
    checks: int
    """Assertions that can fail the case."""
    empty_checks: int
    """Assertions that nothing can fail: patterns that match an empty text."""
    secret: str | None
    """Kind of credential in the case."""
    personal: str | None
    """Kind of personal data in the case."""
    slices: tuple[str, ...]


COLUMNS: Final = tuple(field.name for field in fields(CaseRow) if field.name != "slices")


def case_rows(suite: Suite) -> tuple[CaseRow, ...]:
    """One row per case, in the order of the suite."""
    inputs = [_input(case) for case in suite.cases]
    # What is demanded is the same line in most cases: it is looked at once.
    secret, personal = cache(_secret), cache(_personal)
    copies = copies_of(suite.cases)
    near = _near_copies(suite.cases, inputs)
    return tuple(
        CaseRow(
            id=case.id,
            duplicate_of=copies.get(case.id),
            near_duplicate_of=None if case.id in copies else near.get(case.id),
            checks=sum(can_fail(one) for turn in case.turns for one in turn.asserts),
            empty_checks=sum(demands_nothing(one) for turn in case.turns for one in turn.asserts),
            secret=_first(map(secret, _lines(case, text))),
            personal=_first(map(personal, _lines(case, text))),
            slices=case.tags,
        )
        for case, text in zip(suite.cases, inputs, strict=True)
    )


def columns_of(suite: Suite, rows: Sequence[CaseRow]) -> tuple[dict[str, list[Any]], dict[str, int]]:
    """What the gate looks at: the rows as columns, and the number of cases per slice that the suite promises to cover."""
    columns = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    return columns, {name: sum(name in row.slices for row in rows) for name in suite.slices}


def looked_over(suite: Suite) -> tuple[list[str], list[str]]:
    """What the gate will say of the suite in a release, problems and warnings, without the seconds of Great Expectations."""
    columns, slices = columns_of(suite, case_rows(suite))
    problems: list[str] = []
    warnings: list[str] = []
    for rule in RULES:
        values = zip(columns["id"], columns[rule.column], strict=True)
        if broken := [case for case, value in values if _breaks(rule, value)]:
            (warnings if rule.warning else problems).append(named(rule.says, broken))
    return problems + broken_promises(slices), warnings


def _breaks(rule: Rule, value: Any) -> bool:
    if rule.least is None and rule.most is None:
        return value is not None
    return (rule.least is not None and value < rule.least) or (rule.most is not None and value > rule.most)


def _input(case: Case) -> str:
    """Everything that is said to the model in this case, as text."""
    values = [
        str(value) if isinstance(value, str) else _json(value) for _, value in sorted(case.vars.items())
    ]
    said = [message.content for message in case.messages]
    turns = [turn.user for turn in case.turns if turn.user is not None]
    goal = [case.attack.goal] if case.attack is not None else []
    return "\n".join([*values, *said, *turns, *goal])


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str).decode()


def _lines(case: Case, text: str) -> Iterable[str]:
    yield from text.splitlines()
    for turn in case.turns:
        for one in turn.asserts:
            if isinstance(one.value, str):
                yield from one.value.splitlines()


def _secret(line: str) -> str | None:
    return next((hit.kind for hit in secrets_in(line)), None)


def _personal(line: str) -> str | None:
    return next((hit.kind for hit in (*personal_numbers_in(line), *contacts_in(line))), None)


def _first(found: Iterable[str | None]) -> str | None:
    return next((kind for kind in found if kind is not None), None)


def can_fail(one: Prepared) -> bool:
    """Whether an answer can fail a case by this assertion; comparisons get their vote when all answers are there."""
    return one.weight > 0 or one.type in COMPARED


def demands_nothing(one: Prepared) -> bool:
    """A search that even an empty answer satisfies is satisfied by every answer; an empty `contains` does not load."""
    if one.type != "regex" or not isinstance(one.value, str):
        return False
    try:
        return re.search(one.value, "") is not None
    except re.error:
        return False  # the assertion itself will say so


def copies_of(cases: Sequence[Case]) -> dict[str, str]:
    """Case -> the first case with the same digest, which covers inputs and demands."""
    first: dict[str, str] = {}
    copies: dict[str, str] = {}
    for case in cases:
        earlier = first.setdefault(case.digest, case.id)
        if earlier != case.id:
            copies[case.id] = earlier
    return copies


def _near_copies(cases: Sequence[Case], inputs: Sequence[str]) -> dict[str, str]:
    """Case -> an earlier case whose input is nearly the same. Where both name a topic, somebody has said what counts as one fact."""
    from rapidfuzz import fuzz

    buckets: dict[int, list[int]] = defaultdict(list)
    near: dict[str, str] = {}
    for number, (case, text) in enumerate(zip(cases, inputs, strict=True)):
        others: dict[int, None] = {}
        for shingle in _shingles(text):
            bucket = buckets[shingle]
            if len(bucket) < BUCKET_MAX:
                others.update(dict.fromkeys(bucket))
                bucket.append(number)
        for other in others:
            told = case.topic and cases[other].topic
            if not told and fuzz.ratio(text, inputs[other], score_cutoff=NEAR):
                near[case.id] = cases[other].id
                break
    return near


def _shingles(text: str) -> set[int]:
    """Two that are taken for one only cost a comparison."""
    words = text.casefold().split()
    count = max(1, len(words) - SHINGLE + 1)
    grams = (" ".join(words[at : at + SHINGLE]) for at in range(count))
    return set(map(hash, grams))
