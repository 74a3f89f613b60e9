"""What a scorer tells about itself, and keeps over a restart: counts, lag, and what its judges have cost today."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

STATE: Final = "scorer.json"
"""In the data directory. It holds no text of anybody."""


class _Value(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Spending(_Value):
    """One budget on one day (UTC)."""

    day: str
    spent_usd: float
    spend_max_usd: float | None = None
    is_spent: bool = False


class State(_Value):
    """As of `at`, Unix seconds. Counts are those since the start of the process."""

    at: float = 0.0
    started_at: float = 0.0
    scored: int = 0
    unscored: dict[str, int] = Field(default_factory=dict)
    """By reason."""
    retried: int = 0
    waiting: int = 0
    """Judgements that are not made yet, of the files that are open."""
    files: int = 0
    """Files of answers that wait, open ones included."""
    lag_s: float = 0.0
    """Age of the oldest answer that waits; 0: none."""
    unreadable: int = 0
    """Lines that were no samples."""
    scores_lost: int = 0
    """Times that the spool did not take a score; it is tried again."""
    budgets: dict[str, Spending] = Field(default_factory=dict)
    """By prompt and check; `*` is all of them together."""


def read_state(data: Path) -> State | None:
    """What the scorer wrote last; None: nothing that can be read."""
    try:
        return State.model_validate_json((data / STATE).read_bytes())
    except (OSError, ValidationError):
        return None


def write_state(data: Path, state: State) -> None:
    """Replace the file. Raises OSError."""
    path = data / STATE
    draft = path.with_name(f".{STATE}.{os.getpid()}")
    draft.write_text(state.model_dump_json(), encoding="utf-8")
    draft.replace(path)


def told(state: State | None, now_s: float) -> dict[str, Any]:
    """The state for people and monitors."""
    if state is None:
        return {"status": "never ran"}
    age_s = round(now_s - state.at, 1)
    status = "ok" if age_s < _SILENT_S else "silent"
    return {"status": status, "age_s": age_s, **state.model_dump(exclude={"at"})}


_SILENT_S: Final = 10.0
