"""The hash chain of a release: how an event becomes a link, and what an auditor checks. Pure.

A link's hash is the SHA-256 of the canonical JSON of `[release_id, seq, at, actor, fact, prev]`, where `at` is UTC in ISO 8601
with six decimals (`2026-01-02T03:04:05.000006+00:00`), `fact` the event's content and `prev` the hash before ("" for seq 0).
Canonical JSON: keys sorted, no spaces, ASCII only, so the bytes do not depend on a database's encoding.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from promptship.errors import ConfigError, IllegalTransition, Problem
from promptship.release.events import FACT, PHASE_AFTER, Event, Fact
from promptship.release.phase import Phase, step


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An event as it is stored. `fact` is the text that was hashed; `kind` repeats the fact's kind for queries."""

    release_id: str
    seq: int
    at: datetime
    actor: str
    kind: str
    fact: str
    prev: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What the ledger keeps beside a chain; every field follows from the events and is checked against them."""

    id: str
    prompt: str
    commit: str
    author: str
    phase: str
    seq: int
    head_hash: str
    opened_at: datetime
    moved_at: datetime


def canonical(value: Any) -> str:
    """Canonical JSON text. Infinite and undefined numbers, which JSON lacks, become the words pydantic reads back."""
    return json.dumps(_finite(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _finite(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case _:
            return value


def link_hash(release_id: str, seq: int, at: datetime, actor: str, fact: str, prev: str) -> str:
    """Hash of a link. `fact` goes in as the stored text, so that a changed space is a changed event."""
    moment = at.astimezone(UTC).isoformat(timespec="microseconds")
    text = ",".join([*map(canonical, [release_id, seq, moment, actor]), fact, canonical(prev)])
    # surrogateescape: a text that a vandal made undecodable still has bytes, and they must count.
    return hashlib.sha256(f"[{text}]".encode("utf-8", "surrogateescape")).hexdigest()


def extend(
    release_id: str, seq: int, prev: str, facts: Sequence[Fact], *, actor: str, at: datetime
) -> tuple[Link, ...]:
    """Links for facts that follow event `seq` with hash `prev` (-1 and "" at the beginning)."""
    links: list[Link] = []
    for fact in facts:
        seq += 1
        text = canonical(fact.model_dump(mode="json"))
        link = Link(
            release_id=release_id, seq=seq, at=at.astimezone(UTC), actor=actor, kind=fact.kind, fact=text,
            prev=prev, hash=link_hash(release_id, seq, at, actor, text, prev),
        )  # fmt: skip
        links.append(link)
        prev = link.hash
    return tuple(links)


def event_of(link: Link) -> Event:
    """The event a link stores.

    Raises:
        ConfigError: this program does not know such a fact; a newer one wrote it, or somebody edited the ledger.
    """
    try:
        fact = FACT.validate_python(json.loads(link.fact))
    except (ValidationError, ValueError) as error:
        where = f"release {link.release_id} event {link.seq}"
        advice = "was it written by a newer promptship? `promptship audit verify` tells whether it was edited"
        raise ConfigError(
            [Problem("ledger", where, f"an unreadable {link.kind}", "expected a known fact", advice)]
        ) from error
    return Event(
        release_id=link.release_id, seq=link.seq, at=link.at, actor=link.actor, fact=fact, prev=link.prev, hash=link.hash
    )  # fmt: skip


def audit(release_id: str, head: Head | None, links: Iterable[Link]) -> tuple[str, ...]:
    """Everything that does not hold in one chain, a line each: numbering, links, contents, lifecycle, and what is kept beside it."""
    problems: list[str] = []
    seq, prev, phase = -1, "", None
    told: dict[str, object] = {}
    for link in links:
        fact = _read(link)
        problem, phase_now = _fits(phase, str(fact.get("kind")))
        checks = (
            (link.seq == seq + 1, f"comes after event {seq}; what was between them is missing"),
            (link.prev == prev, "does not name the hash of the event before it"),
            (link.hash == _rehash(link), "its content does not match its hash"),
            (link.kind == fact.get("kind"), f"is filed as {link.kind} but says {fact.get('kind')}"),
            (not problem, f"does not fit the lifecycle: {problem}"),
        )
        problems += [f"{release_id} event {link.seq}: {what}" for holds, what in checks if not holds]
        if not told:
            told = {key: fact.get(key) for key in ("prompt", "commit", "author")} | {"opened_at": link.at}
        if phase_now is not None:
            phase, told["moved_at"] = phase_now, link.at
        seq, prev = link.seq, link.hash
        told |= {"phase": phase, "seq": seq, "head_hash": prev}
    if not told:
        return (f"{release_id}: has no events",)
    if head is None:
        return (*problems, f"{release_id}: has events but no release")
    differing = (field for field, value in told.items() if getattr(head, field) != value)
    problems += [
        f"{release_id}: its list entry says {field} {getattr(head, field)}, its events say {told[field]}"
        for field in differing
    ]
    return tuple(problems)


def _rehash(link: Link) -> str:
    return link_hash(link.release_id, link.seq, link.at, link.actor, link.fact, link.prev)


def _read(link: Link) -> Mapping[str, Any]:
    try:
        fact = json.loads(link.fact)
    except ValueError:
        return {}
    return fact if isinstance(fact, dict) else {}


def _fits(phase: Phase | None, kind: str) -> tuple[str, Phase | None]:
    """What is wrong with a fact of this kind after `phase` (None: at the beginning), and the phase it leads to, if any."""
    if kind not in PHASE_AFTER:
        return f"there is no {kind} in it", None
    to = PHASE_AFTER[kind]
    if phase is None:
        problem = "" if to is Phase.REQUESTED else f"a release begins with requested, not {kind}"
        return problem, to
    try:
        return "", to and step(phase, to)
    except IllegalTransition as error:
        return str(error), None


def head_over(hashes: Mapping[str, tuple[int, str]]) -> str:
    """One hash over many chains: SHA-256 of the canonical JSON of `[[release_id, seq, hash], ...]` in order of release id."""
    heads = [[release_id, *hashes[release_id]] for release_id in sorted(hashes)]
    return hashlib.sha256(canonical(heads).encode()).hexdigest()
