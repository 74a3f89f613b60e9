"""What `promptship eval -c` says before anything is spent: the compatibility report, and how much would be asked."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from promptship.evals.estimate import Estimate
from promptship.evals.promptfoo.model import Note
from promptship.evals.promptfoo.run import Plan

_PLACES_MAX: Final = 3
"""So many places of one note are named."""


def calls_of(planned: Plan) -> Estimate:
    """A promptfoo provider may be a program: what it asks is not known before."""
    judges, judges_max = planned.judge_calls
    calls = planned.rows + judges
    return Estimate(
        trials=planned.rows, calls=calls, judge_calls=judges, calls_max=planned.rows + judges_max, judge_calls_max=judges_max,
        tokens_in=0, tokens_out=0, cost_usd=None, cost_usd_max=None, unpriced={"": calls},
    )  # fmt: skip


def say_notes(notes: Sequence[Note]) -> None:
    """The compatibility report, before anything is spent; what holds in many places is said once."""
    places: dict[tuple[str, str], list[str]] = {}
    for note in notes:
        advice = f" ({note.advice})" if note.advice else ""
        places.setdefault((note.effect.value, note.what + advice), []).append(_from_here(note.where))
    for (effect, said), where in places.items():
        more = f" and {len(where) - _PLACES_MAX:,} more" if len(where) > _PLACES_MAX else ""
        print(f"{effect}: {', '.join(where[:_PLACES_MAX])}{more}: {said}", file=sys.stderr)


def _from_here(where: str) -> str:
    return where.removeprefix(f"{Path.cwd()}{os.sep}")
