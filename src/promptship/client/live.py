"""The routing table as it is now: versions made ready to render, leases counted down on this process's own clock."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from promptship.errors import PromptshipError
from promptship.prompts.digest import from_canonical
from promptship.prompts.model import Prompt
from promptship.routing.table import Route, RoutingTable, Version, digests

_LOG = logging.getLogger("promptship.routes")

Ready = Prompt | PromptshipError
"""A version that can be rendered, or why it cannot be read here."""


def parsed(name: str, version: Version) -> Prompt:
    """The prompt behind a version. Raises ConfigError: its content is damaged."""
    return from_canonical(name, version.content)


@dataclass(frozen=True, slots=True)
class Known:
    """One moment's knowledge. It is replaced as a whole, so that readers in other threads never see half of a change."""

    table: RoutingTable | None = None
    revision_min: int = 0
    """Tables of smaller revisions are too old."""
    learned_at: float = 0.0
    deadlines: dict[str, float] = field(default_factory=dict)
    versions: dict[tuple[str, str], Ready] = field(default_factory=dict)

    def route(self, prompt: str) -> Route | None:
        """The prompt's route; None: no such prompt, or no table yet."""
        return self.table.routes.get(prompt) if self.table is not None else None

    def leased(self, prompt: str, now: float) -> bool:
        """Whether the split of this prompt may be served at that moment of the table's clock."""
        deadline = self.deadlines.get(prompt)
        return deadline is not None and now < deadline

    def ready(self, prompt: str, version: str) -> Ready:
        """The version, ready to render, or the error that keeps it from being so."""
        found = self.versions.get((prompt, version))
        if found is None:
            return PromptshipError(
                f"the routing table names version {version} of {prompt} but does not bring it"
            )
        return found


class LiveTable:
    """Takes tables from the feed; never goes back to a smaller revision. One thread takes, any thread may read.

    Args:
        parse: (prompt name, version) -> prompt.
        monotonic: counts leases down.
    """

    def __init__(
        self,
        parse: Callable[[str, Version], Prompt] = parsed,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parse = parse
        self._monotonic = monotonic
        self._known = Known()
        self._warned = False

    @property
    def known(self) -> Known:
        """What is known now; it never changes, so several questions to it have answers that fit."""
        return self._known

    @property
    def table(self) -> RoutingTable | None:
        """The newest table; None: never known."""
        return self._known.table

    @property
    def age_s(self) -> float:
        """Seconds since the table was last confirmed by who tells routes, or since it was read from disk."""
        return self._monotonic() - self._known.learned_at

    def take(self, table: RoutingTable, *, age_s: float = 0.0, provisional: bool = False) -> bool:
        """Use a table that has just arrived; True if it changes routes, False if it only renews leases or is too old.

        Args:
            table: its leases count from now.
            age_s: how long ago it was confirmed.
            provisional: it may be followed by a table of a smaller revision, for it may be of another ledger.
        """
        before = self._known
        if before.table is not None and table.revision < before.revision_min:
            self._too_old(table.revision, before.revision_min)
            return False
        now = self._monotonic()
        self._warned = False
        deadlines = {
            name: now + route.split.lease_s for name, route in table.routes.items() if route.split is not None
        }
        changed = before.table is None or (before.table.revision, before.table.versions.keys()) != (
            table.revision,
            table.versions.keys(),
        )
        versions = self._prepared(table, before.versions) if changed else before.versions
        self._known = Known(table, -1 if provisional else table.revision, now - age_s, deadlines, versions)
        return changed

    def route(self, prompt: str) -> Route | None:
        """The prompt's route; None: no such prompt, or no table yet."""
        return self._known.route(prompt)

    def leased(self, prompt: str) -> bool:
        """Whether the split of this prompt may still be served: its watcher is alive as far as we know."""
        return self._known.leased(prompt, self._monotonic())

    def ready(self, prompt: str, version: str) -> Ready:
        """The version, ready to render, or the error that keeps it from being so."""
        return self._known.ready(prompt, version)

    def remaining(self) -> RoutingTable | None:
        """The newest table with what is left of its leases now, to be told to others; None: never known."""
        known, now = self._known, self._monotonic()
        if known.table is None:
            return None
        return with_leases(known.table, {name: max(0.0, end - now) for name, end in known.deadlines.items()})

    def _prepared(
        self, table: RoutingTable, before: dict[tuple[str, str], Ready]
    ) -> dict[tuple[str, str], Ready]:
        ready: dict[tuple[str, str], Ready] = {}
        for route in table.routes.values():
            for version in (table.versions[one] for one in digests(route) if one in table.versions):
                key = (route.prompt, version.digest)
                ready[key] = before.get(key) or self._parsed(route.prompt, version)
        return ready

    def _parsed(self, prompt: str, version: Version) -> Ready:
        try:
            return self._parse(prompt, version)
        except (PromptshipError, ValueError) as error:
            # One unreadable version must not take the other prompts down.
            _LOG.error("version %s of %s cannot be read: %s", version.digest, prompt, type(error).__name__)
            return PromptshipError(f"version {version.digest} of {prompt} cannot be read here")

    def _too_old(self, got: int, known: int) -> None:
        if not self._warned:
            self._warned = True
            _LOG.warning(
                "ignored routes of revision %d: %d is known. Was the ledger replaced? Then delete the kept routes "
                "(a gateway's gateway-routes.json) and restart",
                got,
                known,
            )


def with_leases(table: RoutingTable, leases: dict[str, float]) -> RoutingTable:
    """The table with these leases, seconds left; a prompt that is not named keeps its own."""
    routes = {
        name: route.model_copy(update={"split": route.split.model_copy(update={"lease_s": leases[name]})})
        if route.split is not None and name in leases
        else route
        for name, route in table.routes.items()
    }
    return table.model_copy(update={"routes": routes})


def elapsed(table: RoutingTable, seconds: float) -> RoutingTable:
    """The same table `seconds` later: every lease is that much shorter, at least 0."""
    return with_leases(
        table,
        {
            name: max(0.0, route.split.lease_s - seconds)
            for name, route in table.routes.items()
            if route.split is not None
        },
    )
