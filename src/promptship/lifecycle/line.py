"""Which of two commits is the newer state of a branch, whatever the order in which their pushes are announced."""

from __future__ import annotations

from promptship.errors import NotFound
from promptship.ports import Repository


class Line:
    """A branch as it stands now. Remembers what it asked Git, for the length of one push."""

    def __init__(self, repository: Repository, branch: str) -> None:
        self._repository = repository
        self._asked: dict[tuple[str, str], bool] = {}
        try:
            self._head = repository.resolve(f"refs/heads/{branch}").id
        except NotFound:
            self._head = ""

    def holds(self, commit: str) -> bool | None:
        """Whether the branch was built on the commit; None: there is no such branch now."""
        return self._is_ancestor(commit, self._head) if self._head else None

    def is_newer(self, one: str, other: str) -> bool | None:
        """Whether commit `one` is a newer state of the branch than `other`; None: nothing in Git says so.

        What was pushed away by force is older than what is there now, also where it had been built on that.
        """
        if one == other:
            return False
        here, there = self.holds(one), self.holds(other)
        if here != there:
            return here
        if self._is_ancestor(other, one):
            return True
        return False if self._is_ancestor(one, other) else None

    def _is_ancestor(self, older: str, newer: str) -> bool:
        pair = older, newer
        if pair not in self._asked:
            try:
                self._asked[pair] = self._repository.is_ancestor(older, newer)
            except NotFound:
                self._asked[pair] = False  # of another repository, or swept away by Git
        return self._asked[pair]
