"""The newest observations of a stage, straight from the ends of the spool files, for the quality gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from promptship.adapters.telemetry.lines import read_columns
from promptship.adapters.telemetry.segments import tails
from promptship.adapters.telemetry.spool import OBSERVATIONS
from promptship.routing.observation import Observation

ROWS_MAX: Final = 20_000
BYTES_MAX: Final = 8 * 1024 * 1024
COLUMNS: Final = ("at_ms", "arm", "latency_ms", "status", "tokens_out", "cost_usd")


def newest(spool: Path, release_id: str, stage: int) -> dict[str, list[Any]]:
    """Columns of at most `ROWS_MAX` observations, the newest first."""
    rows, _ = read_columns(Observation, tails(spool, OBSERVATIONS, bytes_max=BYTES_MAX))
    mine = [
        at
        for at, place in enumerate(zip(rows["release"], rows["stage"], strict=True))
        if place == (release_id, stage)
    ]
    times = rows["at_ms"]
    mine = sorted(mine, key=lambda at: -times[at])[:ROWS_MAX]
    return {name: [rows[name][at] for at in mine] for name in COLUMNS}
