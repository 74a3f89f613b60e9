"""A release's suites in shards: split once everything is in order, asked anywhere, judged together.

A shard opens its own connections: nothing but ids, numbers and slim rows travels, so shards may be threads, processes or
machines. Each has a file of rows of its own, so one that was killed goes on where it fell if it meets the same disk again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptship.adapters.providers.targets import provider_name
from promptship.adapters.suite_gate import examine_suite
from promptship.evals.asked import models_asked
from promptship.evals.cases import Suite
from promptship.evals.regression import equipped, judged, regress
from promptship.evals.row_log import RowLog
from promptship.evals.shards import Part, cut, joined, packed, parts_of
from promptship.evals.suite_run import raise_if_lost
from promptship.lifecycle.app import App
from promptship.lifecycle.steps import Standing, evaluated
from promptship.settings import Settings
from promptship.tasks import cluster
from promptship.tasks.evaluation import (
    Assignment,
    assigned,
    concluded,
    finished,
    in_order,
    recorded,
    stable_now,
)
from promptship.tasks.gate import Examine


@dataclass(frozen=True, slots=True, kw_only=True)
class Shards:
    """What is to be asked, in plain values."""

    stable: str | None
    """Digest that all of them compare with."""
    parts: tuple[Part, ...]
    side_by_side: int = 1
    """So many at a time: each gets its part of the providers' limits, and that is one call at least."""

    def waves(self) -> list[tuple[Part, ...]]:
        """The parts as they may be asked together, one lot after the other."""
        return [
            self.parts[at : at + self.side_by_side] for at in range(0, len(self.parts), self.side_by_side)
        ]


def split(app: App, release_id: str, *, examine: Examine = examine_suite) -> Standing | Shards:
    """The shards of a release whose suites are to be run now, or where it stands. Asks nothing.

    Raises:
        ConfigError: as `promptship.tasks.evaluation.in_order`; prefect-dask is not installed.
        Unavailable: the Dask cluster does not answer.
    """
    standing = evaluated(app, release_id)
    if standing is not None:
        return standing
    wanted = app.settings.evaluation
    stable = stable_now(app, release_id)
    work = assigned(app, release_id, stable=stable)
    in_order(app, work, examine)
    if wanted.dask:
        cluster.look(wanted.dask)
    parts = tuple(part for suite in work.suites for part in parts_of(suite, wanted.shards))
    return Shards(stable=stable, parts=parts, side_by_side=min(len(parts), _calls_max(app.settings, work)))


def _calls_max(settings: Settings, work: Assignment) -> int:
    """Calls in parallel that every provider takes which the suites ask. Raises ConfigError: a model has no provider."""
    models = {model for suite in work.suites for model in models_asked(suite, work.arms).models}
    asked = {provider_name(model, settings.providers, settings.models) for model in models}
    return min((settings.providers[name].concurrency_max for name in asked), default=1)


def ask(app: App, release_id: str, part: Part, *, stable: str | None, side_by_side: int) -> dict[str, Any]:
    """Ask the cases of one part and return its rows, slim. `side_by_side`: shards that share the providers' limits.

    Raises:
        Unavailable, Refused, ConfigError: as `promptship.tasks.evaluation.evaluate`.
        Conflict: another process is at the same part.
    """
    work = assigned(app, release_id, stable=stable)
    suite = next(suite for suite in work.suites if suite.name == part.suite)
    share = cut(suite, part, work.rules.trials, budget_usd=app.settings.evaluation.spend_max_usd)
    return asyncio.run(_ask(app.settings, work, share, part, side_by_side))


async def _ask(
    settings: Settings, work: Assignment, share: Suite, part: Part, side_by_side: int
) -> dict[str, Any]:
    async with equipped(settings, side_by_side=side_by_side) as means:
        with RowLog(_rows(work.directory, part)) as log:
            # Its verdict on a part says nothing, and nothing is certain early from a part: only the rows count.
            part_of_it = await regress(
                share, work.arms, work.rules, means, on_row=log.add, finished=finished(work.directory, share)
            )
    raise_if_lost(part_of_it.ran)
    return packed(part.suite, part_of_it.ran)


def judge(
    app: App,
    release_id: str,
    asked: Sequence[Mapping[str, Any]] | Exception,
    *,
    stable: str | None,
    examine: Examine = examine_suite,
) -> Standing:
    """One verdict per suite over the rows of all its shards, and the release's written down.

    `asked`: what `ask` returned for every part, or the error that ended one of them, which is raised.

    Raises:
        Unavailable: trials are missing, or too many have no score.
        Refused: the budget is spent.
    """
    if isinstance(asked, Exception):
        raise cluster.as_ours(asked) if app.settings.evaluation.dask else asked
    standing = evaluated(app, release_id)
    if standing is not None:
        return standing
    work = assigned(app, release_id, stable=stable)
    verdicts = []
    for suite in work.suites:
        run, ran = joined(suite, work.arms, work.rules.trials, asked)
        verdicts.append(judged(suite, work.arms, work.rules, run, ran).verdict)
    # The gate has spoken at the split; what it said is kept.
    return recorded(app, release_id, concluded(stable, verdicts, in_order(app, work, examine)))


def _rows(directory: Path, part: Part) -> Path:
    beside = directory / part.suite
    return beside.with_name(f"{beside.name}.{part.number}-of-{part.of}.jsonl")
