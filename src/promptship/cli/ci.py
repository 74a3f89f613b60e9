"""`promptship ci github | gitlab | changed`: reviews of pull requests without a server of ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from promptship.cli.context import CONFIG, Config, Json, print_json
from promptship.cli.context import settings as read_settings
from promptship.errors import ConfigError, Problem

app = typer.Typer(
    help="Lint and suites of pull requests in GitHub Actions or GitLab CI.", no_args_is_help=True
)

Write = Annotated[
    Path | None,
    typer.Option("--write", "-w", help="Write this file instead of printing; nothing is overwritten."),
]


@app.command()
def github(write: Write = None, config: Config = CONFIG) -> None:
    """Print a workflow for GitHub Actions; it belongs into .github/workflows/prompts.yml."""
    from promptship.render import ci

    _hand_out(ci.github, write, config)


@app.command()
def gitlab(write: Write = None, config: Config = CONFIG) -> None:
    """Print a job for GitLab CI; it belongs into .gitlab-ci.yml."""
    from promptship.render import ci

    _hand_out(ci.gitlab, write, config)


@app.command()
def changed(
    since: Annotated[
        str, typer.Option(help="Commit, branch or tag of the base; what it has in common with HEAD counts.")
    ],
    json: Json = False,
    config: Config = CONFIG,
) -> None:
    """Name the prompts whose files, suites or plan changed since a commit, one a line: those whose suites are worth a run."""
    from promptship.adapters.git import GitRepository
    from promptship.lifecycle.changes import name_of, what_changed

    settings = read_settings(config)
    repository = GitRepository((settings.root / settings.repository.url).resolve())
    base, head = repository.resolve(since).id, repository.resolve("HEAD").id
    found = what_changed(repository, settings, repository.merge_base(base, head) or base, head)
    tree = repository.tree(head)
    paths = (*found.prompts, *found.judged_anew)
    names = list(dict.fromkeys(name_of(tree.read(path), path) for path in paths))
    if json:
        print_json({"prompts": names, "removed": list(found.removed)})
    elif names:
        print("\n".join(names))


def _hand_out(template: Callable[[list[str]], str], write: Path | None, config: Path) -> None:
    """Print the workflow, or write it where nothing is."""
    settings = read_settings(config)
    keys = sorted({name for one in settings.providers.values() for name in one.secret_envs if name})
    text = template(keys)
    if write is None:
        print(text, end="")
        return
    write.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(write, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        advice = "print it without --write, and merge by hand"
        raise ConfigError([Problem(str(write), "", "there already", "expected a new file", advice)]) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    print(f"wrote {write}")
