"""What `promptship eval` is about: prompts, their arms, suites and rules, read and checked before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from promptship.adapters.files import WorkingTree
from promptship.cli import context
from promptship.cli.eval import Wishes
from promptship.cli.eval_prompts import at_commit, find, rules_of
from promptship.evals.cases import Suite
from promptship.evals.native import fit, matrix
from promptship.evals.rows import Arm
from promptship.evals.suite import load_suite
from promptship.prompts.model import Prompt
from promptship.release.plan import Regression
from promptship.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """What is to be run."""

    prompts: tuple[str, ...]
    suites: tuple[str, ...]
    against: str
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
    compares: bool
    """Candidate against stable with a verdict; otherwise arms stand side by side."""


def ready_of(wishes: Wishes, native: Native) -> Ready:
    """Read and check everything. Raises ConfigError, NotFound."""
    settings = context.settings(wishes.settings or context.CONFIG)
    tree = WorkingTree(settings.root)
    loaded = [find(tree, settings, name) for name in native.prompts]
    candidate = loaded[0]
    compares = len(loaded) == 1 and len(native.models) <= 1
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
    incomparable = {suite.name: fit(suite, arms) for suite in suites}
    return Ready(
        settings=settings, rules=rules, suites=suites, arms=arms, incomparable=incomparable, compares=compares
    )


def _asked_alike(suite: Suite) -> Suite:
    """Without trials of its own: the command line says how many. A case that must pass k of n is asked k times at least."""
    return replace(suite, cases=tuple(replace(case, trials=None) for case in suite.cases))


def _with_model(prompt: Prompt, models: tuple[str, ...]) -> Prompt:
    return prompt.model_copy(update={"model": models[0]}) if models else prompt
