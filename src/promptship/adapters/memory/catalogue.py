"""Lists of models, and proposals, without a network and without Git: for tests and simulations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from promptship.adapters.memory.repository import MemoryRepository
from promptship.errors import ConfigError, Conflict, NotFound, Problem
from promptship.ports.catalogue import Listed, ListedModel, Proposed, Unlisted


class MemoryCatalogue:
    """`Catalogue` from a dict by provider, which may be changed at any time; None: it has no list; an error is raised."""

    def __init__(self, lists: Mapping[str, list[ListedModel] | Exception | None]) -> None:
        self.lists = dict(lists)

    async def listing(self, provider: str) -> Listed | Unlisted:
        """See `promptship.ports.catalogue.Catalogue`."""
        if provider not in self.lists:
            known = ", ".join(sorted(self.lists)) or "none"
            raise ConfigError([Problem("promptship.toml", "providers", provider, f"one of: {known}")])
        found = self.lists[provider]
        if isinstance(found, Exception):
            raise found
        if found is None:
            return Unlisted(provider=provider, reason="it has no list of models")
        return Listed(provider=provider, models=tuple(found))

    async def aclose(self) -> None:
        """Nothing to close."""


class MemoryProposals:
    """`Proposals` over a `MemoryRepository`."""

    def __init__(self, repository: MemoryRepository) -> None:
        self._repository = repository

    def propose(
        self, branch: str, *, base: str, files: Mapping[str, bytes], message: str, author: str, at: datetime
    ) -> Proposed:
        """See `promptship.ports.catalogue.Proposals`."""
        tree = self._repository.tree(base)
        for path in files:
            tree.read(path)
        wanted = {path: tree.read(path) for path in tree.files()} | dict(files)
        try:
            there = self._repository.resolve(f"refs/heads/{branch}")
        except NotFound:
            commit = self._repository.commit(
                files, branch=branch, base=base, author=author, subject=message, at=at
            )
            return Proposed(branch=branch, commit=commit, pushed_to="")
        held = self._repository.tree(there.id)
        if {path: held.read(path) for path in held.files()} != wanted:
            raise Conflict(f"branch {branch} is there already and holds something else")
        return Proposed(branch=branch, commit=there.id, pushed_to="")
