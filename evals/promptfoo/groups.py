"""The work of a promptfoo run: the rows of every test with each column, in promptfoo's order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from promptship import __version__
from promptship.evals.assertions.judged_orders import RUBRICS_VERSION
from promptship.evals.judge_questions import questions
from promptship.evals.promptfoo.assertion_types import COMPARING, NOT, SET
from promptship.evals.promptfoo.columns import Column, columns_of
from promptship.evals.promptfoo.contents import Contents
from promptship.evals.promptfoo.model import Config, TestCase
from promptship.evals.promptfoo.run_state import CONVERSATION
from promptship.evals.promptfoo.unit import Kit, PromptfooUnit, row_digest
from promptship.evals.rows import CaseFacts
from promptship.evals.units import Group, Settle

_TAG_MAX: Final = 40
Settling = Callable[[TestCase], Settle]
"""What settles the comparisons of a case."""


def case_id(case: TestCase) -> str:
    """Its number, and what it is called: unique in a run, and in the order of the tests."""
    name = " ".join(case.description.split())[:60]
    return f"{case.index:05d} {name}".strip()


def work(
    cases: Sequence[TestCase],
    columns: Sequence[Column],
    kit: Kit,
    *,
    digests: Sequence[str],
    settling: Settling,
) -> Iterator[Group]:
    """Every row of a run, made while running. Cases that run one by one come first, as in promptfoo."""
    everything_alone = goes_alone(cases, kit)
    serial = [case for case in cases if case.options.get("runSerially")]
    for case in (*serial, *(case for case in cases if not case.options.get("runSerially"))):
        asked = columns_of(case, columns)
        digest = digests[case.index]
        one_by_one = everything_alone or bool(case.options.get("runSerially"))
        compared = any(raw.get("type") in COMPARING for raw in case.asserts)
        for trial in range(case.repeat or 1):
            units = tuple(
                PromptfooUnit(
                    content=case, column=column, trial=trial, case=case_id(case), digest=row_digest(digest, column.digest),
                    kit=kit, alone=one_by_one, after_others=bool(serial) and not one_by_one,
                )
                for column in asked
            )  # fmt: skip
            if compared and units:
                yield Group(units, settling(case))
            else:
                yield from (Group((unit,)) for unit in units)


def goes_alone(cases: Sequence[TestCase], kit: Kit) -> bool:
    """Whether rows hand something on to later ones, so that all go one by one."""
    return kit.state.remembers or any(case.options.get("storeOutputAs") for case in cases)


def remembers(columns: Sequence[Column], mentions: Callable[[str, str], bool]) -> bool:
    """Whether some prompt uses the conversation so far. `mentions`: whether a template uses a variable."""
    return any(mentions(column.prompt.raw, CONVERSATION) for column in columns)


def rows_of(cases: Sequence[TestCase], columns: Sequence[Column]) -> int:
    """How many rows a whole run has."""
    return sum(len(columns_of(case, columns)) * (case.repeat or 1) for case in cases)


def judge_calls_of(cases: Sequence[TestCase], columns: Sequence[Column]) -> tuple[int, int]:
    """Questions to judges as a rule, and at most."""
    usual = most = 0
    for case in cases:
        rows, repeat = len(columns_of(case, columns)), case.repeat or 1
        for name, criteria in _judged(case.asserts):
            times = repeat * (int(rows > 1) if name in COMPARING else rows)
            one, one_max = questions(name, criteria=criteria)
            usual, most = usual + times * one, most + times * one_max
    return usual, most


def _judged(asserts: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    """Type and number of criteria of each assertion, of a set those of its members."""
    for raw in asserts:
        if raw.get("type") == SET:
            yield from _judged(raw.get("assert") or ())
        else:
            value = raw.get("value")
            yield str(raw.get("type")).removeprefix(NOT), len(value) if isinstance(value, list) else 1


def case_facts(cases: Sequence[TestCase]) -> tuple[CaseFacts, ...]:
    """What reports need to know of every case; short texts of its metadata are its tags."""
    return tuple(
        CaseFacts(id=case_id(case), description=case.description, tags=_tags(case.metadata), vars=case.vars)
        for case in cases
    )


def _tags(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        f"{key}:{item}"
        for key, value in metadata.items()
        for item in (value if isinstance(value, list) else [value])
        if key != "conversationId" and isinstance(item, str) and 0 < len(item) <= _TAG_MAX
    )


def case_digests(cases: Sequence[TestCase], contents: Contents) -> tuple[str, ...]:
    """Of every case, by its index."""
    return tuple(contents.digest([case.index, case.raw]) for case in cases)


def run_digest(
    cases: Sequence[TestCase],
    digests: Sequence[str],
    columns: Sequence[Column],
    config: Config,
    contents: Contents,
) -> str:
    """Content address of what a run is about, with the files it names: only a run of the same can be gone on with."""
    parts = [column.digest for column in columns]
    parts += [f"{digest} {case.repeat}" for digest, case in zip(digests, cases, strict=True)]
    more = [dict(config.nunjucks_filters), list(config.extensions), list(config.derived_metrics)]
    parts += [contents.digest(more), __version__, str(RUBRICS_VERSION)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
