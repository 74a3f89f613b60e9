"""Ledger and routes in memory: the same rules as in SQL (`ledger.moves`, `ledger.chain`), one lock instead of transactions."""

# ruff: noqa: D102 - the port says what each method means

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from promptship.adapters.ledger import chain, moves
from promptship.adapters.ledger.route_chain import change_hash
from promptship.errors import Conflict, NotFound
from promptship.ports import Append, AuditReport, Clock, ReleaseSummary, RouteChange, RouteRecord
from promptship.release.events import Event, Fact, Requested
from promptship.release.phase import OPEN, Phase
from promptship.routing.table import Route, RoutingTable, Version, as_served, digests


class MemoryRoutes:
    """`ports.Routes` in memory."""

    def __init__(self, clock: Clock) -> None:
        self.lock = threading.RLock()
        self._clock = clock
        self._rows: dict[str, dict[str, Any]] = {}
        self._versions: dict[str, Version] = {}
        self._history: list[tuple[str, RouteRecord]] = []

    def get(self, prompt: str) -> Route | None:
        with self.lock:
            row = self._rows.get(prompt)
            return None if row is None else moves.route_of(**row, now=self._clock.now())

    def table(self) -> RoutingTable:
        with self.lock:
            now = self._clock.now()
            served = {prompt: as_served(moves.route_of(**row, now=now)) for prompt, row in self._rows.items()}
            versions = {
                digest: self._versions[digest] for route in served.values() for digest in digests(route)
            }
            return RoutingTable(revision=self.revision(), routes=served, versions=versions)

    def revision(self) -> int:
        return len(self._history)

    def keep_version(self, version: Version) -> None:
        with self.lock:
            kept = self._versions.setdefault(version.digest, version)
        if kept.content != version.content:
            raise Conflict(
                f"version {version.digest} is kept with other content: a digest names one content for ever"
            )

    def version(self, digest: str) -> Version:
        typed = digest.strip()
        with self.lock:
            found = sorted(
                kept for kept in self._versions
                if kept == typed or (kept.startswith(typed) and len(typed) >= moves.PREFIX_CHARACTERS_MIN)
            )  # fmt: skip
            return self._versions[moves.the_one("version", typed, typed, found[:5])]

    def renew(self, prompt: str, release_id: str, *, until: datetime) -> None:
        with self.lock:
            row = self._rows.get(prompt)
            if row is not None and release_id in {row["release_id"], row["experiment"]}:
                row["lease_until"] = until

    def randomise(self, change: RouteChange, *, actor: str, at: datetime, reason: str) -> Route:
        with self.lock:
            moves.check_revision(change, self._revision_of(change.prompt))
            moves.check_split(change, self._rows.get(change.prompt, {}).get("stable"))
            self.apply(change, actor=actor, at=at, reason=reason)
            return moves.route_of(**self._rows[change.prompt], now=self._clock.now())

    def adopt(self, prompt: str, version: Version, *, actor: str, at: datetime) -> Route:
        change = RouteChange(prompt=prompt, expected_revision=0, stable=version.digest, commit=version.commit)
        with self.lock:
            moves.check_revision(change, self._revision_of(prompt))
            self.keep_version(version)
            self.apply(change, actor=actor, at=at, reason=moves.ADOPTED)
            return moves.route_of(**self._rows[prompt], now=at)

    def history(self, prompt: str) -> Sequence[RouteRecord]:
        with self.lock:
            return tuple(record for of, record in reversed(self._history) if of == prompt)

    def check(self, change: RouteChange) -> None:
        """Everything that could keep `apply` from working. Raises Conflict or NotFound."""
        moves.check_revision(change, self._revision_of(change.prompt))
        moves.check_versions(change, list(self._versions))

    def apply(
        self, change: RouteChange, *, actor: str, at: datetime, reason: str, release_id: str | None = None
    ) -> None:
        """Change a route. The caller holds `lock` when it has more to write."""
        with self.lock:
            self.check(change)
            before = self._rows.get(change.prompt, {})
            row = asdict(change) | {
                "stable_commit": change.commit,
                "policy": moves.policy_text(change.policy),
                "arms": moves.arms_text(change.arms),
            }
            row |= {name: before.get(name) for name in ("killed", "safe")}
            del row["expected_revision"], row["commit"]
            self._note(row, before.get("stable"), actor=actor, at=at, reason=reason, release_id=release_id)

    def name_safe(self, prompt: str, version: Version, *, actor: str, at: datetime) -> None:
        with self.lock:
            self._row(prompt)
            self.keep_version(version)
            reason = moves.NAMED_SAFE.format(version.digest[:12])
            self._switch(prompt, {"safe": version.digest}, actor=actor, at=at, reason=reason)

    def safe(self, prompt: str) -> str | None:
        with self.lock:
            found: str | None = self._rows.get(prompt, {}).get("safe")
            return found

    def kill(self, prompt: str, version: str | None, *, actor: str, at: datetime, reason: str) -> Route:
        told = (moves.REVIVED if version is None else moves.KILLED).format(reason)
        with self.lock:
            if version is not None and version not in self._versions:
                raise NotFound(f"no version {version} in the ledger")
            self._switch(prompt, {"killed": version}, actor=actor, at=at, reason=told)
            return moves.route_of(**self._rows[prompt], now=self._clock.now())

    def _switch(
        self, prompt: str, change: dict[str, str | None], *, actor: str, at: datetime, reason: str
    ) -> None:
        before = self._row(prompt)
        self._note({**before, **change}, before["stable"], actor=actor, at=at, reason=reason)

    def _note(
        self,
        row: dict[str, Any],
        previous: str | None,
        *,
        actor: str,
        at: datetime,
        reason: str,
        release_id: str | None = None,
    ) -> None:
        row["revision"] = len(self._history) + 1
        self._rows[row["prompt"]] = row
        told: dict[str, Any] = {
            name: row[name]
            for name in ("revision", "stable", "candidate", "share", "killed", "held", "experiment")
        }
        said: dict[str, Any] = {
            "at": at,
            "previous": previous,
            "release_id": release_id,
            "actor": actor,
            "reason": reason,
        }
        last = next((record.hash for of, record in reversed(self._history) if of == row["prompt"]), "")
        chained = {
            "prompt": row["prompt"],
            **told,
            **said,
            "policy": row["policy"],
            "safe": row["safe"],
            "arms": row["arms"],
            "prev": last,
        }
        arms = moves.parts_of(row["arms"]) or ()
        record = RouteRecord(**told, **said, arms=arms, hash=change_hash(chained))
        self._history.append((row["prompt"], record))

    def _row(self, prompt: str) -> dict[str, Any]:
        if prompt not in self._rows:
            raise NotFound(f"no prompt {prompt} is being served")
        return self._rows[prompt]

    def _revision_of(self, prompt: str) -> int:
        row = self._rows.get(prompt)
        return int(row["revision"]) if row else 0


