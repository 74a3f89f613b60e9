"""`promptship retest`: production prompts on another model, compared with the one they use; and what earlier ones came to."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from promptship.cli.context import CONFIG, Config, Json, print_json
from promptship.cli.context import app as connect

if TYPE_CHECKING:
    from promptship.release.retest import Retest


class _OrRun(TyperGroup):
    """`retest PROMPT` is `retest run PROMPT`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {*self.commands, "-h", "--help"}
        return super().parse_args(ctx, args if args and args[0] in known else ["run", *args])


app = typer.Typer(
    cls=_OrRun,
    help="Re-test production prompts on another model: `promptship retest [PROMPT...] --model NEW`.",
)


@app.command("run")
def run(
    prompt: Annotated[
        list[str] | None, typer.Argument(help="Production prompts; none: all on the model.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="The new model. Without it: what is open and due, as the flow does.")
    ] = "",
    against: Annotated[str, typer.Option(help="Only prompts that use this model now.")] = "",
    provider: Annotated[
        str, typer.Option(help="Provider of the new model.  [default: as `[models]` says]")
    ] = "",
    trials: Annotated[int | None, typer.Option(min=1, max=100, help="Answers per case and model.")] = None,
    propose: Annotated[
        bool, typer.Option("--propose", help="Write a branch for each prompt that it is worth for.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Test anew what has been tested.")] = False,
    json: Json = False,
    config: Config = CONFIG,
) -> None:
    """Run the suites of production prompts on their model and on a new one, paired. Needs no Prefect. Killed, it can be run again.

    \b
    Exit status: 0 better or the same · 1 worse, or nobody can tell · 2 your input is wrong · 3 a provider is down.
    """
    from promptship import wiring
    from promptship.cli.retest_asked import alone, as_the_flow, changes, opened
    from promptship.tasks.retesting import run_retest

    connected = connect(config)
    if not model:
        raise typer.Exit(as_the_flow(connected))
    settings = connected.settings
    wishes = {"propose": propose, "trials": trials or settings.retest.trials}
    settings = settings.model_copy(update={"retest": settings.retest.model_copy(update=wishes)})
    connected = replace(connected, settings=settings)
    done = []
    with wiring.use(connected):
        for change in changes(connected, prompt or [], model, against, provider):
            asked = opened(connected, change, again=again)
            print(f"re-test {asked.id}: {change.model} -> {change.to}", file=sys.stderr)
            with alone(f"retest:{asked.id}"):
                done.append(run_retest(connected, asked, report=False))
    _print(done, json=json)
    standings = {one.standing for retest in done for one in retest.results.values()}
    raise typer.Exit(int(bool(standings & {"worse", "cannot tell"})))


@app.command()
def show(
    retest: Annotated[str, typer.Argument(help="Id, or its beginning; none: a list.")] = "",
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    json: Json = False,
    config: Config = CONFIG,
) -> None:
    """Show what a re-test came to, or list them, the latest first."""
    from promptship.lifecycle import retests
    from promptship.render.retest import SUMMARY, report, summary
    from promptship.render.table import aligned

    connected = connect(config)
    if retest:
        found = retests.find(connected, retest)
        print(report(found)) if markdown and not json else _print([found], json=json)
        return
    listed = retests.retests(connected)
    if json:
        print_json([_plain(one) for one in listed])
    else:
        print(
            "\n".join(aligned([SUMMARY, *(summary(one) for one in listed)])) if listed else "no re-test yet"
        )


def _print(done: list[Retest], *, json: bool) -> None:
    from promptship.render.retest import lines

    if json:
        print_json([_plain(one) for one in done])
    else:
        print("\n\n".join("\n".join(lines(one)) for one in done))


def _plain(one: Retest) -> dict[str, Any]:
    return {
        "id": one.id, "change": one.change.data(), "opened_at": one.opened_at, "told_at": one.told_at,
        "results": [result.data() | {"cost_change": result.cost_change, "latency_change": result.latency_change}
                    for result in one.results.values()],
        "proposals": [proposal.data() for proposal in one.proposals.values()],
    }  # fmt: skip
