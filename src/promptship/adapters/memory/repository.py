"""A repository without Git, for tests and simulations: commits are snapshots in a dict."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from promptship.errors import NotFound, Unavailable
from promptship.ports import Commit

_SHORT_MIN = 4
_DEFAULT_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MemoryTree:
    """The files of one commit."""

    name: str
    content: Mapping[str, bytes]

    def read(self, path: str) -> bytes:
        """Content. Raises NotFound."""
        if path not in self.content:
            raise NotFound(f"no file {path} at {self.name}")
        return self.content[path]

    def files(self) -> Sequence[str]:
        """Every path, sorted."""
        return tuple(sorted(self.content))


class MemoryRepository:
    """Commits, branches and tags in memory. `commit` writes; the rest is the port."""

    def __init__(self) -> None:
        self._commits: dict[str, tuple[Commit, dict[str, bytes]]] = {}
        self._refs: dict[str, str] = {}
        self._parents: dict[str, str] = {}
        self.fetched: list[tuple[str, ...]] = []
        """References that were asked for, fetch by fetch."""
        self.down = False
        """Whether the remote does not answer."""

    def commit(
        self,
        changes: Mapping[str, bytes | None],
        *,
        branch: str = "main",
        base: str | None = None,
        author: str = "dev@example.com",
        subject: str = "change",
        at: datetime = _DEFAULT_AT,
    ) -> str:
        """Commit on top of a branch, or of `base` (None deletes a path), and move the branch; returns the commit's id."""
        parent = self._refs.get(branch, "") if base is None else self._find(base)
        files = dict(self._commits[parent][1]) if parent else {}
        for path, content in changes.items():
            if content is None:
                files.pop(path, None)
            else:
                files[path] = content
        state = [parent, author, subject, at.isoformat(), sorted((p, c.hex()) for p, c in files.items())]
        commit = hashlib.sha1(json.dumps(state).encode(), usedforsecurity=False).hexdigest()
        self._commits[commit] = (Commit(id=commit, author=author.lower(), at=at, subject=subject), files)
        self._refs[branch] = commit
        self._parents[commit] = parent
        return commit

    def tag(self, name: str, commit: str) -> None:
        """Name a commit."""
        self._refs[name] = commit

    def resolve(self, ref: str) -> Commit:
        """Commit of a branch, tag or (short) hash. Raises NotFound."""
        return self._commits[self._find(ref)][0]

    def tree(self, commit: str) -> MemoryTree:
        """The files of a commit. Raises NotFound."""
        found = self._find(commit)
        return MemoryTree(found[:12], self._commits[found][1])

    def changed(self, before: str, after: str) -> Sequence[str]:
        """Paths added or modified; `before` all zeros: every file of `after`."""
        files = self._commits[self._find(after)][1]
        old = self._commits[self._find(before)][1] if before.strip("0") else {}
        return tuple(sorted(path for path, content in files.items() if old.get(path) != content))

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether `newer` was built on `older`; a commit is its own ancestor. Raises NotFound."""
        wanted, here = self._find(older), self._find(newer)
        while here and here != wanted:
            here = self._parents[here]
        return here == wanted

    def removed(self, before: str, after: str) -> Sequence[str]:
        """Paths that `before` has and `after` has not. `before` all zeros: none. Raises NotFound."""
        files = self._commits[self._find(after)][1]
        old = self._commits[self._find(before)][1] if before.strip("0") else {}
        return tuple(sorted(path for path in old if path not in files))

    def merge_base(self, one: str, other: str) -> str | None:
        """Newest commit that both were built on; None: they have nothing in common. Raises NotFound."""
        here, there = self._find(one), self._find(other)
        while here and not self.is_ancestor(here, there):
            here = self._parents[here]
        return here or None

    def fetch(self, *refs: str) -> None:
        """Everything is here already. Raises Unavailable when `down`."""
        if self.down:
            raise Unavailable("the remote does not answer")
        self.fetched.append(refs)

    def branch(self, name: str, commit: str | None) -> None:
        """Put a branch on a commit, as a forced push does; None deletes it."""
        if commit is None:
            self._refs.pop(name, None)
        else:
            self._refs[name] = self._find(commit)

    def _find(self, ref: str) -> str:
        name = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
        if name in self._refs:
            return self._refs[name]
        if len(ref) >= _SHORT_MIN and re.fullmatch(r"[0-9a-f]+", ref):
            matches = [commit for commit in self._commits if commit.startswith(ref)]
            if len(matches) == 1:
                return matches[0]
        raise NotFound(f"no branch, tag or commit {ref}")
