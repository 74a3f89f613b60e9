"""Run a release's suites: candidate against stable, every finished trial kept on disk so that none is paid twice."""

from __future__ import annotations

import asyncio
import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from promptship.adapters.files import CheckedOut
from promptship.adapters.secrets import private_directory
from promptship.adapters.suite_gate import examine_suite
from promptship.errors import Refused, Unavailable
from promptship.evals.budget import refuse_unpriced
from promptship.evals.calls import BUDGET_SPENT, COST_UNKNOWN, WAY_ROUND
from promptship.evals.cases import Suite
from promptship.evals.native import fit, scripts_in
from promptship.evals.online.checks import refuse_wrong
from promptship.evals.regression import equipped, regress
from promptship.evals.row_log import RowLog, read_rows
from promptship.evals.rows import Arm, Row
from promptship.evals.suite import load_suite
from promptship.evals.suite_run import Means, raise_if_lost
from promptship.evals.verdict import SuiteVerdict
from promptship.lifecycle.app import App
from promptship.lifecycle.steps import Standing, evaluated, record_evaluation
from promptship.prompts.digest import from_canonical
from promptship.prompts.model import Prompt
from promptship.release.environment import prompt_of
from promptship.release.online import Online
from promptship.release.plan import Regression
from promptship.tasks.gate import Examine, gated

EVALUATIONS: Final = "evaluations"
"""Rows and gate results by release, in the data directory."""
FILES: Final = "files"
"""Folder of the commit's suites beside them, for scripts that import their neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a release's suites are run with, wherever they are."""

    release: str
    rules: Regression
    online: Online
    stable: str | None
    """Digest that the candidate is compared with; None: there is none yet."""
    arms: Mapping[Arm, Prompt]
    suites: tuple[Suite, ...]
    directory: Path
    """Where rows and gate results are kept on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The verdict over all suites of a release."""

    stable: str | None
    """Digest that the candidate was compared with."""
    verdict: dict[str, Any]
    passes: bool
    because: str


def run_suites(app: App, release_id: str) -> Standing:
    """The step between lint and canary: run the suites once and write their verdict down. Errors as `evaluate`."""
    standing = evaluated(app, release_id)
    if standing is not None:
        return standing
    return recorded(app, release_id, asyncio.run(evaluate(app, release_id)))


async def evaluate(app: App, release_id: str, *, examine: Examine = examine_suite) -> Evaluation:
    """Run every suite of the release's plan (without any: the suite of the prompt's name), once all of them are in order.

    Raises:
        Unavailable: a provider is down, or too many trials have no score; what was answered is kept for the next try.
        Refused: a provider does not accept the key, or the budget is spent or cannot be kept.
        ConfigError: a suite does not fit the prompt, or its gate does not let it through.
    """
    work = assigned(app, release_id, stable=stable_now(app, release_id))
    warnings = in_order(app, work, examine)
    try:
        async with equipped(app.settings, models=app.models) as means:
            verdicts = [await _one(app, work, suite, means) for suite in work.suites]
    finally:
        await app.models.aclose()
    return concluded(work.stable, verdicts, warnings)


async def _one(app: App, work: Assignment, suite: Suite, means: Means) -> SuiteVerdict:
    with RowLog(work.directory / f"{suite.name}.jsonl") as log:
        regressed = await regress(
            suite, work.arms, work.rules, means, on_row=log.add, finished=finished(work.directory, suite),
            stop_early=app.settings.evaluation.stop_early,
        )  # fmt: skip
    raise_if_lost(regressed.ran)
    return regressed.verdict


def in_order(app: App, work: Assignment, examine: Examine = examine_suite) -> list[tuple[str, ...]]:
    """Everything that can be wrong with the suites, before the first of them costs anything. Returns the gate's warnings for each.

    Raises:
        ConfigError: a suite does not fit the candidate, an online check of the plan cannot be asked, its gate does not let it through, or a limit of cost cannot be kept
            because a model has no price.
        Unavailable: the disk does not take the gate's result.
    """
    for suite in work.suites:
        fit(suite, work.arms)
    tree = app.repository.tree(app.release(work.release).commit)
    refuse_wrong(app.settings, work.online, tree, work.arms["candidate"])
    refuse_unpriced(work.suites, work.arms, app.settings)
    return [gated(app.settings.data, work.directory, suite, examine) for suite in work.suites]


