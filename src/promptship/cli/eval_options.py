"""Options of `promptship eval`: the command itself then reads like its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from promptship.evals.reports.formats import Format

Prompts = Annotated[list[str] | None, typer.Argument(help="Name or path of a prompt; several make a matrix.")]
Configs = Annotated[
    list[Path] | None,
    typer.Option(
        "--config", "-c", envvar="PROMPTSHIP_CONFIG", help="promptship.toml, or promptfoo configurations."
    ),
]
Outputs = Annotated[
    list[Path] | None,
    typer.Option(
        "--output", "-o", help="Report file; .html .md .json .jsonl .csv .xml .txt; may be repeated."
    ),
]
Formats = Annotated[Format, typer.Option("--format", help="What is printed.")]
Suites = Annotated[list[str] | None, typer.Option("--suite", help="Default: the plan's; may be repeated.")]
Against = Annotated[
    str | None, typer.Option(help="Branch, tag or commit to compare with, or `none`.  [default: HEAD]")
]
Models = Annotated[
    list[str] | None, typer.Option("--model", "-m", help="Ask this model instead; several make a matrix.")
]
Trials = Annotated[
    int | None,
    typer.Option("--trials", "--repeat", min=1, max=100, help="Answers per case; default: the plan's."),
]
Concurrency = Annotated[
    int | None,
    typer.Option("--concurrency", "-j", min=1, max=1000, help="Parallel calls per provider at most."),
]
Fixed = Annotated[bool, typer.Option("--fixed", help="Always that many calls: do not adapt to rate limits.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Pay every answer anew.")]
NoEarlyStop = Annotated[bool, typer.Option("--no-early-stop", help="Go on when the outcome is certain.")]
SpendMax = Annotated[
    float | None,
    typer.Option("--spend-max", min=0.000001, metavar="USD", help="Start no call beyond this."),
]
AllowUnpriced = Annotated[
    bool,
    typer.Option("--allow-unpriced", help="Run under a limit of cost although a model has no known price."),
]
Resume = Annotated[
    str | None, typer.Option("--resume", metavar="RUN", help="Go on with a run: its id, or `last`.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be asked and what it would cost.")]
Var = Annotated[list[str] | None, typer.Option("--var", help="promptfoo: name=value for every test.")]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        help="promptfoo: first-n=5, sample=5, seed=1, range=0:9, pattern=…, metadata=k=v, providers=…, prompts=…; "
        "failing=FILE, failing-only=FILE, errors-only=FILE of an earlier run.",
    ),
]
