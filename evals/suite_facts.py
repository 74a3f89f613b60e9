"""What can be said about a suite before a single answer is paid: one row of plain facts per case, for the suite gate."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from promptship.evals.assertions.judged import COMPARED
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
    """An earlier case with nearly the same input that is not of the same topic."""
    checks: int
    """Assertions that can fail the case."""
    empty_checks: int
    """Assertions that nothing can fail: patterns that match an empty text."""
    secret: str | None
    """Kind of credential in the case."""
    personal: str | None
    """Kind of personal data in the case."""
    slices: tuple[str, ...]


def case_rows(suite: Suite) -> tuple[CaseRow, ...]:
    """One row per case, in the order of the suite."""
    inputs = [_input(case) for case in suite.cases]
    copies = _copies(suite.cases)
    near = _near_copies(suite.cases, inputs)
    return tuple(
        CaseRow(
            id=case.id,
            duplicate_of=copies.get(case.id),
            near_duplicate_of=None if case.id in copies else near.get(case.id),
            checks=sum(
                1 for turn in case.turns for one in turn.asserts if one.weight > 0 or one.type in COMPARED
            ),
            empty_checks=sum(
                1 for turn in case.turns for one in turn.asserts if _demands_nothing(one.value, one.type)
            ),
            secret=_first(secrets_in(line) for line in _lines(case, text)),
            personal=_first((*personal_numbers_in(line), *contacts_in(line)) for line in _lines(case, text)),
            slices=case.tags,
        )
        for case, text in zip(suite.cases, inputs, strict=True)
    )


def _input(case: Case) -> str:
    """Everything that is said to the model in this case, as text."""
    values = [
        str(value) if isinstance(value, str) else _json(value) for _, value in sorted(case.vars.items())
    ]
    said = [message.content for message in case.messages]
    turns = [turn.user for turn in case.turns if turn.user is not None]
    return "\n".join([*values, *said, *turns])


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str).decode()


def _lines(case: Case, text: str) -> Iterable[str]:
    yield from text.splitlines()
    for turn in case.turns:
        for one in turn.asserts:
            if isinstance(one.value, str):
                yield from one.value.splitlines()


def _first(found: Iterable[Sequence[Any]]) -> str | None:
    return next((str(hits[0].kind) for hits in found if hits), None)


def _demands_nothing(value: Any, type_: str) -> bool:
    """A search that even an empty answer satisfies is satisfied by every answer; an empty `contains` does not load."""
    if type_ != "regex" or not isinstance(value, str):
        return False
    try:
        return re.search(value, "") is not None
    except re.error:
        return False  # the assertion itself will say so


def _copies(cases: Sequence[Case]) -> dict[str, str]:
    """Case -> the first case with the same digest, which covers inputs and demands."""
    first: dict[str, str] = {}
    copies: dict[str, str] = {}
    for case in cases:
        earlier = first.setdefault(case.digest, case.id)
        if earlier != case.id:
            copies[case.id] = earlier
    return copies


def _near_copies(cases: Sequence[Case], inputs: Sequence[str]) -> dict[str, str]:
    """Case -> an earlier case whose input is nearly the same. Cases of one topic are alike on purpose."""
    from rapidfuzz import fuzz

    buckets: dict[bytes, list[int]] = defaultdict(list)
    near: dict[str, str] = {}
    for number, (case, text) in enumerate(zip(cases, inputs, strict=True)):
        others: dict[int, None] = {}
        for shingle in _shingles(text):
            bucket = buckets[shingle]
            if len(bucket) < BUCKET_MAX:
                others.update(dict.fromkeys(bucket))
                bucket.append(number)
        for other in others:
            alike = case.topic and case.topic == cases[other].topic
            if not alike and fuzz.ratio(text, inputs[other], score_cutoff=NEAR):
                near[case.id] = cases[other].id
                break
    return near


def _shingles(text: str) -> set[bytes]:
    words = text.casefold().split()
    count = max(1, len(words) - SHINGLE + 1)
    grams = (" ".join(words[at : at + SHINGLE]) for at in range(count))
    return {hashlib.blake2b(gram.encode(), digest_size=8).digest() for gram in grams}
