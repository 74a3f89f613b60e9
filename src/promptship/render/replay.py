"""What came of taking the looks of a release again, in words."""

from __future__ import annotations

from typing import Final

from promptship.canary.differences import Difference, Replay
from promptship.numbers import plural
from promptship.render.table import aligned, clipped

SHOWN_MAX: Final = 40


def replay_text(replay: Replay) -> str:
    """One sentence, and every place that differs."""
    head = f"{replay.release_id} of {replay.prompt}: "
    if not replay.looks and replay.agrees:
        return f"{head}no look is in the ledger, and nothing that only a look may cause"
    if replay.agrees:
        return (
            f"{head}{plural(replay.looks, 'look')} taken again from the ledger alone; every verdict, every number behind it "
            "and what followed from it are the same"
        )
    lines = [f"{head}{replay.equal:,} of {plural(replay.looks, 'look')} came out the same"]
    if replay.unrecorded:
        first = replay.unrecorded[0]
        lines.append(
            f"{plural(len(replay.unrecorded), 'look')} cannot be taken again (from look {first} on): an older promptship wrote "
            "them without their counts"
        )
    if replay.differences:
        rows = [("look", "where", "in the ledger", "recomputed"), *map(_row, replay.differences[:SHOWN_MAX])]
        lines += [f"{plural(len(replay.differences), 'difference')}:", *aligned(rows, indent="  ")]
        if len(replay.differences) > SHOWN_MAX:
            lines.append(f"  and {len(replay.differences) - SHOWN_MAX:,} more; --json shows all")
    return "\n".join(lines)


def _row(one: Difference) -> tuple[str, ...]:
    look = "" if one.look is None else str(one.look)
    return look, one.what, clipped(one.recorded, 60), clipped(one.recomputed, 60)
