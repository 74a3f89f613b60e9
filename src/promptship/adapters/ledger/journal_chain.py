"""The hash chain of a journal's topic: what was kept, by whom and when, cannot be edited unnoticed. Pure.

An entry's hash is the SHA-256 of the canonical JSON (`chain.canonical`) of the list of its fields in the order of `FIELDS`: the time as
in `chain`, and `data` as the text that is stored, so that a changed space is a changed entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from promptship.adapters.ledger.chain import canonical

FIELDS: Final = ("topic", "seq", "at", "actor", "kind", "data", "prev")


def entry_hash(entry: Mapping[str, Any]) -> str:
    """Hash of an entry; `entry` has all of `FIELDS`, `at` as a time, `data` as text."""
    at: datetime = entry["at"]
    told = {**entry, "at": at.astimezone(UTC).isoformat(timespec="microseconds")}
    text = canonical([told[name] for name in FIELDS])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def audit(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Everything that does not hold in the entries of one topic, in order of `seq`, a line each."""
    seq, prev = -1, ""
    for entry in entries:
        where = f"journal {entry['topic']} entry {entry['seq']}"
        if entry["seq"] != seq + 1:
            yield f"{where}: comes after entry {seq}; what was between them is missing"
        if entry["prev"] != prev:
            yield f"{where}: does not name the hash of the entry before it"
        if entry["hash"] != entry_hash(entry):
            yield f"{where}: its content does not match its hash"
        seq, prev = entry["seq"], entry["hash"]
