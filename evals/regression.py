"""Candidate against stable over one suite, from settings to a verdict: what a release and `promptship eval` have in common."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from promptship.adapters.answer_cache import AnswerCache
from promptship.adapters.providers import HttpModels
from promptship.adapters.providers.targets import provider_name
from promptship.adapters.providers.wire import Wire, WireWeb
from promptship.adapters.secrets import private_directory
from promptship.evals.calls import DEADLINE_S, Limits
from promptship.evals.cases import Suite
from promptship.evals.judges.settling import native_settle
from promptship.evals.native import case_facts, fit, trials_of
from promptship.evals.rows import Arm, Row, SuiteRun
from promptship.evals.runner import Ending, OnRow, Progress, Ran
from promptship.evals.scripts.pool import ScriptPool
from promptship.evals.suite_run import Means, lost, run_suite
from promptship.numbers import plural
from promptship.ports import Models
from promptship.prompts.model import Prompt
from promptship.release.plan import Regression
from promptship.settings import ProviderSettings, Settings

if TYPE_CHECKING:
    from promptship.evals.early import Curtailment
    from promptship.evals.verdict import SuiteOutcome, SuiteVerdict

ANSWERS: Final = "answers.sqlite"
"""Answers that were paid for, in the data directory: what stable answered yesterday is not paid again today."""


@asynccontextmanager
async def equipped(
    settings: Settings,
    *,
    models: Models | None = None,
    cache: bool | None = None,
    concurrency: int | None = None,
    adaptive: bool = True,
    spend_max_usd: float | None = None,
    allow_unpriced: bool = False,
    side_by_side: int = 1,
) -> AsyncIterator[Means]:
    """Everything a suite is run with, from the settings; what is given here goes before. `models` are the caller's to close.

    The others: see `limits_of`.
    """
    names = {name: endpoint_name(name, provider) for name, provider in settings.providers.items()}
    limits = limits_of(
        settings, concurrency=concurrency, adaptive=adaptive, spend_max_usd=spend_max_usd,
        allow_unpriced=allow_unpriced, side_by_side=side_by_side,
    )  # fmt: skip
    wire = Wire()
    mine = HttpModels(settings.providers, settings.models, os.environ, wire=wire)

    def endpoint(model: str) -> str:
        return names[provider_name(model, settings.providers, settings.models)]

    try:
        async with ScriptPool() as scripts:
            with _answers(settings, settings.evaluation.cache if cache is None else cache) as answers:
                yield Means(
                    models=models or mine, scripts=scripts, web=WireWeb(wire), answers=answers, limits=limits,
                    endpoint=endpoint,
                )  # fmt: skip
    finally:
        await mine.aclose()
        await wire.aclose()


def limits_of(
    settings: Settings,
    *,
    concurrency: int | None = None,
    adaptive: bool = True,
    spend_max_usd: float | None = None,
    allow_unpriced: bool = False,
    side_by_side: int = 1,
) -> Limits:
    """How a run may call.

    `concurrency`: instead of what the providers' settings say. `spend_max_usd`: beside that of the settings; the smaller one counts.
    `allow_unpriced`: keep it as far as costs are known; also when the settings say so.
    `side_by_side`: so many runs share the providers' limits. Each gets its part of every one of them and one call at least, so more
    runs than the least limit would be too many.
    """
    endpoints = {endpoint_name(name, provider): provider for name, provider in settings.providers.items()}
    caps = {name: max(1, one.concurrency_max // side_by_side) for name, one in endpoints.items()}
    budgets = [most for most in (spend_max_usd, settings.evaluation.spend_max_usd) if most is not None]
    return Limits(
        concurrency=concurrency or max(caps.values(), default=8),
        caps={} if concurrency else caps,
        adaptive=adaptive,
        # A provider that may think for minutes is given them; each attempt ends at its own provider's timeout.
        deadlines={name: max(DEADLINE_S, one.timeout) for name, one in endpoints.items()},
        spend_max_usd=min(budgets, default=None),
        allow_unpriced=allow_unpriced or settings.evaluation.allow_unpriced,
    )


def endpoint_name(name: str, provider: ProviderSettings) -> str:
    """A provider and its address, for limits, fuses and the cache: an answer of another address is another answer."""
    parts = urlsplit(provider.base_url)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    more = [part for part in (provider.project, provider.region, provider.api_version) if part]
    return " ".join([f"{name} at {address}", *more])


@contextmanager
def _answers(settings: Settings, wanted: bool) -> Iterator[AnswerCache | None]:
    if not wanted:
        yield None
        return
    private_directory(settings.data)
    with AnswerCache(settings.data / ANSWERS) as answers:
        yield answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Regressed:
    """What a suite came to: the verdict, and the run behind it."""

    verdict: SuiteVerdict
    ran: Ran
    not_asked: int = 0


async def regress(
    suite: Suite,
    arms: Mapping[Arm, Prompt],
    rules: Regression,
    means: Means,
    *,
    on_row: OnRow | None = None,
    finished: Iterable[Row] = (),
    progress: Progress | None = None,
    stop_early: bool = False,
    incomparable: frozenset[str] | None = None,
) -> Regressed:
    """Ask candidate and stable every case, then judge by the plan's rules.

    `finished`: rows of the same run before it was interrupted. `stop_early`: end as soon as the outcome is certain.
    `incomparable`: what `promptship.evals.native.fit` said, if it was asked already.

    An endpoint that is dead does not raise: without it the verdict is `unscored`, and `promptship.evals.suite_run.lost` says why.

    Raises:
        ConfigError: the suite does not fit the candidate.
    """
    incomparable = fit(suite, arms) if incomparable is None else incomparable
    # Cases that stable was not asked are judged by other rules: with them nothing is called certain early.
    # Without a stable version only a floor can be missed for certain.
    decidable = not incomparable and ("stable" in arms or rules.pass_rate_min > 0)
    early = _Early(suite, arms, rules) if stop_early and decidable else None
    run, ran = await run_suite(
        suite, arms, means, trials=rules.trials, incomparable=incomparable, finished=finished, on_row=on_row,
        decided=None if early is None else early.decided, progress=progress, settle=native_settle(suite),
        compared=True,
    )  # fmt: skip
    return judged(suite, arms, rules, run, ran, None if early is None else early.outcome)


def judged(
    suite: Suite,
    arms: Mapping[Arm, Prompt],
    rules: Regression,
    run: SuiteRun,
    ran: Ran,
    certain: SuiteOutcome | None = None,
) -> Regressed:
    """The verdict over a run's rows. `certain`: the outcome with which it was stopped before its end."""
    from promptship.evals.compare import compare  # scipy: not before the first request

    planned = trials_of(suite, arms, rules.trials, frozenset(run.incomparable))
    not_asked = planned - len(run.rows) if ran.ending is Ending.DECIDED else 0
    verdict = compare(
        run, margin=rules.margin, alpha=rules.alpha, unscored_max=rules.unscored_max,
        pass_rate_min=rules.pass_rate_min, certain=certain if not_asked else None, not_asked=not_asked,
        lost=_lost(ran, planned - len(run.rows)),
    )  # fmt: skip
    return Regressed(verdict=verdict, ran=ran, not_asked=not_asked)


