"""A house with a pull request in it, reviewed as the flow does it, without Prefect."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from promptship.adapters.memory.hosts import MemoryHost
from promptship.lifecycle.app import App
from promptship.ports import Pull, Report
from promptship.settings import GitHubSettings
from tests.support.house import PATH, PROMPT, House


def changed(text: str = "Say hello to everybody.") -> dict[str, str]:
    return {PATH: PROMPT.format(text=text)}


class Reviewed:
    """A house with a pull request in it; the models answer `hello`."""

    def __init__(self, root: Path, *, forks: bool = False) -> None:
        self.house = House(root=root)
        self.house.adopt()
        self.host = MemoryHost()
        one = self.house.app
        fields: dict[str, Any] = {name: getattr(one, name) for name in App.__slots__}
        here = GitHubSettings(repository="acme/prompts", forks=forks)
        settings = one.settings.model_copy(update={"github": here, "root": root})
        self.app = App(**{**fields, "hosts": {"github": self.host}, "settings": settings})

    def pull(self, *files: Mapping[str, str], fork: bool = False) -> Pull:
        """Commit on a branch beside main."""
        repository = self.house.repository
        if "feature" not in repository._refs:
            repository.branch("feature", "main")
        changes = {path: text.encode() for part in files for path, text in part.items()}
        head = repository.commit(changes, branch="feature", author="dev@example.org")
        made = Pull(
            number=7, head=head, base="main", is_open=True, fork=fork, author="dev", ref="refs/pull/7/head"
        )
        self.host.pulls[7] = made
        return made

    def review(self, pull: Pull) -> str:
        from promptship.tasks.review import begin_review, tell_review
        from promptship.tasks.reviewing import examine

        begun = begin_review(self.app, "github", pull.number, pull.head)
        return (
            ""
            if begun is None
            else tell_review(self.app, "github", begun, examine(self.app, "github", begun))
        )

    @property
    def comment(self) -> str:
        (text,) = [said for _, said in self.host.comments.values()]
        return text

    def mark(self, pull: Pull) -> Report:
        (told,) = [report for head, _, report in self.host.marks.values() if head == pull.head]
        assert told is not None
        return told
