"""What is kept for ever: releases, routes, the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from promptship.release.events import Event, Fact
from promptship.release.phase import Phase
from promptship.routing.changes import RouteChange, RouteRecord
from promptship.routing.table import Route, RoutingTable, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseSummary:
    """A release as a list shows it; the phase column is kept by the ledger beside the events, in the same transaction."""

    id: str
    prompt: str
    commit: str
    author: str
    phase: Phase
    seq: int
    opened_at: datetime
    moved_at: datetime
    due_at: datetime | None
    """When somebody should look at it next; None: it waits for an event (or has ended)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """Result of verifying the hash chains."""

    releases: int
    events: int
    problems: tuple[str, ...]
    """One line per broken link or altered record: where, and what does not match. Empty: everything holds."""
    head: str
    """sha256 over all chain heads in order of release id: anchor it outside, a chain alone cannot show a cut tail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """What `Ledger.append_all` adds to one of several releases; the same meaning as in `Ledger.append`."""

    release_id: str
    facts: Sequence[Fact]
    expected_seq: int
    route: RouteChange | None = None
    due_at: datetime | None = None
    keep_due: bool = False


class Ledger(Protocol):
    """The only way release state is read or written. Append-only, hash-chained per release, one transaction per append."""

    def open_release(self, fact: Fact, *, actor: str, at: datetime, again: bool = False) -> tuple[str, bool]:
        """Open the release of (prompt, commit) with its `Requested` fact; (id, True), or (existing id, False) when there is one.

        The id follows from prompt and commit, so the same push always has the same release. It is due at once.

        `again` opens another attempt when the latest one ended without a verdict: FAILED, CANCELLED or SUPERSEDED. A verdict
        (REJECTED, ROLLED_BACK, PROMOTED) stands, and an open release goes on: both are returned as they are.

        Raises:
            IllegalTransition: the fact is not a `Requested`.
        """
        ...

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
        """Append facts if the release still ends at `expected_seq`; move phase, due time and route in the same transaction.

        `due_at` replaces the due time (None: it waits for an event); `keep_due` leaves it as it is.

        Ending a release frees its prompt's claim in the same transaction.

        Raises:
            Conflict: the release or the route moved since it was read; nothing was written.
            IllegalTransition: the facts do not fit the phase.
            NotFound: no such release.
        """
        ...

    def append_all(self, appends: Sequence[Append], *, actor: str, at: datetime) -> None:
        """Append to several releases in one transaction: all of it is written, or nothing. Readers see all or nothing, too.

        Errors as `append`, of any of them.

        Raises:
            IllegalTransition: a release, or a prompt's route, occurs twice.
        """
        ...

    def events(self, release_id: str, *, looks: bool = True, after: int = -1) -> Sequence[Event]:
        """Events with seq > `after`, in order; empty when nothing came after.

        `looks=False` leaves out every `looked` event but the last. Raises NotFound when there is no such release.
        """
        ...

    def find(self, release: str) -> str:
        """Full id from a unique prefix of an id. Raises NotFound (also when it is ambiguous, naming the candidates)."""
        ...

    def summaries(
        self, *, prompt: str | None = None, phases: frozenset[Phase] | None = None, limit: int = 100
    ) -> Sequence[ReleaseSummary]:
        """Newest first."""
        ...

    def due(self, at: datetime) -> Sequence[ReleaseSummary]:
        """Releases, open or just ended, whose due time has come; the one that waits longest first."""
        ...

    def claim(self, prompt: str, release_id: str) -> bool:
        """Take the prompt for this release: one release per prompt at a time. True also when this release already holds it."""
        ...

    def acquire(self, name: str, holder: str, *, ttl_s: float, at: datetime) -> bool:
        """Take or renew the lease `name` for `ttl_s` seconds; False while somebody else holds it unexpired."""
        ...

    def let_go(self, name: str, holder: str) -> None:
        """Give a lease back; nothing happens if it is not held by `holder`."""
        ...

    def forget_leases(self, before: datetime) -> int:
        """Delete leases that ended before then; returns how many. A lease that has ended says nothing any more."""
        ...

    def verify(self, release_id: str | None = None) -> AuditReport:
        """Recompute the hash chain of one release (NotFound), or of all together with the contents and routes that are served."""
        ...


class Routes(Protocol):
    """Routes and the versions behind them."""

    def get(self, prompt: str) -> Route | None:
        """The prompt's route, lease computed for now, as it is without the kill switch; None: no route."""
        ...

    def table(self) -> RoutingTable:
        """All routes as they serve (`as_served`) with the content of every version they name."""
        ...

    def revision(self) -> int:
        """Largest revision, cheap: polled several times a second."""
        ...

    def keep_version(self, version: Version) -> None:
        """Store the content of a version (idempotent by digest)."""
        ...

    def version(self, digest: str) -> Version:
        """Content of a digest or of a unique prefix of one (>= 6 characters). Raises NotFound."""
        ...

    def renew(self, prompt: str, release_id: str, *, until: datetime) -> None:
        """Move the lease of a running split (a release's, or an experiment's); does not change the revision.

        Nothing happens if the split is another's.
        """
        ...

    def randomise(self, change: RouteChange, *, actor: str, at: datetime, reason: str) -> Route:
        """Change what of a prompt's traffic is randomised without a release: begin, change or end an experiment, end a holdback.

        What is stable stays. `reason` is kept in the hash-chained history of the route, which explains the change.

        Raises:
            Conflict: the route moved since it was read; nothing was written.
            IllegalTransition: it would do more than that, or the arms do not fit.
            NotFound: a version that was never kept.
        """
        ...

    def adopt(self, prompt: str, version: Version, *, actor: str, at: datetime) -> Route:
        """Make a version stable without a release, once: it is what production serves today. Conflict if a route exists."""
        ...

    def name_safe(self, prompt: str, version: Version, *, actor: str, at: datetime) -> None:
        """Say which version the kill switch is to serve, and keep its content. Serves nothing yet. Raises NotFound: no route."""
        ...

    def safe(self, prompt: str) -> str | None:
        """Digest of the version the kill switch is to serve; None: nobody has named one."""
        ...

    def kill(self, prompt: str, version: str | None, *, actor: str, at: datetime, reason: str) -> Route:
        """Turn the kill switch on: this version serves everybody at once, whatever else the route says; None turns it off.

        It depends on nothing that was read before, and changes nothing else: what served without it serves after it.

        Raises:
            NotFound: the prompt has no route, or the version was never kept.
        """
        ...

    def history(self, prompt: str) -> Sequence[RouteRecord]:
        """Every change of the prompt's route, newest first; empty: it never had one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the journal."""

    topic: str
    seq: int
    """Number within the topic, from 0."""
    at: datetime
    actor: str
    kind: str
    data: Mapping[str, Any]
    """Plain values, as JSON gives them back."""


class Journal(Protocol):
    """What is kept for ever and is not an event of one release: append-only, hash-chained by topic, audited with the ledger.

    A topic is `<kind>:<name>`, for example `model:gpt-5.2` or `experiment:3f2a9c`. Never secrets, texts or people's data.
    """

    def keep(
        self,
        topic: str,
        kind: str,
        data: Mapping[str, Any],
        *,
        actor: str,
        at: datetime,
        expected_seq: int | None = None,
    ) -> Entry:
        """Append an entry. `expected_seq`: only if the topic still ends there (-1: has none).

        Raises:
            Conflict: it does not, or somebody else wrote at the same time; nothing was written.
        """
        ...

    def entries(
        self, topic: str, *, after: int = -1, kind: str | None = None, limit: int | None = None
    ) -> Sequence[Entry]:
        """In order of seq; `limit`: the newest so many."""
        ...

    def topics(self, prefix: str, *, limit: int = 100) -> Sequence[str]:
        """Topics that begin like this, the one written last first."""
        ...
