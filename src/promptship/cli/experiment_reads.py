"""`promptship experiment show` and `list`: what experiments with several arms have found."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptship.cli.context import CONFIG, Config, Json, print_json
from promptship.cli.context import app as connect
from promptship.cli.plan import Output, as_json, write

if TYPE_CHECKING:
    from promptship.lifecycle.experiment_record import ArmsExperiment

Which = Annotated[
    str, typer.Argument(help="Id of an experiment, the beginning of one, or the name of its prompt.")
]


def show(
    which: Which,
    alpha: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Chance that any of the intervals ever misses.")
    ] = 0.05,
    output: Output = None,
    json: Json = False,
    config: Config = CONFIG,
) -> None:
    """The arms of an experiment, and how much each differs from the control on every metric. Look as often as you like."""
    from promptship.lifecycle.experiment_record import find
    from promptship.lifecycle.experiment_results import results
    from promptship.render.arms import arms_chart, arms_markdown, arms_text

    found = results(find(connect(config), which), alpha=alpha)
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


def as_data(found: ArmsExperiment) -> dict[str, Any]:
    """An experiment as plain values, without its looks."""
    told = ("id", "prompt", "share", "metrics", "risk", "required", "approvers", "opened_at", "opened_by")
    more = ("began_at", "lasts_s", "stopped_at", "reason", "dropped")
    return {
        **{name: getattr(found, name) for name in (*told, *more)},
        "status": found.status.value,
        "arms": [
            {**asdict(arm), "part": part} for arm, part in zip(found.arms, found.fractions, strict=True)
        ],
    }
