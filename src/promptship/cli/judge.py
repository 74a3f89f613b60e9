"""`promptship judge`: how far a judge model can be trusted."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptship.cli import context
from promptship.cli.context import CONFIG, Config
from promptship.errors import ConfigError, Problem, Refused, Unavailable

if TYPE_CHECKING:
    from promptship.evals.judges.calibration import Calibration
    from promptship.evals.judges.labels import Label
    from promptship.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Hold a judge model against what people say.")


class Form(StrEnum):
    """How a calibration is printed."""

    TEXT = "text"
    MARKDOWN = "md"
    JSON = "json"


@app.command()
def calibrate(
    labels: Annotated[
        Path, typer.Argument(help="CSV with columns output, label (1 or 0), rubric; also input, case, judge.")
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Judge model; not needed when the file has its verdicts.")
    ] = "",
    rubric: Annotated[str, typer.Option(help="Rubric of labels that have none.")] = "",
    threshold: Annotated[float | None, typer.Option(min=0, max=1, help="As of llm-rubric.")] = None,
    name: Annotated[str, typer.Option(help="Name of the calibration; default: the file's.")] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Write judges/<name>.calibration.json.")] = False,
    format_: Annotated[Form, typer.Option("--format", help="How it is printed.")] = Form.TEXT,
    config: Config = CONFIG,
) -> None:
    """Ask the judge about answers that people have labelled: accuracy, Cohen's kappa, bias, and the corrected pass rate.

    \b
    Example: promptship judge calibrate labels.csv --model gpt-4.1 --keep
    """
    from promptship.evals.judges.calibration import path_of, to_json
    from promptship.evals.judges.calibration_report import to_markdown, to_text
    from promptship.evals.judges.labels import read_labels

    try:
        content = labels.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            [Problem(str(labels), "", f"unreadable: {error}", "expected a CSV file in UTF-8")]
        ) from None
    read = read_labels(content, str(labels))
    settings = context.settings(config)
    if not model and any(label.judge_passed is None for label in read):
        raise _wrong("--model", "missing", "expected the judge's model", "or fill the column `judge`")
    name = name or labels.stem
    if Path(name).name != name:
        raise _wrong("--name", repr(name), "expected a file name without folders")
    try:
        found = asyncio.run(_calibrated(settings, read, name, model, rubric, threshold, str(labels)))
    except Refused as error:  # by a provider, of the key: status 1 would be an answer about the judge
        raise Unavailable(str(error)) from None
    if format_ is Form.JSON:
        print(to_json(found), end="")
    else:
        print((to_text if format_ is Form.TEXT else to_markdown)(found), end="")
    if keep:
        path = path_of(settings.root, found.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(to_json(found), encoding="utf-8")
        print(f"wrote {path}", file=sys.stderr)


def _wrong(option: str, got: str, expected: str, advice: str = "") -> ConfigError:
    return ConfigError([Problem("promptship judge calibrate", option, got, expected, advice)])


async def _calibrated(
    settings: Settings,
    labels: tuple[Label, ...],
    name: str,
    model: str,
    rubric: str,
    threshold: float | None,
    file: str,
) -> Calibration:
    from promptship.evals.calls import Calls
    from promptship.evals.judges import NativeGraders
    from promptship.evals.judges.calibration import calibrate as held_against
    from promptship.evals.regression import equipped
    from promptship.evals.services import Services
    from promptship.evals.suite_file import JudgeSettings

    async with equipped(settings) as means:
        calls = Calls(means.limits, answers=means.answers)
        graders = (
            NativeGraders(means.models, calls, JudgeSettings(model=model), endpoint=means.endpoint)
            if model
            else None
        )
        services = Services(scripts=means.scripts, graders=graders)
        return await held_against(
            labels, services, name=name, rubric=rubric, threshold=threshold, file=file,
            at=datetime.now(UTC).date(), concurrency=means.limits.concurrency,
        )  # fmt: skip


@app.command()
def correct(
    name: Annotated[str, typer.Argument(help="Name of a calibration that was kept.")],
    rate: Annotated[float, typer.Option(min=0, max=1, help="Pass rate that the judge gave a suite.")],
    cases: Annotated[int, typer.Option(min=1, help="Cases of that suite, none of them among the labelled.")],
    config: Config = CONFIG,
) -> None:
    """Say what a suite's pass rate is worth, given how the judge errs.

    \b
    Example: promptship judge correct labels --rate 0.87 --cases 200
    """
    from promptship.evals.judges.calibration import from_json, path_of
    from promptship.evals.judges.calibration_report import to_text
    from promptship.evals.judges.correction import corrected_pass_rate
    from promptship.evals.score import Unscored

    path = path_of(context.settings(config).root, name)
    try:
        kept = from_json(path.read_text(encoding="utf-8"), str(path))
    except OSError:
        advice = "make one with `promptship judge calibrate labels.csv --keep`"
        raise ConfigError([Problem(str(path), "", "not there", "expected a calibration", advice)]) from None
    found = corrected_pass_rate(rate, cases, kept)
    if isinstance(found, Unscored):
        print(f"no correction: {found.reason}")
        raise typer.Exit(1)
    print(to_text(kept, found), end="")