@dataclass
class _Kept:
    summary: ReleaseSummary
    attempt: int
    links: list[chain.Link] = field(default_factory=list)


class MemoryLedger:
    """`ports.Ledger` in memory; route changes go to `routes` under the same lock."""

    def __init__(self, routes: MemoryRoutes) -> None:
        self._routes = routes
        self._lock = routes.lock
        self._releases: dict[str, _Kept] = {}
        self._claims: dict[str, str] = {}
        self._leases: dict[str, tuple[str, datetime]] = {}

    def open_release(self, fact: Fact, *, actor: str, at: datetime, again: bool = False) -> tuple[str, bool]:
        opening = moves.opening(fact)
        with self._lock:
            attempts = [kept for kept in self._releases.values() if _is_of(kept.summary, opening)]
            if attempts and not (again and attempts[-1].summary.phase in moves.WITHOUT_VERDICT):
                return attempts[-1].summary.id, False
            attempt = len(attempts) + 1
            free = (
                one
                for one in moves.release_ids(opening.prompt, opening.commit, attempt)
                if one not in self._releases
            )
            release_id = next(free)
            summary = ReleaseSummary(
                id=release_id, prompt=opening.prompt, commit=opening.commit, author=opening.author, phase=Phase.REQUESTED,
                seq=0, opened_at=at, moved_at=at, due_at=at,
            )  # fmt: skip
            links = list(chain.extend(release_id, -1, "", [opening], actor=actor, at=at))
            self._releases[release_id] = _Kept(summary, attempt, links)
            return release_id, True

    def append(
        self,
        release_id: str,
        facts: Sequence[Fact],
        *,
        expected_seq: int,
        actor: str,
        at: datetime,
        route: RouteChange | None = None,
        due_at: datetime | None = None,
        keep_due: bool = False,
    ) -> tuple[Event, ...]:
        one = Append(
            release_id=release_id, facts=facts, expected_seq=expected_seq, route=route, due_at=due_at, keep_due=keep_due
        )  # fmt: skip
        with self._lock:
            self._check(one)
            return self._write(one, actor=actor, at=at)

    def append_all(self, appends: Sequence[Append], *, actor: str, at: datetime) -> None:
        moves.check_distinct(appends)
        with self._lock:
            for one in appends:
                self._check(one)
            for one in appends:
                self._write(one, actor=actor, at=at)

    def _check(self, one: Append) -> None:
        """Everything that could keep `_write` from working."""
        old = self._kept(one.release_id).summary
        moves.check_seq(one.release_id, seq=old.seq, expected=one.expected_seq)
        moves.phase_after(old.phase, one.facts)
        if one.route is not None:
            moves.check_change(one.route, release_id=one.release_id, prompt=old.prompt, facts=one.facts)
            self._routes.check(one.route)

    def _write(self, one: Append, *, actor: str, at: datetime) -> tuple[Event, ...]:
        kept = self._kept(one.release_id)
        old = kept.summary
        phase, moved = moves.phase_after(old.phase, one.facts)
        links = chain.extend(one.release_id, old.seq, kept.links[-1].hash, one.facts, actor=actor, at=at)
        if one.route is not None:
            reason = moves.reason_of(one.facts)
            self._routes.apply(one.route, actor=actor, at=at, reason=reason, release_id=one.release_id)
        kept.links.extend(links)
        kept.summary = replace(
            old, phase=phase, seq=kept.links[-1].seq, moved_at=at if moved else old.moved_at,
            due_at=old.due_at if one.keep_due else one.due_at,
        )  # fmt: skip
        if phase not in OPEN and self._claims.get(old.prompt) == one.release_id:
            del self._claims[old.prompt]
        return tuple(chain.event_of(link) for link in links)

    def events(self, release_id: str, *, looks: bool = True, after: int = -1) -> Sequence[Event]:
        with self._lock:
            links = list(self._kept(release_id).links)
        last_look = max((link.seq for link in links if link.kind == "looked"), default=-1)
        wanted = (link for link in links if looks or link.kind != "looked" or link.seq == last_look)
        return tuple(chain.event_of(link) for link in wanted if link.seq > after)

    def find(self, release: str) -> str:
        wanted = moves.wanted_id(release)
        with self._lock:
            found = sorted(
                (one for one in self._releases if one.startswith(wanted)), key=lambda one: (len(one), one)
            )
        return moves.the_one("release", release, wanted, found[:5])

    def summaries(
        self, *, prompt: str | None = None, phases: frozenset[Phase] | None = None, limit: int = 100
    ) -> Sequence[ReleaseSummary]:
        with self._lock:
            newest_first = [kept.summary for kept in reversed(self._releases.values())]
        wanted = (
            one
            for one in newest_first
            if prompt in {None, one.prompt} and (phases is None or one.phase in phases)
        )
        return tuple(wanted)[:limit]

    def due(self, at: datetime) -> Sequence[ReleaseSummary]:
        with self._lock:
            timed = [
                (kept.summary.due_at, kept.summary) for kept in self._releases.values() if kept.summary.due_at
            ]
        return tuple(summary for due_at, summary in sorted(timed, key=lambda pair: pair[0]) if due_at <= at)

    def claim(self, prompt: str, release_id: str) -> bool:
        with self._lock:
            release = self._kept(release_id).summary
            if release.prompt != prompt:
                raise NotFound(f"release {release_id} is of prompt {release.prompt}, not {prompt}")
            return release.phase in OPEN and self._claims.setdefault(prompt, release_id) == release_id

    def acquire(self, name: str, holder: str, *, ttl_s: float, at: datetime) -> bool:
        with self._lock:
            current, until = self._leases.get(name, (holder, at))
            if current != holder and until > at:
                return False
            self._leases[name] = holder, at + timedelta(seconds=ttl_s)
            return True

    def let_go(self, name: str, holder: str) -> None:
        with self._lock:
            if self._leases.get(name, ("",))[0] == holder:
                del self._leases[name]

    def forget_leases(self, before: datetime) -> int:
        with self._lock:
            ended = [name for name, (_, until) in self._leases.items() if until < before]
            for name in ended:
                del self._leases[name]
            return len(ended)

    def verify(self, release_id: str | None = None) -> AuditReport:
        with self._lock:
            chosen = dict(self._releases) if release_id is None else {release_id: self._kept(release_id)}
            problems = [
                problem
                for one, kept in chosen.items()
                for problem in chain.audit(one, _head(kept), kept.links)
            ]
            heads = {one: (kept.links[-1].seq, kept.links[-1].hash) for one, kept in chosen.items()}
            counted = sum(len(kept.links) for kept in chosen.values())
        return AuditReport(
            releases=len(chosen), events=counted, problems=tuple(problems), head=chain.head_over(heads)
        )

    def _kept(self, release_id: str) -> _Kept:
        if release_id not in self._releases:
            raise NotFound(f"no release {release_id}")
        return self._releases[release_id]


def _is_of(summary: ReleaseSummary, opening: Requested) -> bool:
    return (summary.prompt, summary.commit) == (opening.prompt, opening.commit)


def _head(kept: _Kept) -> chain.Head:
    told = {name: value for name, value in asdict(kept.summary).items() if name != "due_at"}
    return chain.Head(**told, head_hash=kept.links[-1].hash)
