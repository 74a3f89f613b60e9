"""`promptship plan simulate`: what a release plan can be expected to do, before it is used."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer

from promptship.cli.context import CONFIG, Config, Json, print_json
from promptship.cli.context import app as connect
from promptship.cli.report_files import Output, as_json, check_files, write
from promptship.errors import ConfigError, Problem

app = typer.Typer(help="Try a release plan before it is used.", no_args_is_help=True)

Rps = Annotated[float | None, typer.Option(help="Requests per second; default: stable's, from telemetry.")]
BaseRates = Annotated[
    list[str] | None,
    typer.Option(
        "--base-rate",
        help="What stable does now, as metric=number: a rate 0..1, a p95 in ms, a mean. Default: telemetry's.",
    ),
]
Parts = Annotated[
    list[str] | None,
    typer.Option(
        "--measured",
        help="Part of the requests that is measured, as metric=0..1: a judge may see one in ten.",
    ),
]
Ref = Annotated[
    str | None,
    typer.Option(
        help="Branch, tag or commit to read the plan from; default: the files as they are, or the repository's branch where there are none."
    ),
]


@app.command()
def simulate(
    prompt: Annotated[str, typer.Argument(help="Name or path of the prompt.")],
    rps: Rps = None,
    base_rate: BaseRates = None,
    measured: Parts = None,
    ref: Ref = None,
    runs: Annotated[
        int, typer.Option(min=50, max=20_000, help="Simulated releases of an unchanged prompt.")
    ] = 400,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same numbers.")] = 1,
    output: Output = None,
    json: Json = False,
    config: Config = CONFIG,
) -> None:
    """Simulate the plan that a release of this prompt would have: will good versions pass, bad ones be found, and when?

    Exit status 1 when the plan cannot decide at this traffic, or stops unchanged prompts too.

    \b
    promptship plan simulate support --rps 5 --base-rate error_rate=0.02 --base-rate feedback:escalated=0.1
    promptship plan simulate support --output plan.svg --output plan.md
    """
    from promptship.adapters.files import WorkingTree
    from promptship.canary.planner import forecast
    from promptship.lifecycle.planning import known, tree_of
    from promptship.render.plan import plan_markdown, plan_text
    from promptship.render.plan_chart import plan_chart

    if rps is not None and not 0 < rps < 1e7:  # noqa: PLR2004 - more is a slip
        raise ConfigError(
            [Problem("plan simulate", "--rps", f"{rps:g}", "expected requests per second, above 0")]
        )
    check_files("plan simulate", output)
    ports = connect(config)
    tree = tree_of(ports, WorkingTree(ports.settings.root), ref)
    given = known(
        ports, tree, prompt, requests_per_s=rps, base_rates=numbers("--base-rate", base_rate),
        parts=numbers("--measured", measured),
    )  # fmt: skip
    canary = given.plan.canary
    found = forecast(canary, given.measured, given.traffic, runs=runs, seed=seed)
    data = {"prompt": given.prompt, "tree": given.tree, "sources": given.sources, **asdict(found)}
    about = (given.prompt, canary, found)
    markdown, picture = partial(plan_markdown, *about, given.sources), partial(plan_chart, *about)
    write(output, {".md": markdown, ".svg": picture, ".json": partial(as_json, data)})
    if json:
        print_json(data)
    else:
        print(plan_text(*about, given.sources))
    raise typer.Exit(1 if found.undecided or found.stopped else 0)


def numbers(option: str, given: list[str] | None) -> dict[str, float]:
    """`metric=number` of every use of an option; ConfigError with all that are not."""
    found, problems = {}, []
    for word in given or ():
        metric, sign, number = word.rpartition("=")
        try:
            found[metric] = float(number)
        except ValueError:
            sign = ""
        if not sign or not metric:
            problems.append(
                Problem("plan simulate", option, word, "expected metric=number", f"{option} error_rate=0.02")
            )
    if problems:
        raise ConfigError(problems)
    return found
