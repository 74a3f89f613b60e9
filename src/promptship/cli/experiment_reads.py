"""`promptship experiment show` and `list`: what experiments with several arms have found."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from promptship.cli.context import CONFIG, Config, Json, print_json
from promptship.cli.context import app as connect
from promptship.cli.experiment_options import Which, as_data
from promptship.cli.report_files import Output, as_json, check_files, write


def show(
    which: Which,
    alpha: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Chance that any of the intervals ever misses.")
    ] = 0.05,
    output: Output = None,
    json: Json = False,
    config: Config = CONFIG,
) -> None:
    """The arms of an experiment, and how much each differs from the control on every metric. Look as often as you like.

    Of a release (r-...) its holdback: what was promoted against the version before.
    """
    from promptship.lifecycle.experiment_record import find
    from promptship.lifecycle.experiment_results import holdback_results, results
    from promptship.render.arms import arms_chart, arms_markdown, arms_text

    check_files("experiment show", output)
    ports = connect(config)
    if which.startswith("r-"):
        found = holdback_results(ports, ports.ledger.find(which), alpha=alpha)
    else:
        found = results(find(ports, which), alpha=alpha)
    data = asdict(found)
    write(
        output,
        {
            ".md": lambda: arms_markdown(found),
            ".svg": lambda: arms_chart(found),
            ".json": lambda: as_json(data),
        },
    )
    if json:
        print_json(data)
    else:
        print(arms_text(found))


def list_(
    prompt: Annotated[str, typer.Option(help="Only this prompt's.")] = "",
    json: Json = False,
    config: Config = CONFIG,
) -> None:
    """Experiments, the one that was written to last first."""
    from promptship.lifecycle.experiment_record import listed
    from promptship.lifecycle.experiments import words
    from promptship.render.arms import experiments_table

    found = listed(connect(config), prompt=prompt, limit=100)
    if json:
        print_json([as_data(one) for one in found])
    else:
        rows = [
            (one.id, one.prompt, one.status.value, words(one), one.opened_at, one.reason) for one in found
        ]
        print(experiments_table(rows))
