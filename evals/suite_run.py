"""Run a native suite: everything a run consists of, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from promptship.errors import PromptshipError, Unavailable
from promptship.evals.calls import Answers, Calls, Limits, Pause
from promptship.evals.cases import Suite
from promptship.evals.judges import NativeGraders
from promptship.evals.native import Cost, asking_of, endpoints_of, fit, native_groups, suite_run
from promptship.evals.redteam.attacker import attacker_of
from promptship.evals.rows import Arm, Row, SuiteRun
from promptship.evals.runner import Decided, Ending, OnRow, Progress, Ran, run
from promptship.evals.services import Scripts, Services, Web
from promptship.evals.trial import Attacker
from promptship.evals.units import Settle
from promptship.ports import Models
from promptship.prompts.model import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a suite is run with."""

    models: Models
    scripts: Scripts
    web: Web | None = None
    answers: Answers | None = None
    """Earlier answers; None: every call is paid."""
    endpoint: Callable[[str], str] = str
    """Names the endpoint of a model."""
    cost: Cost | None = None
    """Price of an answer whose provider names none."""
    limits: Limits = field(default_factory=Limits)
    pause: Pause = asyncio.sleep


async def run_suite(
    suite: Suite,
    arms: Mapping[Arm, Prompt],
    means: Means,
    *,
    trials: int,
    seed: int = 0,
    incomparable: frozenset[str] | None = None,
    finished: Iterable[Row] = (),
    on_row: OnRow | None = None,
    decided: Decided | None = None,
    progress: Progress | None = None,
    settle: Settle | None = None,
    attacker: Attacker | None = None,
) -> tuple[SuiteRun, Ran]:
    """Ask every arm every case `trials` times (or as often as the case says).

    `finished`: rows of the same run before it was interrupted; their cost counts towards the budget, which is the smaller one of
    the suite's and of `means.limits`. `incomparable`: what `promptship.evals.native.fit` said, if it was asked already.

    Raises:
        ConfigError: the suite does not fit the prompts.
    """
    incomparable = fit(suite, arms) if incomparable is None else incomparable
    budgets = [most for most in (means.limits.spend_max_usd, suite.budget_usd) if most is not None]
    calls = Calls(
        replace(means.limits, spend_max_usd=min(budgets, default=None)), answers=means.answers, seed=seed, pause=means.pause
    )  # fmt: skip
    graders = (
        NativeGraders(means.models, calls, suite.judge, endpoint=means.endpoint) if suite.judge else None
    )
    ask = asking_of(means.models, calls, endpoint=means.endpoint, cost=means.cost)
    groups = native_groups(
        suite,
        arms,
        ask,
        trials=trials,
        seed=seed,
        incomparable=incomparable,
        settle=settle,
        attacker=attacker or (attacker_of(suite.attacker, ask) if suite.attacker else None),
    )
    ran = await run(
        groups, Services(scripts=means.scripts, graders=graders, web=means.web), calls,
        concurrency=means.limits.concurrency, on_row=on_row, finished=_counted(finished, calls), decided=decided,
        progress=progress, endpoints=endpoints_of(arms, means.endpoint),
    )  # fmt: skip
    return suite_run(suite, arms, ran, incomparable), ran


def raise_if_lost(ran: Ran) -> None:
    """End with the error that ended the run, when there is no verdict to be made from it.

    Raises:
        PromptshipError: no endpoint answers; or one of them refuses the key or every request, which trying again cannot mend.
    """
    errors: list[PromptshipError] = [
        error for error in ran.dead.values() if not isinstance(error, Unavailable)
    ]
    if ran.ending is Ending.DEAD:
        errors += ran.dead.values()
    for error in errors:
        raise error


def _counted(finished: Iterable[Row], calls: Calls) -> Iterator[Row]:
    for row in finished:
        calls.spent_usd += (row.cost_usd or 0.0) + row.judge_cost_usd
        yield row
