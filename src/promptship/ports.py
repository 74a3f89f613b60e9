"""The outside world, as narrow as we need it. Every adapter of a port passes the same tests in `tests/contract/`.

All methods may raise `Unavailable`; other errors are named per method.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from promptship.canary.evidence import Baseline, Health, StageCounts
from promptship.chat import ChatAnswer, ChatRequest
from promptship.release.events import Event, Fact
from promptship.release.phase import Phase
from promptship.routing.changes import RouteChange as RouteChange  # noqa: PLC0414 - told from here, too
from promptship.routing.changes import RouteRecord as RouteRecord  # noqa: PLC0414 - as above
from promptship.routing.table import Route, RoutingTable, Version


class Clock(Protocol):
    """Time, so that tests own it."""

    def now(self) -> datetime:
        """Wall time, timezone-aware UTC."""
        ...


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
        """Move the lease of a running split; does not change the revision. Nothing happens if the split is another's."""
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
class IngestReport:
    """What one tick read from the spools."""

    observations: int = 0
    feedback: int = 0
    scores: int = 0
    duplicates: int = 0
    quarantined: int = 0
    """Lines that were not a valid record; kept aside with file and offset."""
    lag_bytes: int = 0
    """Complete but unread bytes that remain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TidyReport:
    """What one tidying of the telemetry did."""

    rows: int = 0
    """Records that went from spool lines into the history."""
    files: int = 0
    """Files of the history that were made."""
    segments: int = 0
    """Spool files that these replace."""
    expired: int = 0
    """Files of the history that were deleted because their time was over."""


class Measurements(Protocol):
    """Telemetry: spool -> exactly-once rollup -> counts."""

    def ingest(self) -> IngestReport:
        """Read every spool from its committed offset to its last newline; commit offsets and rollups in one transaction."""
        ...

    def counts(
        self, release_id: str, stage: int, *, matures_after_s: dict[str, float], as_of: datetime
    ) -> StageCounts:
        """Counts since the stage began.

        A metric counts a bucket of requests only when the bucket ended at least `matures_after_s[metric]` seconds before `as_of`;
        feedback later than that after its request does not count. Units and requests per arm are counted whatever their age.
        """
        ...

    def baseline(self, version: str, metrics: Sequence[str], *, as_of: datetime, window_s: float) -> Baseline:
        """History of a version outside any release within the window before `as_of`."""
        ...

    def tidy(self) -> TidyReport:
        """Move what was read into the history, delete what is too old. Nothing is lost or doubled wherever it is interrupted.

        Raises:
            Unavailable: spool, history or database; what was done before stays done.
        """
        ...

    def warm_up(self) -> None:
        """Load what the first `check` would otherwise wait for (seconds); harmless to leave out."""
        ...

    def check(self, release_id: str, stage: int, *, as_of: datetime) -> Health:
        """The quality gate (Great Expectations) over a per-arm profile and a sample of recent rows of this stage."""
        ...


class Models(Protocol):
    """Language models behind the configured providers."""

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """One answer.

        Raises:
            Unavailable: no answer, 429, 5xx, timeout, malformed body.
            Refused: 401 or 403; trying again cannot help.
            ConfigError: no provider is configured for the model, or 4xx: the request itself is wrong.
        """
        ...

    async def embed(self, model: str, texts: Sequence[str]) -> tuple[Sequence[Sequence[float]], int]:
        """One vector per text, and how many tokens were read (0: not said). Raises as `complete`."""
        ...

    async def moderate(self, model: str, asked: str, said: str) -> Mapping[str, float]:
        """Categories flagged in an answer with their scores 0..1; empty: none. Raises as `complete`."""
        ...

    async def aclose(self) -> None:
        """Close connections, before the event loop that made them ends; a later call opens new ones."""
        ...


class Tree(Protocol):
    """Files at one moment: a commit, or the working directory. Paths are relative, with `/`."""

    @property
    def name(self) -> str:
        """Shown in errors: a short commit, or the directory."""
        ...

    def read(self, path: str) -> bytes:
        """Content. Raises NotFound."""
        ...

    def files(self) -> Sequence[str]:
        """Every path, sorted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit as a release needs it."""

    id: str
    author: str
    """Author's e-mail, lower case."""
    at: datetime
    subject: str


class Repository(Protocol):
    """The Git repository the prompts live in."""

    def resolve(self, ref: str) -> Commit:
        """Commit of a branch, tag or (short) hash. Raises NotFound."""
        ...

    def tree(self, commit: str) -> Tree:
        """The files of a commit. Raises NotFound."""
        ...

    def changed(self, before: str, after: str) -> Sequence[str]:
        """Paths added or modified from `before` to `after`; deleted ones are not listed. `before` all zeros: every file of `after`."""
        ...

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether commit `newer` was built on commit `older`; a commit is its own ancestor. Raises NotFound."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An approval card or a notice, before it becomes Block Kit. All texts are already redacted."""

    release_id: str
    seq: int
    """Seq of the approval request: a click carries it, so that an old card is recognised."""
    title: str
    lines: tuple[str, ...]
    """Markdown lines of evidence."""
    diff: str = ""
    """What changed in the prompt, Markdown (`promptship.prompts.diff_text.to_markdown`) or plain."""
    ask: bool = True
    """Whether Approve and Reject are shown; False once decided."""
    outcome: str = ""


class Approvals(Protocol):
    """Where people are asked and told."""

    def ask(self, card: Card) -> tuple[str, str]:
        """Deliver the card; returns (channel, reference) to edit it later."""
        ...

    def update(self, channel: str, reference: str, card: Card) -> None:
        """Edit a delivered card, usually into its outcome."""
        ...

    def tell(self, channel: str | None, text: str) -> None:
        """A plain notice; None is the configured channel."""
        ...


class Orchestrator(Protocol):
    """Starts runs of the release flow. Prefect, reached over HTTP; the ledger stays the truth."""

    def start(self, release_id: str, *, key: str) -> str:
        """Ask for a run; the same key twice is one run. Returns the run's id."""
        ...


class RouteFeed(Protocol):
    """How a gateway learns of routes: pushed, with polling as fallback."""

    def follow(self) -> AsyncIterator[RoutingTable]:
        """Yields the table at once, then on every change and lease renewal; reconnects by itself, never ends."""
        ...
