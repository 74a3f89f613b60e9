"""Options and words that the commands of `promptship experiment` share."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptship.errors import ConfigError, Problem

if TYPE_CHECKING:
    from promptship.lifecycle.experiment_record import ArmsExperiment

Which = Annotated[
    str, typer.Argument(help="Id of an experiment, the beginning of one, or the name of its prompt.")
]
Share = Annotated[float, typer.Option(help="Fraction of units that take part, above 0, at most 1.")]


def share_ok(where: str, share: float) -> None:
    """Raises ConfigError for what is no share."""
    if not 0 < share <= 1:
        raise ConfigError(
            [Problem(where, "--share", f"{share:g}", "expected above 0, at most 1", "--share 0.2")]
        )


def seconds(until: str) -> float | None:
    """How long that is; None where nothing is said. Raises ConfigError."""
    from promptship.release.duration import DURATION_S_MAX, parse_duration

    if not until:
        return None
    try:
        found = parse_duration(until)
    except ValueError as error:
        raise ConfigError([Problem("experiment start", "--until", until, str(error), "--until 7d")]) from None
    if not isinstance(found, float) or not 0 < found <= DURATION_S_MAX:
        raise ConfigError(
            [Problem("experiment start", "--until", until, "expected a time above 0", "--until 7d")]
        )
    return found


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
