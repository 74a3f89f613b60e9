"""The hash chain of a prompt's route: who changed what is served, when and why, cannot be edited unnoticed. Pure.

A change's hash is the SHA-256 of the canonical JSON (`chain.canonical`) of the list of its fields in the order of `FIELDS`, the time
as in `chain`, and the hash of the prompt's change before. Where a change has any of `MORE`, these stand at the end of the list.
Changes that were written before there was a chain have none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from promptship.adapters.ledger.chain import canonical

FIELDS: Final = (
    "prompt", "revision", "at", "stable", "previous", "candidate", "share", "policy", "killed", "safe", "release_id", "actor",
    "reason", "prev",
)  # fmt: skip
MORE: Final = ("held", "experiment", "arms")


def change_hash(change: Mapping[str, Any]) -> str:
    """Hash of a change; `change` has all of `FIELDS` and `MORE`, `at` as a time."""
    at: datetime = change["at"]
    told = {
        **change,
        "at": at.astimezone(UTC).isoformat(timespec="microseconds"),
        "share": float(change["share"]),
    }
    fields = FIELDS if all(told[name] is None for name in MORE) else FIELDS + MORE
    text = canonical([told[name] for name in fields])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def audit(changes: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Everything that does not hold in the changes of one prompt, in order of revision, a line each."""
    last: str | None = None
    for change in changes:
        where = f"route of {change['prompt']} at revision {change['revision']}"
        if change["hash"] is None:
            if last is not None:
                yield f"{where}: has no hash, though the change before it has one"
        elif change["hash"] != change_hash(change):
            yield f"{where}: its content does not match its hash"
        elif change["prev"] != (last or ""):
            yield f"{where}: does not name the hash of the change before it"
        last = change["hash"] or last
