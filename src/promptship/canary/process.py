"""One e-process between two looks: its capital, what it predicts of stable, and what it has taken in."""

from __future__ import annotations

from typing import Annotated, Final, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from promptship.canary import eprocess
from promptship.canary.eprocess import Floats, Null
from promptship.canary.evidence import ArmCounts, Counts

PSEUDO_REQUESTS_MAX: Final = 200
"""Weight of history in the predicted stable rate: enough to begin with, little enough to be outvoted within minutes."""
BASELINE_REQUESTS_MIN: Final = 20
"""Stable requests (history or earlier looks) before the first bet: without any idea of p0 a bet would be a guess."""
BLOCK_REQUESTS_MIN: Final = 5
"""New requests in each arm before a look takes them in. A look of one request compares nothing; 5 lose under a tenth of the speed."""


class Remembered(BaseModel):
    """A frozen value that is kept in the ledger with every look."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Capital(Remembered):
    """What has been won so far."""

    log_wealth: tuple[float, ...]
    """Log of the capital on each alternative."""
    cash: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Capital not bet yet (fixed share)."""
    idle: Annotated[int, Field(ge=0)] = 0
    """Candidate requests since cash was last moved into bets."""

    @property
    def log_e(self) -> float:
        """Log of the e-value now."""
        return float(eprocess.log_e_value(np.array(self.log_wealth), self.cash))

    def grown(self, growth: Floats, candidate_requests: int, weights: Floats) -> Self:
        """After the look's growth per alternative; fresh bets are placed before it."""
        wealth, cash = eprocess.move_cash(np.array(self.log_wealth), np.array(self.cash), self.idle, weights)
        return self.model_copy(
            update={
                "log_wealth": tuple((wealth + growth).tolist()),
                "cash": float(cash),
                "idle": candidate_requests,
            }
        )


class Process(Capital):
    """An e-process about one rate in two arms."""

    stable_requests: float = 0.0
    """Stable requests behind the predicted rate: history, scaled down, and all looks so far."""
    stable_events: float = 0.0
    seen: ArmCounts = ArmCounts()
    """Counts of this stage that were taken in already."""

    @property
    def p0(self) -> float:
        """Stable's rate as predicted for the next look."""
        return float(eprocess.predicted_rate(self.stable_events, self.stable_requests))

    def seeded(self, history: Counts) -> Process:
        """With what history says about stable."""
        requests = min(history.requests, PSEUDO_REQUESTS_MAX)
        events = requests * history.events / history.requests if history.requests else 0.0
        return self.model_copy(update={"stable_requests": float(requests), "stable_events": events})

    def next_stage(self, *, anew: tuple[float, ...] | None = None) -> Process:
        """As the next stage begins: nothing seen yet; `anew`: a capital that starts again."""
        capital = {} if anew is None else {"log_wealth": anew}
        return self.model_copy(update={"seen": ArmCounts(), **capital})

    def take(self, counts: ArmCounts, *, null: Null, weights: Floats, steps: Floats | None = None) -> Process:
        """Take in what is new in the cumulative counts of this stage; too little in either arm waits for a later look.

        The bets are made on `p0`, which knows only earlier looks; then this look's stable counts are learned.
        """
        new = ArmCounts(
            candidate=_new(self.seen.candidate, counts.candidate),
            stable=_new(self.seen.stable, counts.stable),
        )
        if min(new.candidate.requests, new.stable.requests) < BLOCK_REQUESTS_MIN:
            return self
        process = self
        if self.stable_requests >= BASELINE_REQUESTS_MIN:
            growth = eprocess.log_growth(
                null,
                eprocess.alternatives(null, self.p0, steps=steps),
                np.array(self.p0),
                (new.candidate.requests, new.candidate.events),
                (new.stable.requests, new.stable.events),
            )
            process = self.grown(growth, new.candidate.requests, weights)
        return process.model_copy(
            update={
                "stable_requests": self.stable_requests + new.stable.requests,
                "stable_events": self.stable_events + new.stable.events,
                "seen": ArmCounts(
                    candidate=_sum(self.seen.candidate, new.candidate),
                    stable=_sum(self.seen.stable, new.stable),
                ),
            }
        )


def opened(weights: Floats, cash: float = 0.0) -> tuple[float, ...]:
    """A capital of 1 of which `cash` is kept back, as log wealth."""
    return tuple(eprocess.open_bets(weights, cash).tolist())


def _new(seen: Counts, now: Counts) -> Counts:
    """What came since: never negative (a corrected feedback), never more events than requests (a late one waits for its turn)."""
    requests = max(now.requests - seen.requests, 0)
    return Counts(requests=requests, events=min(max(now.events - seen.events, 0), requests))


def _sum(a: Counts, b: Counts) -> Counts:
    return Counts(requests=a.requests + b.requests, events=a.events + b.events)
