"""The command line. Results go to stdout, talk to stderr; every read has `--json`.

Exit status: 0 done, 1 the answer is no (rejected, rolled back, findings), 2 your input is wrong, 3 something outside is down.
Modules are imported by the command that needs them: `promptship lint` must not wait for Prefect.
"""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from promptship.cli import (
    adopt,
    approve,
    audit,
    ci,
    client,
    context,
    deliveries,
    diff,
    docs,
    doctor,
    experiment,
    fleet,
    freeze,
    history,
    hook,
    judge,
    kill,
    models,
    plan,
    promote,
    query,
    redteam,
    release,
    replay,
    retest,
    slack,
    start,
    up,
)
from promptship.cli.eval import eval_
from promptship.cli.lint import lint
from promptship.errors import PromptshipError


class _Commands(TyperGroup):
    """Errors of promptship become one clear text and their exit status, however the command was started."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PromptshipError as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from None
        finally:
            context.close()


app = typer.Typer(
    name="promptship",
    cls=_Commands,
    help="Ship prompts like code: lint, regression suite, canary on live traffic, approval, promotion or rollback.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(lint)
app.command(name="eval")(eval_)
app.add_typer(judge.app, name="judge")
app.add_typer(redteam.app, name="redteam")
app.command()(diff.diff)
app.command()(adopt.adopt)
release.app.command()(replay.replay)
app.add_typer(release.app, name="release")
app.add_typer(experiment.app, name="experiment")
app.add_typer(plan.app, name="plan")
app.add_typer(models.app, name="models")
app.add_typer(retest.app, name="retest")
app.command()(approve.approve)
app.command()(approve.reject)
app.command()(promote.status)
app.command()(promote.promote)
app.add_typer(freeze.app, name="freeze")
app.command()(history.history)
app.command()(history.rollback)
app.command()(kill.kill)
app.add_typer(audit.app, name="audit")
app.command()(deliveries.deliveries)
app.command()(query.query)
app.command()(query.compact)
app.command()(up.up)
app.command()(start.server)
app.command()(start.gateway)
app.command()(start.watcher)
app.command()(start.scorer)
app.command()(start.runner)
app.command()(start.prefect)
app.command()(doctor.doctor)
app.add_typer(fleet.app, name="fleet")
app.add_typer(hook.app, name="hook")
app.add_typer(ci.app, name="ci")
app.add_typer(client.app, name="client")
app.add_typer(slack.app, name="slack")
app.command()(docs.docs)


def main() -> None:
    """Entry point."""
    try:
        app()
    except BrokenPipeError:
        sys.exit(0)
