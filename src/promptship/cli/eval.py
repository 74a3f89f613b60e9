"""`promptship eval`: run suites, or a promptfoo configuration, from the working directory, before anybody pushes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from promptship.cli import eval_options as options
from promptship.errors import ConfigError, Problem
from promptship.evals.reports.formats import Format, refuse_endings, refuse_places

SETTINGS = ".toml"
"""Ending of promptship's settings; every other file that `--config` names is promptfoo's."""
_COLLECT = (50_000, 20, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the command line says about any run."""

    settings: Path | None
    """promptship.toml; None: the one in this directory, if there is one."""
    outputs: tuple[Path, ...]
    format: Format
    trials: int | None
    concurrency: int | None
    adaptive: bool
    cache: bool
    spend_max_usd: float | None
    allow_unpriced: bool
    resume: str | None
    dry_run: bool


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Look for cyclic garbage less often: each look walks over thousands of cases that stay, a fifth of a run's time in all."""
    before = gc.get_threshold()
    gc.set_threshold(*_COLLECT)
    try:
        yield
    finally:
        gc.set_threshold(*before)


@_seldom_collected()
def eval_(
    prompt: options.Prompts = None,
    config: options.Configs = None,
    output: options.Outputs = None,
    format_: options.Formats = Format.TEXT,
    suite: options.Suites = None,
    against: options.Against = None,
    model: options.Models = None,
    trials: options.Trials = None,
    concurrency: options.Concurrency = None,
    fixed: options.Fixed = False,
    no_cache: options.NoCache = False,
    no_early_stop: options.NoEarlyStop = False,
    spend_max: options.SpendMax = None,
    allow_unpriced: options.AllowUnpriced = False,
    resume: options.Resume = None,
    dry_run: options.DryRun = False,
    var: options.Var = None,
    only: options.Only = None,
) -> None:
    """Run a prompt's suites, the working directory against a commit; or, with -c, a promptfoo configuration unchanged.

    \b
    Exit status: 0 passes · 1 does not · 2 a file or option is wrong · 3 a provider is down, or too much has no score.
    Examples: promptship eval support-reply --against main --trials 5 -o report.html
              promptship eval support-reply --model gpt-4.1 --model gpt-4.1-mini
              promptship eval -c promptfooconfig.yaml -o out.json
    """
    settings = [path for path in config or [] if path.suffix == SETTINGS]
    foreign = [path for path in config or [] if path.suffix != SETTINGS]
    wishes = Wishes(
        settings=settings[-1] if settings else None, outputs=tuple(output or ()), format=format_, trials=trials,
        concurrency=concurrency, adaptive=not fixed, cache=not no_cache, spend_max_usd=spend_max,
        allow_unpriced=allow_unpriced, resume=resume, dry_run=dry_run,
    )  # fmt: skip
    refuse_endings(wishes.outputs, *(() if prompt else (".yaml", ".yml")))
    refuse_places(wishes.outputs)
    if prompt and not foreign:
        _refuse(var=var, filter=only)
        from promptship.cli.eval_ready import Native
        from promptship.cli.eval_suites import run

        status = run(
            wishes,
            Native(
                prompts=tuple(prompt), suites=tuple(suite or ()), against=against, models=tuple(model or ()),
                stop_early=not no_early_stop,
            ),
        )  # fmt: skip
    elif not prompt:
        _refuse(suite=suite, model=model, against=against)
        if not foreign and not any(Path().glob("promptfooconfig.*")):
            expected = "expected a prompt of this repository, or -c with promptfoo's files"
            raise ConfigError([Problem("promptship eval", "PROMPT", "missing", expected)])
        from promptship.cli.eval_promptfoo import run_files

        status = run_files(wishes, tuple(foreign), tuple(var or ()), tuple(only or ()))
    else:
        got, expected = (
            " ".join(prompt),
            "expected either prompts of this repository, or -c with promptfoo's files",
        )
        raise ConfigError([Problem("promptship eval", "PROMPT", got, expected)])
    raise typer.Exit(status)


def _refuse(**options: list[str] | str | None) -> None:
    """An option that would be ignored is a mistake."""
    problems = [
        Problem(
            "promptship eval", f"--{name}", "given", "has no meaning for this kind of run", "leave it out"
        )
        for name, value in options.items()
        if value
    ]
    if problems:
        raise ConfigError(problems)
