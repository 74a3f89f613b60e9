"""Run a native suite: everything a run consists of, put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from promptship.errors import PromptshipError, Unavailable
from promptship.evals.calls import Answers, Calls, Limits, Pause
from promptship.evals.cases import Suite
from promptship.evals.current import CurrentAnswers
from promptship.evals.judges import NativeGraders
from promptship.evals.native import Cost, asking_of, fit, hopeless_for, native_groups, suite_run
from promptship.evals.redteam.attacker import attacker_of
from promptship.evals.rows import Arm, Row, SuiteRun
from promptship.evals.runner import Decided, Ending, OnRow, Progress, Ran, run
from promptship.evals.score import Scored, Unscored
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
    compared: bool = False,
) -> tuple[SuiteRun, Ran]:
    """Ask every arm every case `trials` times (or as often as the case says).

    `finished`: rows of the same run before it was interrupted; their cost counts towards the budget, which is the smaller one of
    the suite's and of `means.limits`. `incomparable`: what `promptship.evals.native.fit` said, if it was asked already.
    `compared`: the arms are worth nothing without each other, so the run ends once one of them is refused for good.

    Raises:
        ConfigError: the suite does not fit the prompts.
    """
    incomparable = fit(suite, arms) if incomparable is None else incomparable
    budgets = [most for most in (means.limits.spend_max_usd, suite.budget_usd) if most is not None]
    calls = Calls(
        replace(means.limits, spend_max_usd=min(budgets, default=None)), answers=means.answers, seed=seed, pause=means.pause
    )  # fmt: skip
    asking = CurrentAnswers(calls, means.answers)
    graders = (
        NativeGraders(means.models, asking, suite.judge, endpoint=means.endpoint) if suite.judge else None
    )
    ask = asking_of(means.models, asking, endpoint=means.endpoint, cost=means.cost)
    groups = native_groups(
        suite,
        arms,
        ask,
        trials=trials,
        seed=seed,
        incomparable=incomparable,
        settle=settle,
        attacker=attacker or (attacker_of(suite.attacker, ask) if suite.attacker else None),
        endpoint=means.endpoint,
    )
    ran = await run(
        groups, Services(scripts=means.scripts, graders=graders, web=means.web), calls,
        concurrency=means.limits.concurrency, on_row=on_row, finished=counted(finished, calls), decided=decided,
        progress=progress, hopeless=hopeless_for(arms, means.endpoint, compared=compared),
    )  # fmt: skip
    return suite_run(suite, arms, ran, incomparable), ran


def lost(ran: Ran) -> Mapping[str, PromptshipError]:
    """Endpoints without which there is no verdict to be made of the run, and why.

    They are all dead; or some refuse the key or every request, which trying again cannot mend. One that is only down costs its
    rows: whether too many are missing is for the verdict to say.
    """
    if ran.ending is Ending.DEAD:
        return ran.dead
    return {name: error for name, error in ran.dead.items() if not isinstance(error, Unavailable)}


def silent(ran: Ran, rows: Iterable[Row]) -> Mapping[str, PromptshipError]:
    """Of a matrix: dead endpoints, and arms without a single score, with what kept them from one. `rows`: the run's, whole.

    A column that nobody measured is no answer to "which one?", whatever the others say.
    """
    scored = {row.arm for row in ran.rows if isinstance(row.score, Scored)}
    missing = {row.arm for row in ran.rows} - scored
    because: dict[str, str] = {}
    if missing and not ran.dead:
        for row in rows:
            if row.arm in missing and isinstance(row.score, Unscored):
                because.setdefault(row.arm, row.error or row.score.reason)
    found = {arm: Unavailable(why) for arm, why in sorted(because.items())}
    return {**ran.dead, **found}


def raise_if_lost(ran: Ran) -> None:
    """End with the error that ended the run, when there is no verdict to be made from it. Raises PromptshipError."""
    errors = sorted(lost(ran).values(), key=lambda error: isinstance(error, Unavailable))
    for error in errors:
        raise error


def counted(finished: Iterable[Row], calls: Calls) -> Iterator[Row]:
    """Rows of the run before it was interrupted, whose cost counts towards its budget."""
    for row in finished:
        calls.count(row)
        yield row
