"""`promptship eval`: run a prompt's suites from the working directory, before anybody pushes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from promptship.cli import context
from promptship.cli.context import CONFIG, Config
from promptship.errors import ConfigError, NotFound, Unavailable

if TYPE_CHECKING:
    from promptship.evals.rows import Arm
    from promptship.evals.verdict import SuiteVerdict
    from promptship.ports import Tree
    from promptship.prompts.model import Loaded, Prompt
    from promptship.release.plan import Regression
    from promptship.settings import Settings


class Format(StrEnum):
    """How the verdict is printed."""

    TEXT = "text"
    JSON = "json"
    MD = "md"


def eval_(
    prompt: Annotated[str, typer.Argument(help="Name or path of the prompt.")],
    suite: Annotated[
        list[str] | None, typer.Option("--suite", help="Default: the plan's; may be repeated.")
    ] = None,
    against: Annotated[str, typer.Option(help="Branch, tag or commit to compare with, or `none`.")] = "HEAD",
    trials: Annotated[
        int | None, typer.Option(min=1, max=100, help="Answers per case; default: the plan's.")
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="For terminals, programs, PRs.")] = Format.TEXT,
    config: Config = CONFIG,
) -> None:
    """Run a prompt's suites: the working directory against a commit, with the configured providers.

    \b
    Exit status: 0 passes · 1 does not · 2 a file or option is wrong · 3 a provider is down, or too much has no score.
    Example: promptship eval support-reply --against main --trials 5
    """
    from promptship.adapters.files import WorkingTree
    from promptship.evals.report import to_markdown, to_text
    from promptship.evals.verdict import SuiteOutcome

    settings = context.settings(config)
    tree = WorkingTree(settings.root)
    candidate = _find(tree, settings, prompt)
    arms: dict[Arm, Prompt] = {"candidate": candidate.prompt}
    if against != "none" and (stable := _at(settings, against, candidate)) is not None:
        arms["stable"] = stable
    rules = _rules(settings, candidate, suite, trials)
    names = rules.suites or (candidate.prompt.name,)
    verdicts = asyncio.run(_run(settings, tree, names, arms, rules))
    if output is Format.JSON:
        context.print_json({"suites": [verdict.model_dump(mode="json") for verdict in verdicts]})
    else:
        render = to_text if output is Format.TEXT else to_markdown
        print("\n".join(render(verdict) for verdict in verdicts), end="")
    if any(verdict.outcome is SuiteOutcome.UNSCORED for verdict in verdicts):
        raise typer.Exit(Unavailable.exit_code)
    raise typer.Exit(0 if all(verdict.passes for verdict in verdicts) else 1)


def _find(tree: Tree, settings: Settings, wanted: str) -> Loaded:
    """A prompt by path or by name. Broken files of other prompts do not matter."""
    from promptship.prompts.load import is_prompt_path, load

    paths = [path for path in tree.files() if is_prompt_path(path, settings.repository.prompts)]
    if wanted in paths:
        return load(wanted, tree.read(wanted))
    names = []
    for path in paths:
        try:
            loaded = load(path, tree.read(path))
        except ConfigError:
            # Its name cannot be known for sure; if it looks like the one, the mistake is the answer.
            if path.rpartition("/")[2].partition(".")[0] == wanted:
                raise
            continue
        if loaded.prompt.name == wanted:
            return loaded
        names.append(loaded.prompt.name)
    raise NotFound(f"no prompt {wanted!r} in {tree.name}; there are: {', '.join(sorted(names)) or 'none'}")


def _at(settings: Settings, ref: str, candidate: Loaded) -> Prompt | None:
    """The prompt at a commit; None, said aloud, when it is not there."""
    from promptship.adapters.git import GitRepository

    repository = GitRepository((settings.root / settings.repository.url).resolve())
    try:
        tree = repository.tree(repository.resolve(ref).id)
        return _find(tree, settings, candidate.prompt.name).prompt
    except (NotFound, ConfigError) as error:
        if ref != "HEAD":  # asked for by name: then it must be there
            raise
        print(f"nothing to compare with: {error}", file=sys.stderr)
        return None


def _rules(settings: Settings, candidate: Loaded, suites: list[str] | None, trials: int | None) -> Regression:
    """The plan's rules with the options of the command line over them."""
    from promptship.settings_file import plan_for

    rules = plan_for(candidate.prompt, settings.plans, candidate.source).regression
    changes = {"suites": tuple(suites) if suites else rules.suites, "trials": trials or rules.trials}
    return rules.model_copy(update=changes)


async def _run(
    settings: Settings, tree: Tree, names: tuple[str, ...], arms: Mapping[Arm, Prompt], rules: Regression
) -> list[SuiteVerdict]:
    from promptship.adapters.providers import HttpModels
    from promptship.evals.compare import compare
    from promptship.evals.runner import run
    from promptship.evals.suite import load_suite

    suites = [load_suite(tree, settings.repository.suites, name) for name in names]
    concurrency = min((provider.concurrency_max for provider in settings.providers.values()), default=8)
    models = HttpModels(settings.providers, settings.models, os.environ)
    verdicts = []
    try:
        for suite in suites:
            done = await run(suite, arms, models, trials=rules.trials, concurrency=concurrency)
            verdict = compare(
                done,
                margin=rules.margin,
                alpha=rules.alpha,
                unscored_max=rules.unscored_max,
                pass_rate_min=rules.pass_rate_min,
            )
            verdicts.append(verdict)
    finally:
        await models.aclose()
    return verdicts
