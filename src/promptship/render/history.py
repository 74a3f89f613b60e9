"""Which version of a prompt served when, as `promptship history` prints it."""

from __future__ import annotations

from collections.abc import Sequence

from promptship.numbers import moment, percent, short
from promptship.ports import RouteRecord
from promptship.render.table import aligned, clipped

HEADER = ("since", "serves", "canary", "release", "by", "because")


def history_table(prompt: str, records: Sequence[RouteRecord]) -> str:
    """One row per change of the route, in the order given; under `canary` also experiments and holdbacks."""
    if not records:
        return f"{prompt} has never been served: adopt it (`promptship adopt {prompt}`) or release it"
    return "\n".join(aligned([HEADER, *(_row(record) for record in records)]))


def _row(record: RouteRecord) -> tuple[str, ...]:
    canary = f"{short(record.candidate)} {percent(record.share)}" if record.candidate else ""
    if record.held:
        canary = f"{percent(1 - record.share)} keeps {short(record.held)}"
    elif record.experiment:
        canary = f"{record.experiment} {percent(record.share)}"
    serves = f"{short(record.killed)} (kill switch)" if record.killed else short(record.stable)
    return (
        moment(record.at), serves, canary, record.release_id or "", clipped(record.actor, 32),
        clipped(record.reason, 80),
    )  # fmt: skip
