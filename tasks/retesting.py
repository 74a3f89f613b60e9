"""Re-tests without Prefect: run a production prompt's suites on two models, or again on its own; propose, report.

Finished trials lie on this disk, so that none is paid twice; what a prompt came to is in the journal, so that none is tested twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from promptship.adapters.files import CheckedOut
from promptship.adapters.secrets import private_directory
from promptship.errors import ConfigError, NotFound, PromptshipError, Refused, Unavailable
from promptship.evals.budget import pricing, refuse_unpriced
from promptship.evals.calls import BUDGET_SPENT, COST_UNKNOWN
from promptship.evals.cases import Suite
from promptship.evals.native import scripts_in
from promptship.evals.regression import equipped, regress
from promptship.evals.retest import result_of
from promptship.evals.row_log import RowLog, read_rows
from promptship.evals.rows import Row
from promptship.evals.suite import load_suite
from promptship.evals.suite_run import Means, raise_if_lost
from promptship.evals.verdict import SuiteOutcome, SuiteVerdict
from promptship.lifecycle import model_use, retests
from promptship.lifecycle.app import App
from promptship.lifecycle.opening import find_prompt
from promptship.lifecycle.retest_proposal import proposal_for
from promptship.ports import Tree
from promptship.prompts.digest import from_canonical
from promptship.prompts.load import load
from promptship.prompts.model import Prompt
from promptship.release.plan import Regression
from promptship.release.retest import Proposal, Result, Retest, Standing
from promptship.render.redact import redact
from promptship.render.retest import told
from promptship.settings import ModelSettings, Settings
from promptship.settings_file import SETTINGS_FILE, parse_plans, plan_for
from promptship.tasks.evaluation import EVALUATIONS, FILES

PATIENCE: Final = timedelta(days=3)
"""How long a re-test waits for a provider that is down; then it says that it cannot tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A production prompt with what it is tested by."""

    prompt: Prompt
    version: str
    rules: Regression
    suites: tuple[Suite, ...]
    directory: Path
    """Where rows are kept on this machine; old ones are tidied with those of releases."""


def concerned(app: App, retest: Retest) -> tuple[tuple[str, str], ...]:
    """(prompt, version) of the production prompts that a change concerns, as they are now."""
    wanted = retest.change.prompts
    return tuple(
        (prompt, version)
        for one in model_use.in_use(app)
        if one.model == retest.change.model
        for prompt, version in one.prompts
        if not wanted or prompt in wanted
    )


def examined(app: App, run: str, prompt: str, version: str, *, trials: int | None) -> Examined:
    """What production serves, with the suites and the plan of the branch that is released from, or of its own commit.

    `run` names the directory. Raises ConfigError, NotFound, Unavailable.
    """
    stable = app.routes.version(version)
    tree, path = _where(app, prompt, stable.commit)
    text = tree.read(SETTINGS_FILE).decode("utf-8", "replace") if SETTINGS_FILE in tree.files() else ""
    plans = parse_plans(text, file=SETTINGS_FILE) if text else dict(app.settings.plans)
    loaded = load(path, tree.read(path))
    rules = plan_for(loaded.prompt, plans, loaded.source).regression
    if trials is not None:
        rules = rules.model_copy(update={"trials": trials})
    private_directory(app.settings.data)
    directory = app.settings.data / EVALUATIONS / run / prompt / version[:12]
    folder = app.settings.repository.suites
    kept: Tree = CheckedOut(tree, folder, directory / FILES) if scripts_in(tree, folder) else tree
    suites = tuple(load_suite(kept, folder, name) for name in dict.fromkeys(rules.suites or (prompt,)))
    for suite in suites:
        (directory / suite.name).parent.mkdir(parents=True, exist_ok=True)
    return Examined(
        prompt=from_canonical(prompt, stable.content), version=version, rules=rules, suites=suites, directory=directory
    )  # fmt: skip


def _where(app: App, prompt: str, commit: str) -> tuple[Tree, str]:
    """Suites improve after a version was released: those of today are asked, unless the prompt is not there any more."""
    try:
        head = app.repository.resolve(app.settings.repository.branch).id
        return app.repository.tree(head), find_prompt(app, head, prompt)
    except NotFound:
        return app.repository.tree(commit), find_prompt(app, commit, prompt)


def compare_models(app: App, retest: Retest, prompt: str, version: str) -> Result:
    """Run the prompt's suites on both models, paired.

    What can be mended by nobody but a person is a result, too: that it cannot be told, and why.

    Raises:
        Unavailable: a provider is down; what was answered is kept for the next try.
        Conflict: another process is at it.
    """
    change = retest.change
    try:
        return asyncio.run(_compared(app, retest, prompt, version))
    except (ConfigError, NotFound, Refused) as error:
        because = str(error)
    except Unavailable as error:
        if app.clock.now() - retest.opened_at < PATIENCE:
            raise
        because = f"no answer for {PATIENCE.days} days: {error}"
    named = redact(" ".join(because.split()))[:1000]
    return Result(
        prompt=prompt, version=version, standing=Standing.CANNOT_TELL, because=f"{change.to}: {named}"
    )


async def _compared(app: App, retest: Retest, prompt: str, version: str) -> Result:
    change = retest.change
    settings = settings_for(app.settings, change.to, change.provider)
    work = examined(app, f"retest-{retest.id}", prompt, version, trials=settings.retest.trials)
    arms = {"stable": work.prompt, "candidate": work.prompt.model_copy(update={"model": change.to})}
    limit = settings.retest.spend_max_usd
    refuse_unpriced(work.suites, arms, settings, spend_max_usd=limit)
    verdicts: list[SuiteVerdict] = []
    rows: list[Row] = []
    models = app.models if settings is app.settings else None
    try:
        async with equipped(settings, models=models, spend_max_usd=limit) as means:
            for suite in work.suites:
                verdict, held = await _one(work, suite, arms, means)
                verdicts.append(verdict)
                rows += held
    finally:
        await app.models.aclose()
    return result_of(
        prompt, version, verdicts, rows, current=change.model, new=change.to, price=pricing(settings)
    )


async def _one(
    work: Examined, suite: Suite, arms: dict[str, Prompt], means: Means
) -> tuple[SuiteVerdict, Sequence[Row]]:
    path = work.directory / f"{suite.name}.jsonl"
    with RowLog(path) as log:
        # Not stopped early: that something is better, or dearer, is only seen by those who ask everything.
        done = await regress(suite, arms, work.rules, means, on_row=log.add, finished=read_rows(path))
    raise_if_lost(done.ran)
    if done.verdict.outcome is SuiteOutcome.UNSCORED:
        reasons = {reason for reason, _ in done.verdict.unscored_because}
        if not reasons & {BUDGET_SPENT, COST_UNKNOWN}:
            raise Unavailable(f"suite {suite.name}: {done.verdict.because}")
    return done.verdict, done.ran.rows


def settings_for(settings: Settings, model: str, provider: str) -> Settings:
    """Settings in which this provider answers for a model that nobody has configured yet; the same ones when it does already."""
    if not provider or model_use.provider_of(settings, model) == provider:
        return settings
    known = settings.models.get(model, ModelSettings())
    models = {**settings.models, model: known.model_copy(update={"provider": provider})}
    return settings.model_copy(update={"models": models})


def run_retest(app: App, retest: Retest, *, report: bool = True) -> Retest:
    """Every prompt of a re-test that has no result yet, then proposals, then the report. Run again, it goes on where it stopped.

    `report=False`: nobody is told but the caller.

    Raises:
        Unavailable: of prompts that could not be asked; the others are done.
    """
    problems: list[PromptshipError] = []
    for prompt, version in concerned(app, retest):
        key = (prompt, version)
        try:
            if key not in retest.results:
                retest = retests.keep_result(app, retest, compare_models(app, retest, prompt, version))
            if key not in retest.proposals:
                retest = retests.keep_proposal(app, retest, _proposal(app, retest, retest.results[key]))
        except PromptshipError as error:
            problems.append(error)
    if problems:
        raise Unavailable("; ".join(dict.fromkeys(str(error) for error in problems)))
    return _tell(app, retest, report=report)


def _proposal(app: App, retest: Retest, result: Result) -> Proposal:
    try:
        return proposal_for(app, retest, result)
    except Unavailable as error:
        if app.clock.now() - retest.opened_at < PATIENCE:
            raise
        return Proposal(prompt=result.prompt, version=result.version, why_not=redact(str(error)))


def _tell(app: App, retest: Retest, *, report: bool) -> Retest:
    """The report, once."""
    if retest.told_at is None:
        if report and retest.results:
            app.approvals.tell(None, told(retest))
        retests.close(app, retest)
    return retests.read(app, retest.id)
