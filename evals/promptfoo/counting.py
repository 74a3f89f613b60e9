"""Graders that count, for one assertion, where its tokens go: promptfoo's results tell prompt from completion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from promptship.evals.score import Subject
from promptship.evals.services import Graders, Spent, Usage


@dataclass(slots=True)
class Counted:
    """`Graders` that pass everything on to others."""

    graders: Graders
    usage: Usage = field(default_factory=Usage)

    @classmethod
    def of(cls, subject: Subject) -> tuple[Subject, Self | None]:
        """A subject whose judges are counted, and who counts; None: there are no judges."""
        graders = subject.services.graders
        if graders is None:
            return subject, None
        counted = cls(graders)
        return replace(subject, services=replace(subject.services, graders=counted)), counted

    async def say(
        self, messages: Sequence[Mapping[str, Any]], *, who: Any = None, anew: bool = False
    ) -> tuple[str, Spent]:
        """See `Graders`."""
        said, spent = await self.graders.say(messages, who=who, anew=anew)
        self.usage += spent.usage
        return said, spent

    async def embed(
        self, texts: Sequence[str], *, who: Any = None
    ) -> tuple[Sequence[Sequence[float]], Spent]:
        """See `Graders`."""
        vectors, spent = await self.graders.embed(texts, who=who)
        self.usage += spent.usage
        return vectors, spent

    async def moderate(self, asked: str, said: str, *, who: Any = None) -> tuple[Mapping[str, float], Spent]:
        """See `Graders`."""
        flags, spent = await self.graders.moderate(asked, said, who=who)
        self.usage += spent.usage
        return flags, spent

    async def classify(self, text: str, *, who: Any = None) -> tuple[Mapping[str, float], Spent]:
        """See `Graders`."""
        scores, spent = await self.graders.classify(text, who=who)
        self.usage += spent.usage
        return scores, spent
