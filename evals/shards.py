"""A suite in parts that are asked in different places, and the whole of it again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from promptship.errors import Unavailable
from promptship.evals.cases import Suite
from promptship.evals.native import fit, suite_run, trials_of
from promptship.evals.rows import Arm, SuiteRun, from_json, to_json
from promptship.evals.runner import Ending, Ran
from promptship.prompts.model import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a suite, in plain words. `number` counts from 1."""

    suite: str
    number: int
    of: int


def parts_of(suite: Suite, most: int) -> tuple[Part, ...]:
    """At most `most` parts, and none of them without a case."""
    of = max(1, min(most, len(suite.cases)))
    return tuple(Part(suite=suite.name, number=number, of=of) for number in range(1, of + 1))


def cut(suite: Suite, part: Part, trials: int, *, budget_usd: float | None = None) -> Suite:
    """The cases of a part: every `of`-th one, so that parts are alike. A case stays whole: all its trials, and every arm.

    The budget, the smaller one of the suite's and `budget_usd`, is divided by trials.
    """
    cases = suite.cases[part.number - 1 :: part.of]
    budgets = [most for most in (suite.budget_usd, budget_usd) if most is not None]
    if not budgets:
        return replace(suite, cases=cases)
    share = sum(suite.trials(case, trials) for case in cases) / sum(
        suite.trials(case, trials) for case in suite.cases
    )
    return replace(suite, cases=cases, budget_usd=min(budgets) * share)


def packed(suite: str, ran: Ran) -> dict[str, Any]:
    """What a part came to as plain JSON values, without answers: what travels back."""
    return {"suite": suite, "rows": [to_json(row.slim()) for row in ran.rows], "reused": ran.reused}


def joined(
    suite: Suite, arms: Mapping[Arm, Prompt], trials: int, parts: Iterable[Mapping[str, Any]]
) -> tuple[SuiteRun, Ran]:
    """The run of the whole suite, from what `packed` gave for its parts; those of other suites are left out.

    Raises:
        ConfigError: the suite does not fit the candidate.
        Unavailable: trials are missing: never a verdict over a part of a suite.
    """
    mine = [part for part in parts if part["suite"] == suite.name]
    rows = {row.key: row for part in mine for row in map(from_json, part["rows"])}
    incomparable = fit(suite, arms)
    planned = trials_of(suite, arms, trials, incomparable)
    if len(rows) != planned:
        raise Unavailable(f"{suite.name}: {len(rows)} of {planned} trials came back from the shards")
    ran = Ran(
        rows=tuple(rows[key] for key in sorted(rows)),
        ending=Ending.COMPLETE,
        reused=sum(part["reused"] for part in mine),
    )
    return suite_run(suite, arms, ran, incomparable), ran
