"""`promptship experiment`: several versions at once against a control, or a release read as an experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from promptship.cli import experiment_reads, replay
from promptship.cli.approve import Who, git_email
from promptship.cli.context import CONFIG, Config, Json, Reason, actor, print_json
from promptship.cli.context import app as connect
from promptship.cli.experiment_options import Share, Which, as_data, seconds, share_ok

if TYPE_CHECKING:
    from promptship.lifecycle.experiment_record import ArmsExperiment

INTERVALS, SHOW = "intervals", "show"


class _Experiments(TyperGroup):
    """`promptship experiment r-41` is short for `promptship experiment intervals r-41`, with `x-41` for `show x-41`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in {"-h", "--help"}:
            named = next((word for word in args if word.startswith(("r-", "x-"))), "")
            args = [SHOW if named.startswith("x-") else INTERVALS, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Experiments,
    help="Several versions at once against a control, with weights; or a release read as an experiment.",
    no_args_is_help=True,
)
app.command(INTERVALS)(replay.experiment)
app.command()(experiment_reads.show)
app.command("list")(experiment_reads.list_)


@app.command()
def start(
    prompt: Annotated[str, typer.Argument(help="Name of the prompt.")],
    arm: Annotated[
        list[str],
        typer.Option(
            help="NAME=VERSION[:WEIGHT]; a version is `stable`, the beginning of a digest, or a commit. Once per arm."
        ),
    ],
    control: Annotated[
        str, typer.Option(help="The arm that the others are compared with. Default: the stable version.")
    ] = "",
    share: Share = 1.0,
    until: Annotated[str, typer.Option(help="End it by itself after this long, for example 7d.")] = "",
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Measured beside the guardrails of the prompt's plan. May be repeated."),
    ] = None,
    json: Json = False,
    config: Config = CONFIG,
) -> None:
    """Start an experiment. Guardrails watch every arm and drop one that is worse; nothing is promoted by itself.

    \b
    promptship experiment start support --arm short=3f2a9c --arm warm=main~2:2 --until 7d
    promptship experiment start support --arm now=stable:2 --arm short=3f2a9c --control now --share 0.2
    """
    from promptship.lifecycle import experiments
    from promptship.lifecycle.experiment_arms import Asked

    share_ok("experiment start", share)
    lasts_s = seconds(until)
    ports = connect(config)
    begun = experiments.start(
        ports, prompt, Asked(tuple(arm), control), share=share, lasts_s=lasts_s, metrics=tuple(metric or ()),
        actor=actor(),
    )  # fmt: skip
    _say(begun, json=json)


@app.command()
def approve(which: Which, who: Who = "", json: Json = False, config: Config = CONFIG) -> None:
    """Agree to an experiment with a prompt of high risk; it begins with the second approver."""
    from promptship.lifecycle import experiments

    _say(experiments.approve(connect(config), which, who=who or git_email(), via="cli"), json=json)


@app.command()
def grow(which: Which, share: Share, json: Json = False, config: Config = CONFIG) -> None:
    """Let more units take part. No unit changes its arm or falls out."""
    from promptship.lifecycle import experiments

    share_ok("experiment grow", share)
    _say(experiments.grow(connect(config), which, share, actor=actor()), json=json)


@app.command()
def stop(which: Which, reason: Reason = "stopped by hand", config: Config = CONFIG) -> None:
    """Stop an experiment, or the holdback of a prompt: everybody gets the stable version. What was measured stays."""
    from promptship.lifecycle import experiments

    print(f"stopped {experiments.stop(connect(config), which, actor=actor(), reason=reason)}")


@app.command()
def promote(
    which: Which,
    arm: Annotated[str, typer.Argument(help="Name of the arm that is to be released.")],
    json: Json = False,
    config: Config = CONFIG,
) -> None:
    """Stop an experiment and open the release of an arm's version, with every check of a release."""
    from promptship.lifecycle import experiments

    opened = experiments.promote(connect(config), which, arm, actor=actor())
    if json:
        print_json({"release": opened.release_id, "prompt": opened.prompt, "created": opened.created})
    else:
        print(f"{opened.release_id} of {opened.prompt} {'opened' if opened.created else 'is there already'}")


def _say(found: ArmsExperiment, *, json: bool) -> None:
    from promptship.lifecycle.experiments import words

    if json:
        print_json(as_data(found))
    else:
        missing = found.required - len(found.approvers)
        rest = f"; {missing} more to agree: promptship experiment approve {found.id}" if missing > 0 else ""
        print(f"{found.id} of {found.prompt} is {found.status}: {words(found)}{rest}")
