"""A host in memory: pull requests are put in by hand, what is said of them is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from promptship.errors import NotFound, Refused, Unavailable
from promptship.ports import Pull, Report


@dataclass(slots=True)
class MemoryHost:
    """`ports.Host` in memory. Set `down` to make it unreachable, `refuses` to take its token away."""

    pulls: dict[int, Pull] = field(default_factory=dict)
    marks: dict[str, tuple[str, str, Report | None]] = field(default_factory=dict)
    """By reference: commit, title, and how it ended."""
    comments: dict[str, tuple[int, str]] = field(default_factory=dict)
    """By id: pull request and text."""
    down: bool = False
    refuses: bool = False
    _number: int = 0

    def pull(self, number: int) -> Pull:
        """The pull request as it is now. Raises NotFound."""
        self._reach()
        if number not in self.pulls:
            raise NotFound(f"no pull request {number}")
        return self.pulls[number]

    def begin(self, head: str, *, title: str, known: str = "") -> str:
        """Mark the commit."""
        self._reach()
        if known:
            return known
        reference = self._next("mark")
        self.marks[reference] = (head, title, None)
        return reference

    def finish(self, head: str, reference: str, report: Report) -> None:
        """Replace the mark by the result."""
        self._reach()
        self.marks[reference] = (head, report.title, report)

    def comment(self, number: int, text: str, *, marker: str, known: str = "") -> str:
        """Write or replace the one comment."""
        self._reach()
        ours = [known] if known in self.comments else []
        ours += [
            one for one, (pull, said) in self.comments.items() if pull == number and said.startswith(marker)
        ]
        reference = ours[0] if ours else self._next("comment")
        self.comments[reference] = (number, f"{marker}\n{text}")
        return reference

    def _reach(self) -> None:
        if self.down:
            raise Unavailable("the host is down")
        if self.refuses:
            raise Refused("the token may not")

    def _next(self, kind: str) -> str:
        self._number += 1
        return f"{kind}-{self._number}"
