"""A release as somebody watches it: every event once, and of the looks only those that say something new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from promptship.canary.evidence import Outcome
from promptship.release.events import ApprovalRequested, Concluded, Event, Looked
from promptship.render.facts import fact_line
from promptship.render.verdict import verdict_from


@dataclass(slots=True)
class Following:
    """What was shown last. A look is shown when its outcome is another one, or `every_s` after the last that was shown."""

    every_s: float = 5.0
    shown_at: datetime | None = None
    outcome: Outcome | None = None
    asked: bool = False

    def lines(self, event: Event) -> Iterator[str]:
        """The lines to print for this event: one, or none."""
        if isinstance(event.fact, Concluded):
            return  # the ending was told to others; here it has just been seen
        if isinstance(event.fact, Looked) and not self._is_news(event, event.fact):
            return
        if not isinstance(event.fact, Looked):
            self.outcome, self.asked = None, self.asked or isinstance(event.fact, ApprovalRequested)
        yield f"{event.at:%H:%M:%S}  {fact_line(event.fact)}"

    def _is_news(self, event: Event, look: Looked) -> bool:
        verdict = verdict_from(look.verdict)
        outcome = verdict.outcome if verdict else None
        if self.asked and outcome is not Outcome.ROLL_BACK:
            return False  # people think, the canary stays as it is, and only a rollback changes that
        recent = self.shown_at is not None and (event.at - self.shown_at).total_seconds() < self.every_s
        if recent and outcome is self.outcome:
            return False
        self.shown_at, self.outcome = event.at, outcome
        return True
