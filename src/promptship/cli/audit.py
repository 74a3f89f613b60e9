"""`promptship audit verify`: prove that nobody changed history."""

from __future__ import annotations

from dataclasses import asdict

import typer

from promptship.cli.context import CONFIG, Config, Json, print_json
from promptship.cli.context import app as connect

app = typer.Typer(help="Prove that history was not changed.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Prove that history was not changed."""


@app.command()
def verify(json: Json = False, config: Config = CONFIG) -> None:
    """Recompute every hash chain of the ledger. Exit status 1 when a link is broken."""
    report = connect(config).ledger.verify()
    if json:
        print_json(asdict(report))
    else:
        for problem in report.problems:
            print(problem)
        verdict = "BROKEN" if report.problems else "intact"
        print(f"{report.events:,} events of {report.releases:,} releases: {verdict}\nhead {report.head}")
    raise typer.Exit(1 if report.problems else 0)
