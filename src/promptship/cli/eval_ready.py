"""What `promptship eval` is about: prompts, their arms, suites and rules, read and checked before anything is asked."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from promptship.adapters.files import WorkingTree
from promptship.cli import context
from promptship.cli.eval import Wishes
from promptship.cli.eval_prompts import at_commit, find, rules_of
from promptship.errors import ConfigError, Problem
from promptship.evals.budget import refuse_unpriced
from promptship.evals.cases import Suite
from promptship.evals.native import fit, matrix, scripts_in
from promptship.evals.rows import Arm
from promptship.evals.suite import load_suite
from promptship.evals.suite_facts import looked_over
from promptship.evals.suite_silent import without_score
from promptship.prompts.model import Prompt
from promptship.release.plan import Regression
from promptship.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """What is to be run."""

    prompts: tuple[str, ...]
    suites: tuple[str, ...]
    against: str | None
    """What to compare with; `none`: nothing. None: nobody said, so HEAD."""
    models: tuple[str, ...]
    stop_early: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Everything read and checked; nothing was asked yet."""

    settings: Settings
    rules: Regression
    suites: Sequence[Suite]
    arms: Mapping[Arm, Prompt]
    incomparable: Mapping[str, frozenset[str]]
    """By suite: ids of the cases that stable cannot be asked."""
    scripts: Mapping[str, str]
    """Digests of the code beside the suites, by path."""
    compares: bool
    """Candidate against stable with a verdict; otherwise arms stand side by side."""


def ready_of(wishes: Wishes, native: Native) -> Ready:
    """Read and check everything. Raises ConfigError, NotFound."""
    settings = context.settings(wishes.settings or context.CONFIG)
    tree = WorkingTree(settings.root)
    loaded = [find(tree, settings, name) for name in native.prompts]
    candidate = loaded[0]
    compares = len(loaded) == 1 and len(native.models) <= 1
    if native.against is not None and not compares:
        got, expected = (
            native.against,
            "has no meaning with several prompts or models: they are compared with each other",
        )
        raise ConfigError([Problem("promptship eval", "--against", got, expected, "leave it out")])
    prompts = {one.prompt.name: one.prompt for one in loaded}
    arms: dict[Arm, Prompt]
    if compares:
        arms = {"candidate": candidate.prompt}
        if (
            native.against != "none"
            and (stable := at_commit(settings, native.against, candidate)) is not None
        ):
            arms["stable"] = stable
        arms = {arm: _with_model(prompt, native.models) for arm, prompt in arms.items()}
    else:
        arms = matrix(prompts, native.models)
    rules = rules_of(settings, candidate, native.suites, wishes.trials)
    names = rules.suites or (candidate.prompt.name,)
    suites = [load_suite(tree, settings.repository.suites, name) for name in names]
    if wishes.trials is not None:
        suites = [_asked_alike(suite) for suite in suites]
    _look_over(suites)
    for suite in suites:
        for warning in without_score(suite, arms):
            print(f"warning: {warning}", file=sys.stderr)
    incomparable = {suite.name: fit(suite, arms) for suite in suites}
    if not (wishes.allow_unpriced or wishes.dry_run):
        refuse_unpriced(
            suites, arms, settings, spend_max_usd=wishes.spend_max_usd, advice="or pass --allow-unpriced"
        )
    return Ready(
        settings=settings,
        rules=rules,
        suites=suites,
        arms=arms,
        incomparable=incomparable,
        compares=compares,
        scripts=scripts_in(tree, settings.repository.suites),
    )


def _look_over(suites: Sequence[Suite]) -> None:
    """What the gate of a release would say, before anything is spent. Raises ConfigError with all its problems."""
    found = [(suite, *looked_over(suite)) for suite in suites]
    for suite, _, warnings in found:
        for warning in warnings:
            print(f"warning: {suite.path}: {warning}", file=sys.stderr)
    expected = "expected a suite that the gate of a release lets through; nothing was asked"
    problems = [Problem(suite.path, "", one, expected) for suite, problems, _ in found for one in problems]
    if problems:
        raise ConfigError(problems)


def _asked_alike(suite: Suite) -> Suite:
    """Without trials of its own: the command line says how many. A case that must pass k of n is asked k times at least."""
    cases = (case if case.trials is None else replace(case, trials=None) for case in suite.cases)
    return replace(suite, cases=tuple(cases))


def _with_model(prompt: Prompt, models: tuple[str, ...]) -> Prompt:
    return prompt.model_copy(update={"model": models[0]}) if models else prompt