def _lost(ran: Ran, missing: int) -> str:
    """Why there is no verdict, whatever the rows say; empty: there may be one."""
    why = "; ".join(dict.fromkeys(str(error) for error in lost(ran).values()))
    return f"{plural(missing, 'trial')} not asked: {why}" if why and missing else why


class _Early:
    """Follows the rows of a run until the outcome is certain."""

    def __init__(self, suite: Suite, arms: Mapping[Arm, Prompt], rules: Regression) -> None:
        self._parts = suite, arms, rules
        self._follow: Curtailment | None = None
        self._waiting = 0
        # A look costs as much as the suite is large: a tenth of it between two looks keeps that small.
        self._every = len(suite.cases) // 10
        self.outcome: SuiteOutcome | None = None

    def decided(self, rows: Sequence[Row]) -> bool:
        """`promptship.evals.runner.Decided`."""
        if self._follow is None:
            self._follow = self._begun()
        for row in rows:
            self._follow.add(row)
        self._waiting += len(rows)
        if self._waiting < self._every:
            return False
        self._waiting = 0
        self.outcome = self._follow.certain()
        return self.outcome is not None

    def _begun(self) -> Curtailment:
        from promptship.evals.early import Curtailment  # scipy: not before the first request
        from promptship.evals.verdict import Rules

        suite, arms, rules = self._parts
        by = Rules(
            margin=rules.margin, alpha=rules.alpha, unscored_max=rules.unscored_max, pass_rate_min=rules.pass_rate_min
        )  # fmt: skip
        trials = {case.id: suite.trials(case, rules.trials) for case in suite.cases}
        return Curtailment(case_facts(suite), trials, arms, by)
