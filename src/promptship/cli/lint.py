"""`promptship lint`: what is wrong with the prompts of the working directory, before anything is spent."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptship.cli.context import CONFIG
from promptship.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from promptship.lifecycle.lint import LintReport
    from promptship.ports import Tree
    from promptship.prompts.lint.finding import LintFinding
    from promptship.settings import Settings


class Format(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Prompt files, or directories of them; all prompts when left out.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Format, typer.Option("--format", help="For people, programs, GitHub Actions or code scanning.")
    ] = Format.TEXT,
    config: Annotated[
        Path, typer.Option("--config", help="The settings file, or the directory it stands in.")
    ] = CONFIG,
) -> None:
    """Look for mistakes in prompts and release plans.

    \b
    Exit status: 0 no errors (there may be warnings) · 1 errors found · 2 a path or the settings file is wrong.
    Example: promptship lint prompts/support-reply.yaml --format github
    """
    from promptship.adapters.files import WorkingTree
    from promptship.lifecycle.lint import lint_tree
    from promptship.settings_file import SETTINGS_FILE, load_settings

    settings = load_settings(config)
    name = SETTINGS_FILE if config.is_dir() else config.name
    chosen = [_inside(path, settings.root) for path in paths] if paths else None
    today = datetime.now(UTC).date()
    tree = WorkingTree(settings.root)
    report = lint_tree(tree, settings, today=today, paths=chosen, config=name)
    report = replace(report, findings=tuple(sorted({*report.findings, *_online(report, settings, tree)})))
    typer.echo(_rendered(report, output), nl=False)
    raise typer.Exit(1 if report.errors else 0)


def _online(report: LintReport, settings: Settings, tree: Tree) -> Iterator[LintFinding]:
    """Online checks that could never have a score; a release finds them out when its suites are read."""
    from promptship.release.lint import INVALID_PLAN

    for path, plan in report.plans.items():
        if not plan.online.checks:
            continue
        from promptship.evals.online.checks import refuse_wrong  # heavy: only where there are checks

        try:
            refuse_wrong(settings, plan.online, tree, report.loaded[path].prompt)
        except ConfigError as error:
            line = report.loaded[path].source.line("release")
            for problem in error.problems:
                message = f"{problem.key} is {problem.got}; {problem.expected}"
                yield INVALID_PLAN.found(path, line, message, problem.advice)


def _inside(path: Path, root: Path) -> str:
    """A path of the command line as the tree names it."""
    found = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would leave the tree through a link
    if found.is_relative_to(root) and found.exists():
        return found.relative_to(root).as_posix()
    if found.resolve().is_relative_to(root) and found.exists():
        return found.resolve().relative_to(root).as_posix()
    why = f"is not below {root}" if found.exists() else "does not exist"
    message = f"{path} {why}; name prompt files of the repository that the settings file stands in"
    raise NotFound(message)


def _rendered(report: LintReport, output: Format) -> str:
    from promptship.lifecycle.lint import RULES
    from promptship.render.findings import to_github, to_json, to_sarif, to_text

    files = len(report.texts)
    match output:
        case Format.TEXT:
            colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
            return to_text(report.findings, files=files, texts=report.texts, colour=colour)
        case Format.JSON:
            return to_json(report.findings, files=files)
        case Format.GITHUB:
            return to_github(report.findings, RULES)
        case Format.SARIF:
            return to_sarif(report.findings, RULES, version=version("promptship"))
