"""The routing table as it is now: versions made ready to render, leases counted down on this process's own clock."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from promptship.errors import PromptshipError
from promptship.prompts.model import Prompt
from promptship.routing.table import Route, RoutingTable, Version

_LOG = logging.getLogger("promptship.gateway")

Ready = Prompt | PromptshipError
"""A version that can be rendered, or why this gateway cannot read it."""


class LiveTable:
    """Takes tables from the feed; never goes back to a smaller revision.

    Args:
        parse: (prompt name, canonical content) -> prompt.
    """

    def __init__(
        self,
        parse: Callable[[str, Version], Prompt],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parse = parse
        self._monotonic = monotonic
        self._table: RoutingTable | None = None
        self._learned_at = 0.0
        self._deadlines: dict[str, float] = {}
        self._ready: dict[tuple[str, str], Ready] = {}
        self._warned = False

    @property
    def table(self) -> RoutingTable | None:
        """The newest table; None: never known."""
        return self._table

    @property
    def age_s(self) -> float:
        """Seconds since the control plane was last heard, or since the table was read from disk."""
        return self._monotonic() - self._learned_at

    def take(self, table: RoutingTable) -> bool:
        """Use a table that has just arrived; True if it changes routes, False if it only renews leases or is too old."""
        known = self._table
        if known is not None and table.revision < known.revision:
            self._too_old(table.revision, known.revision)
            return False
        now = self._monotonic()
        self._learned_at = now
        self._warned = False
        self._deadlines = {
            name: now + route.split.lease_s for name, route in table.routes.items() if route.split is not None
        }
        changed = known is None or (known.revision, known.versions.keys()) != (
            table.revision,
            table.versions.keys(),
        )
        self._table = table
        if changed:
            self._prepare(table)
        return changed

    def route(self, prompt: str) -> Route | None:
        """The prompt's route; None: no such prompt, or no table yet."""
        return self._table.routes.get(prompt) if self._table is not None else None

    def leased(self, prompt: str) -> bool:
        """Whether the split of this prompt may still be served: its watcher is alive as far as we know."""
        deadline = self._deadlines.get(prompt)
        return deadline is not None and self._monotonic() < deadline

    def ready(self, prompt: str, version: str) -> Ready:
        """The version, ready to render, or the error that keeps it from being so."""
        found = self._ready.get((prompt, version))
        if found is None:
            return PromptshipError(
                f"the routing table names version {version} of {prompt} but does not bring it"
            )
        return found

    def _prepare(self, table: RoutingTable) -> None:
        before, self._ready = self._ready, {}
        for route in table.routes.values():
            digests = {route.stable, route.split.candidate if route.split else None}
            for version in (table.versions[digest] for digest in digests if digest in table.versions):
                key = (route.prompt, version.digest)
                self._ready[key] = before.get(key) or self._parsed(route.prompt, version)

    def _parsed(self, prompt: str, version: Version) -> Ready:
        try:
            return self._parse(prompt, version)
        except (PromptshipError, ValueError) as error:
            # One unreadable version must not take the other prompts down.
            _LOG.error("version %s of %s cannot be read: %s", version.digest, prompt, type(error).__name__)
            return PromptshipError(f"version {version.digest} of {prompt} cannot be read by this gateway")

    def _too_old(self, got: int, known: int) -> None:
        if not self._warned:
            self._warned = True
            _LOG.warning(
                "ignored routes of revision %d: %d is known. Was the ledger replaced? Then delete the gateway's "
                "gateway-routes.json and restart it",
                got,
                known,
            )
