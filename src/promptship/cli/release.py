"""`promptship release open | list | show | watch | pause | resume | cancel`."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from promptship.cli.context import CONFIG, Config, Environment, Json, Reason, actor, print_json
from promptship.cli.context import app as connect
from promptship.cli.freeze import Approver, DuringFreeze, go_on
from promptship.release.phase import OPEN, Phase

app = typer.Typer(help="Open, list, show, watch, pause, resume and cancel releases.", no_args_is_help=True)

ReleaseId = Annotated[str, typer.Argument(help="Release id, or the beginning of one.")]


@app.command("open")
def open_(
    prompt: Annotated[str, typer.Argument(help="Name or path of the prompt.")],
    ref: Annotated[str, typer.Option(help="Branch, tag or commit to release.")] = "HEAD",
    again: Annotated[bool, typer.Option("--again", help="Retry what ended without a verdict.")] = False,
    reason: Reason = "",
    environment: Environment = "",
    during_freeze: DuringFreeze = False,
    who: Approver = "",
    config: Config = CONFIG,
) -> None:
    """Release a prompt by hand: what a push does."""
    from promptship.lifecycle.opening import open_release

    app = connect(config)
    opened = open_release(
        app, prompt=prompt, ref=ref, actor=actor(), reason=reason, again=again, environment=environment
    )
    if during_freeze:
        go_on(app, opened.release_id, who=who, reason=reason)
    if not opened.created:
        print("that commit has a release already:", file=sys.stderr)
    print(opened.release_id)


@app.command("list")
def list_(
    prompt: Annotated[str | None, typer.Argument(help="Only this prompt.")] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only releases that are not over.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 30,
    environment: Environment = "",
    json: Json = False,
    config: Config = CONFIG,
) -> None:
    """List releases, newest first; without an environment those of all of them."""
    from dataclasses import asdict

    from promptship.lifecycle.environments import releases_in
    from promptship.lifecycle.freezes import held_back
    from promptship.lifecycle.groups import companions
    from promptship.render.release import release_list

    app = connect(config)
    summaries = releases_in(app, environment, prompt=prompt, phases=OPEN if open_only else None, limit=limit)
    if json:
        print_json([asdict(summary) for summary in summaries])
    elif not summaries and open_only:
        print("no release is open")
    else:
        held, along = held_back(app, summaries), companions(app, summaries)
        print(release_list(summaries, app.clock.now(), frozen=held, companions=along))


@app.command()
def show(release: ReleaseId, json: Json = False, config: Config = CONFIG) -> None:
    """Show one release with its evidence and everything that happened to it."""
    from promptship.lifecycle.groups import described
    from promptship.render.release import release_text

    app = connect(config)
    events = app.ledger.events(release_id := app.ledger.find(release), looks=json)
    if json:
        print_json([event.model_dump(mode="json") for event in events])
    else:
        print(release_text(shown := app.release(release_id), events, described(app, shown)))


@app.command()
def watch(
    release: ReleaseId,
    timeout: Annotated[float, typer.Option(min=0, help="Stop after this many seconds; 0: when it ends.")] = 0,
    every: Annotated[float, typer.Option(min=0, help="Seconds between looks that say the same.")] = 5,
    config: Config = CONFIG,
) -> None:
    """Follow a release live until it ends. Exit status 0 when it is promoted, 1 when the answer is no."""
    from promptship.render.follow import Following

    app = connect(config)
    release_id = app.ledger.find(release)
    following, seen, began = Following(every_s=every), -1, time.monotonic()
    while True:
        for event in app.ledger.events(release_id, after=seen):
            for line in following.lines(event):
                print(line, flush=True)
            seen = event.seq
        standing = app.release(release_id)
        if not standing.is_open:
            raise typer.Exit(0 if standing.phase is Phase.PROMOTED else 1)
        if timeout and time.monotonic() - began > timeout:
            print(f"still {standing.phase} after {timeout:g} s", file=sys.stderr)
            raise typer.Exit(3)
        time.sleep(0.5)


@app.command()
def pause(release: ReleaseId, reason: Reason = "", config: Config = CONFIG) -> None:
    """Hold an open release: nothing advances or expires; its canary keeps its share, guardrails still roll back."""
    from promptship.lifecycle.pausing import pause as hold

    app = connect(config)
    held = hold(app, app.ledger.find(release), actor=actor(), reason=reason)
    print(f"{held.id} of {held.prompt} is {held.phase}, paused")


@app.command()
def resume(
    release: ReleaseId,
    reason: Reason = "",
    during_freeze: DuringFreeze = False,
    who: Approver = "",
    config: Config = CONFIG,
) -> None:
    """Let a paused release go on, or one that waits for the end of a freeze."""
    from promptship.lifecycle.pausing import resume as let_go

    app = connect(config)
    if during_freeze:
        go_on(app, app.ledger.find(release), who=who, reason=reason)
    freed = let_go(app, app.ledger.find(release), actor=actor(), reason=reason)
    print(f"{freed.id} of {freed.prompt} is {freed.phase}")


@app.command()
def cancel(release: ReleaseId, reason: Reason, config: Config = CONFIG) -> None:
    """Stop an open release; a canary gives its traffic back at once."""
    from promptship.lifecycle.ending import cancel as cancel_release

    app = connect(config)
    ended = cancel_release(app, app.ledger.find(release), actor=actor(), reason=reason)
    print(f"{ended.id} of {ended.prompt} is {ended.phase}")
