"""The golden table of assertions: what is asked, and what is said to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import yaml

from promptship.errors import ConfigError
from promptship.evals.assertions import AssertionSpec, BuildContext, Dialect, Prepared, build
from promptship.evals.score import Judged, Score, Scored, Subject, Unscored
from tests.support.services import FakeWeb, subject

CASES: Final = Path(__file__).parents[1] / "golden" / "evals" / "assertion_cases.yaml"
_NO_SPEC: Final = {"output", "answer", "config", "web", "differs"}


def no_files(name: str) -> str:
    raise AssertionError(name)


def built(dialect: Dialect = Dialect.NATIVE, files: dict[str, str] | None = None, **spec: Any) -> Prepared:
    """An assertion; `files` are those it may read."""
    read = no_files if files is None else files.__getitem__
    return build(AssertionSpec.model_validate(spec), BuildContext(read=read, dialect=dialect))


async def judged(about: Subject, dialect: Dialect = Dialect.NATIVE, **spec: Any) -> Judged:
    return await built(dialect, **spec).assertion.judge(about)


async def scored(about: Subject, dialect: Dialect = Dialect.NATIVE, **spec: Any) -> Scored:
    score = (await judged(about, dialect, **spec)).score
    assert isinstance(score, Scored)
    return score


def cases() -> list[dict[str, Any]]:
    """All cases, each with its type."""
    table = yaml.safe_load(CASES.read_text(encoding="utf-8"))
    return [{"type": name, **case} for name, listed in table.items() for case in listed]


def subject_of(case: dict[str, Any]) -> Subject:
    output = case.get("output", "")
    value = None if isinstance(output, str) else output
    text = output if isinstance(output, str) else json.dumps(output)
    answer = dict(case.get("answer", {}))
    if "logprobs" in answer:
        answer["logprobs"] = tuple(answer["logprobs"])
    web = FakeWeb(tuple(case["web"])) if "web" in case else None
    return subject(text, value=value, web=web, provider_config=case.get("config", {}), **answer)


async def result(case: dict[str, Any], dialect: Dialect, *, negated: bool) -> str:
    """Such as `pass 1`, `fail 0.25`, `unscored`, `error`."""
    spec = {key: value for key, value in case.items() if key not in _NO_SPEC}
    spec["type"] = ("not-" if negated else "") + spec["type"]
    try:
        prepared = build(AssertionSpec.model_validate(spec), BuildContext(read=no_files, dialect=dialect))
    except ConfigError as error:
        return f"error {error.problems[0].key}"
    return shown((await prepared.assertion.judge(subject_of(case))).score)


def shown(score: Score) -> str:
    if isinstance(score, Unscored):
        return f"unscored: {score.reason}"
    assert isinstance(score, Scored)
    return f"{'pass' if score.passed else 'fail'} {round(score.score, 4):g}"


async def results(dialect: str) -> list[list[str]]:
    """Of every case, without and with `not-`."""
    return [
        [await result(case, Dialect(dialect), negated=negated) for negated in (False, True)]
        for case in cases()
    ]
