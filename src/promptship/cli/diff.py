"""`promptship diff`: what the model would see differently."""

from __future__ import annotations

from typing import Annotated

import typer

from promptship.cli.context import CONFIG, Config
from promptship.cli.context import app as connect


def diff(
    prompt: Annotated[str, typer.Argument(help="Name or path of the prompt.")],
    before: Annotated[str, typer.Argument(help="Branch, tag or commit.")] = "HEAD~1",
    after: Annotated[str, typer.Argument(help="Branch, tag or commit.")] = "HEAD",
    config: Config = CONFIG,
) -> None:
    """Compare two versions of a prompt, word by word. Exit status 1 when they differ."""
    from promptship.lifecycle.opening import find_prompt
    from promptship.prompts.diff import diff as compare
    from promptship.prompts.diff_text import to_text
    from promptship.prompts.load import load

    app = connect(config)
    versions = []
    for ref in (before, after):
        commit = app.repository.resolve(ref).id
        path = find_prompt(app, commit, prompt)
        versions.append(load(path, app.repository.tree(commit).read(path)).prompt)
    difference = compare(*versions)
    print(to_text(difference), end="")
    raise typer.Exit(0 if difference.empty else 1)
