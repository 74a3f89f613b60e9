"""Where pull and merge requests are: GitHub, GitLab."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Outcome = Literal["success", "failure", "neutral"]
"""Of a review: `neutral` is neither, because something could not be asked. It never reads as a pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """A pull request (GitHub) or merge request (GitLab), as its host tells now."""

    number: int
    head: str
    """Commit that is to be merged."""
    base: str
    """Branch it is to be merged into."""
    is_open: bool
    fork: bool
    """Whether the commits come from another repository: from people who may not push to this one."""
    author: str
    ref: str
    """Reference under which the head is fetched from the host's repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A remark at one line of one file."""

    path: str
    line: int
    level: Literal["failure", "warning"]
    title: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a review ended. All texts are already redacted."""

    outcome: Outcome
    title: str
    """One line."""
    summary: str
    """Markdown."""
    annotations: tuple[Annotation, ...] = ()


class Host(Protocol):
    """Where pull requests are discussed. Every effect may be repeated: the same words twice are there once.

    Methods raise Unavailable (no answer, rate limit, 5xx), Refused (the token may not) and NotFound.
    """

    def pull(self, number: int) -> Pull:
        """The pull request as it is now. Raises NotFound."""
        ...

    def begin(self, head: str, *, title: str, known: str = "") -> str:
        """Mark the commit as being reviewed; returns a reference for `finish`. `known`: what an earlier try returned."""
        ...

    def finish(self, head: str, reference: str, report: Report) -> None:
        """Replace the mark by the result. The commit's own status decides whether a person may merge."""
        ...

    def comment(self, number: int, text: str, *, marker: str, known: str = "") -> str:
        """Write the one comment that carries `marker`, or replace its text; returns its id.

        `known` is its id from an earlier call. A comment that was deleted is written again.
        """
        ...
