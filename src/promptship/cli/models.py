"""`promptship models list | check`: which models production uses, what is known of them, and what is new."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptship.cli.context import CONFIG, Config, Json, print_json
from promptship.cli.context import app as connect

if TYPE_CHECKING:
    from promptship.lifecycle.app import App

app = typer.Typer(
    help="Models in production: what is seen, who uses it, when it retires.", no_args_is_help=True
)

_HEADER = ("model", "provider", "family", "answered by", "retires", "newer", "prompts")


@app.command("list")
def list_(json: Json = False, config: Config = CONFIG) -> None:
    """List the models that production uses, as they were last seen. Asks nobody."""
    from promptship.render.table import aligned

    rows = _known(connect(config))
    if json:
        print_json(rows)
    elif not rows:
        print("no production prompt names a model; `promptship adopt` makes prompts stable", file=sys.stderr)
    else:
        told = [
            (
                row["model"], row["provider"] or "none", row["family"], row["answered_by"] or "not known",
                row["retires_on"] or "not announced", row["newer"] or "none seen", ", ".join(row["prompts"]),
            )
            for row in rows
        ]  # fmt: skip
        print("\n".join(aligned([_HEADER, *told])))


@app.command()
def check(
    probe: Annotated[
        bool, typer.Option("--probe", help="Ask the probes now, too: some very short questions per model.")
    ] = False,
    json: Json = False,
    config: Config = CONFIG,
) -> None:
    """Look at the providers' lists now; say what is new, and open the re-tests that follow from it.

    \b
    Exit status: 0 nothing in use retires soon · 1 something does · 3 a provider does not answer.
    """
    import asyncio
    from dataclasses import asdict
    from datetime import timedelta

    from promptship.lifecycle.models_seen import watch
    from promptship.ports.catalogue import Listed
    from promptship.tasks.drifting import probe as ask_probes

    connected = connect(config)
    seen = asyncio.run(watch(connected))
    notices, problems = list(seen.notices), list(seen.problems)
    if probe:
        more, failed = ask_probes(connected, anyway=True)
        notices, problems = notices + more, problems + failed
    last = connected.clock.now().date() + timedelta(days=max(connected.settings.retest.lead_times, default=0))
    soon = [row for row in _known(connected) if row["retires_on"] and row["retires_on"] <= last.isoformat()]
    lists = {one.provider: len(one.models) if isinstance(one, Listed) else None for one in seen.lists}
    if json:
        print_json({"lists": lists, "notices": [asdict(one) for one in notices], "retiring": soon})
    else:
        for one in seen.lists:
            print(
                f"{one.provider}: {f'{len(one.models):,} models' if isinstance(one, Listed) else one.reason}"
            )
        for notice in notices:
            print(f"{notice.kind}: {notice.text}")
        for row in soon:
            print(f"retires on {row['retires_on']}: {row['model']}, used by {', '.join(row['prompts'])}")
    for error in problems:
        print(f"error: {error}", file=sys.stderr)
    raise typer.Exit(max((error.exit_code for error in problems), default=int(bool(soon))))


def _known(connected: App) -> list[dict[str, Any]]:
    from datetime import date

    from promptship.lifecycle import model_use as use
    from promptship.release.model_changes import successor

    rows = []
    for one in use.in_use(connected):
        said = use.announced(connected, one.provider, one.model)
        on = use.retirement(connected.settings, one.model, None if said is None else date.fromisoformat(said))
        names, _ = use.answered_as(connected, one.provider, one.model)
        seen = use.seen_models(connected, one.provider)
        rows.append(
            {
                "model": one.model, "provider": one.provider, "family": one.family,
                "answered_by": names[-1] if names else "", "retires_on": None if on is None else on.isoformat(),
                "newer": successor(one.model, seen), "prompts": [name for name, _ in one.prompts],
            }
        )  # fmt: skip
    return rows
