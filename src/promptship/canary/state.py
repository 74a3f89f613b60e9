"""What is remembered between two looks: small, JSON-serialisable, kept in the ledger with every look.

Per guardrail an e-process of harm, carried over all stages, and one of safety, which begins anew in every stage: a candidate that
turned bad at 25 % must not be promoted on what it earned at 1 %. What a field means may not change, and new ones need a default: a
release that is under way when promptship is upgraded goes on with the state it has.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from promptship.canary.evidence import Baseline, StageCounts
from promptship.canary.mean_watch import MeanWatch
from promptship.canary.process import Remembered
from promptship.canary.watch import Watch
from promptship.errors import IllegalTransition
from promptship.release.plan import Canary, Guardrail, is_mean

AnyWatch = Watch | MeanWatch


class State(Remembered):
    """All e-processes of a release, as of its last look. Guardrails stand in the plan's order."""

    stage: Annotated[int, Field(ge=0)] = 0
    watches: tuple[AnyWatch, ...]

    @classmethod
    def fresh(cls, plan: Canary, baseline: Baseline) -> State:
        """Before the first look of a release; `baseline` is stable's history and may be empty."""
        return cls(watches=tuple(_watch(guardrail, baseline) for guardrail in plan.guardrails))

    def next_stage(self) -> State:
        """As the next stage begins: harm is carried over, safety restarts."""
        return State(stage=self.stage + 1, watches=tuple(watch.next_stage() for watch in self.watches))

    def at_stage(self, stage: int) -> State:
        """The state in that stage, moved on as often as needed.

        Raises:
            IllegalTransition: the state is further already; a stage never comes back.
        """
        if stage < self.stage:
            message = f"a canary that has reached stage {self.stage} cannot be looked at in stage {stage}; look at {self.stage}"
            raise IllegalTransition(message)
        state = self
        while state.stage < stage:
            state = state.next_stage()
        return state

    def note(self, plan: Canary, counts: StageCounts) -> State:
        """Remember the candidate's bad requests of the current stage, for hard stops; no evidence changes."""
        pairs = zip(self.watches, plan.guardrails, strict=True)
        return State(stage=self.stage, watches=tuple(watch.note(rail, counts) for watch, rail in pairs))

    def take(self, plan: Canary, counts: StageCounts) -> State:
        """Take in the cumulative counts of the current stage. A share of 1.0 leaves no concurrent control: nothing is taken."""
        stage = plan.stages[self.stage]
        if stage.share >= 1:
            return self
        pairs = zip(self.watches, plan.guardrails, strict=True)
        watches = tuple(watch.take(guardrail, stage, counts) for watch, guardrail in pairs)
        return State(stage=self.stage, watches=watches)


def _watch(guardrail: Guardrail, baseline: Baseline) -> AnyWatch:
    return (MeanWatch if is_mean(guardrail.metric) else Watch).fresh(guardrail, baseline)
