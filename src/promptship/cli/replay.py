"""`promptship release replay` and `promptship experiment`: a release read again from its ledger."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from promptship.cli.context import CONFIG, Config, Json, print_json
from promptship.cli.context import app as connect
from promptship.cli.report_files import Output, as_json, check_files, write

ReleaseId = Annotated[str, typer.Argument(help="Release id, or the beginning of one.")]


def replay(release: ReleaseId, json: Json = False, config: Config = CONFIG) -> None:
    """Take every look of a release again, from its ledger alone. Exit status 1 when a verdict or its effect differs."""
    from promptship.lifecycle.replay import replay as take_again
    from promptship.render.replay import replay_text

    app = connect(config)
    found = take_again(app, app.ledger.find(release))
    if json:
        print_json({**asdict(found), "agrees": found.agrees})
    else:
        print(replay_text(found))
    raise typer.Exit(0 if found.agrees else 1)


def experiment(
    release: ReleaseId,
    alpha: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Chance that an interval ever misses.")
    ] = 0.05,
    output: Output = None,
    json: Json = False,
    config: Config = CONFIG,
) -> None:
    """How much the candidate differs from stable on every metric, with intervals that hold however often you look."""
    from promptship.canary.experiment import experiment as read
    from promptship.render.experiment import experiment_chart, experiment_markdown, experiment_text

    check_files("experiment intervals", output)
    app = connect(config)
    release_id = app.ledger.find(release)
    found = read(app.release(release_id), app.ledger.events(release_id), alpha=alpha)
    data = asdict(found)
    write(
        output,
        {
            ".md": lambda: experiment_markdown(found),
            ".svg": lambda: experiment_chart(found),
            ".json": lambda: as_json(data),
        },
    )
    if json:
        print_json(data)
    else:
        print(experiment_text(found))
