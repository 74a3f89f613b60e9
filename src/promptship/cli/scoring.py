"""How online scoring goes on this machine: `promptship scorer --status`."""

from __future__ import annotations

import time
from pathlib import Path

import typer

from promptship.adapters.scorer_state import State, read_state, told
from promptship.cli.context import print_json
from promptship.numbers import money, plural

SILENT_EXIT = 3


def show(data: Path, *, as_json: bool) -> None:
    """Print it. Exit 3 when nobody scores."""
    state = read_state(data)
    found = told(state, time.time())
    if as_json:
        print_json(found)
    else:
        print(_text(state, found["status"]))
    if found["status"] != "ok":
        raise typer.Exit(SILENT_EXIT)


def _text(state: State | None, status: str) -> str:
    if state is None:
        return "scorer: never ran here"
    waits = f"{plural(state.waiting, 'judgement')} and {plural(state.files, 'file')} waiting"
    missing = sum(state.unscored.values())
    lines = [
        f"scorer: {status}; {waits}, the oldest answer for {state.lag_s:.1f} s",
        f"since its start: {plural(state.scored, 'score')}, {missing} without, {state.retried} tried again",
    ]
    lines += [f"  {count} without a score: {reason}" for reason, count in sorted(state.unscored.items())]
    for name, one in sorted(state.budgets.items()):
        if one.spend_max_usd is not None:
            spent = ", spent: scores no more today" if one.is_spent else ""
            lines.append(
                f"  {name}: {money(one.spent_usd)} of {money(one.spend_max_usd)} on {one.day}{spent}"
            )
    return "\n".join(lines)
