"""Judged assertions under test: built by the registry, asked about one answer."""

from __future__ import annotations

import json
from typing import Any

from promptship.evals.assertions import AssertionSpec, BuildContext, Dialect, build
from promptship.evals.score import Judged
from tests.support.services import subject


def no_files(name: str) -> str:
    raise AssertionError(name)


NATIVE = BuildContext(read=no_files)
PROMPTFOO = BuildContext(read=no_files, dialect=Dialect.PROMPTFOO)
VARS = {"query": "Where is the tower?", "context": "The tower is in Paris. It is made of iron."}
SPANS = {"trace": {"spans": [{"name": "search", "startTime": 1}]}}


def verdict(passed: bool, score: float | None = None) -> str:
    return json.dumps({"reason": "so", "pass": passed} | ({} if score is None else {"score": score}))


def by_angle(degrees: dict[str, tuple[float, float]]) -> Any:
    return lambda texts: [degrees.get(text, (1.0, 0.0)) for text in texts]


async def ask(
    spec: dict[str, Any],
    graders: Any,
    context: BuildContext = NATIVE,
    output: str = "The tower is in Paris.",
    **more: Any,
) -> Judged:
    prepared = build(AssertionSpec.model_validate(spec), context)
    more.setdefault("vars", VARS)
    more.setdefault("messages", ({"role": "user", "content": "Where is the tower?"},))
    return await prepared.assertion.judge(subject(output, graders=graders, **more))