def stable_now(app: App, release_id: str) -> str | None:
    """Digest of the version that production serves now."""
    route = app.routes.get(app.release(release_id).prompt)
    return route.stable if route else None


def assigned(app: App, release_id: str, *, stable: str | None) -> Assignment:
    """Load everything that the suites of a release are run with. Raises ConfigError, NotFound, Unavailable."""
    release = app.release(release_id)
    assert release.plan is not None and release.version is not None  # noqa: S101, PT018 - the fold sets both at Linted
    arms: dict[Arm, Prompt] = {"candidate": _prompt(app, release.prompt, release.version)}
    if stable is not None:
        arms["stable"] = _prompt(app, release.prompt, stable)
    directory = evaluations(app, release_id)
    private_directory(app.settings.data)
    tree, folder = app.repository.tree(release.commit), app.settings.repository.suites
    if scripts_in(tree, folder):
        tree = CheckedOut(tree, folder, directory / FILES)
    names = dict.fromkeys(release.plan.regression.suites or (prompt_of(release.prompt),))
    suites = tuple(load_suite(tree, folder, name) for name in names)
    for suite in suites:
        (directory / suite.name).parent.mkdir(parents=True, exist_ok=True)
    return Assignment(
        release=release_id, rules=release.plan.regression, online=release.plan.online, stable=stable, arms=arms, suites=suites, directory=directory
    )  # fmt: skip


def evaluations(app: App, release_id: str) -> Path:
    """Where a release's rows and gate results are."""
    return app.settings.data / EVALUATIONS / release_id


def finished(directory: Path, suite: Suite) -> Iterator[Row]:
    """Rows of these cases that lie on this disk from an earlier try, whole or in parts."""
    mine = {case.id for case in suite.cases}
    beside = directory / suite.name
    parts = beside.parent.glob(f"{glob.escape(beside.name)}.*-of-*.jsonl")
    for path in [*sorted(parts), beside.with_name(f"{beside.name}.jsonl")]:
        yield from (row for row in read_rows(path) if row.case in mine)


def concluded(
    stable: str | None, verdicts: Sequence[SuiteVerdict], warnings: Iterable[Sequence[str]]
) -> Evaluation:
    """One verdict from those of all suites. `warnings`: what the gate said of each.

    Raises:
        Unavailable: too many trials have no score. Missing data never becomes a verdict: not a pass, and not a rejection either.
        Refused: they have none because the budget is spent, or cannot be kept.
    """
    lost = [verdict for verdict in verdicts if verdict.outcome == "unscored"]
    said = "; ".join(f"{verdict.suite}: {verdict.because}" for verdict in lost)
    reasons = {reason for verdict in lost for reason, _ in verdict.unscored_because}
    if COST_UNKNOWN in reasons:
        raise Refused(f"{said}: {COST_UNKNOWN}; {WAY_ROUND}")
    if BUDGET_SPENT in reasons:
        raise Refused(
            f"{said}: the budget is spent; raise spend_max_usd in [evaluation], or the suite's own budget"
        )
    if lost:
        raise Unavailable(said)  # what has a score is not asked again
    verdicts = [
        verdict.model_copy(update={"warnings": (*verdict.warnings, *more)})
        for verdict, more in zip(verdicts, warnings, strict=True)
    ]
    failed = [verdict for verdict in verdicts if not verdict.passes]
    return Evaluation(
        stable=stable,
        verdict={"suites": [verdict.model_dump(mode="json") for verdict in verdicts]},
        passes=not failed,
        because="; ".join(f"{verdict.suite}: {verdict.because}" for verdict in failed or verdicts),
    )


def recorded(app: App, release_id: str, outcome: Evaluation) -> Standing:
    """Write the verdict down."""
    return record_evaluation(
        app, release_id, stable=outcome.stable, verdict=outcome.verdict, passes=outcome.passes, because=outcome.because
    )  # fmt: skip


def _prompt(app: App, name: str, digest: str) -> Prompt:
    return from_canonical(prompt_of(name), app.routes.version(digest).content)
