"""How often the candidate's answer is preferred to stable's: wins, ties, losses, and the rate with its interval."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from promptship.evals.assertions.judged_compared import PAIRWISE
from promptship.evals.judges.comparing import LOSS, TIE, WIN
from promptship.evals.rows import Arm, Row
from promptship.evals.score import Scored
from promptship.evals.statistics import with_one_more


@dataclass(frozen=True, slots=True, kw_only=True)
class WinRate:
    """Of comparisons with stable. A tie is half a win; the case is the unit, its trials are averaged."""

    arm: Arm
    cases: int
    wins: int
    ties: int
    losses: int
    rate: float
    """0..1; 0.5: as often better as worse."""
    low: float
    high: float
    """Two-sided confidence limits at 1 - alpha, 0..1."""


def win_rate(
    rows: Sequence[Row], arm: Arm = "candidate", *, label: str | None = None, alpha: float = 0.05
) -> WinRate | None:
    """Win rate of an arm over its `pairwise` assertions (or those of one label); None: nothing was compared.

    The limits are Student's with one imagined case at 0, at 1: honest also when every case ended alike.
    """
    by_case: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for one in row.asserted if row.arm == arm else ():
            wanted = one.type == PAIRWISE and label in {None, one.label}
            if wanted and isinstance(one.score, Scored):
                by_case[row.case].append(one.score.score)
    if not by_case:
        return None
    scores = [score for found in by_case.values() for score in found]
    means = np.array([math.fsum(found) / len(found) for found in by_case.values()])
    weights = np.ones(len(means))
    low = with_one_more(means, weights, LOSS).low(alpha / 2)
    high = with_one_more(means, weights, WIN).high(alpha / 2)
    return WinRate(
        arm=arm, cases=len(by_case), wins=scores.count(WIN), ties=scores.count(TIE), losses=scores.count(LOSS),
        rate=float(means.mean()), low=max(0.0, low if low is not None else 0.0),
        high=min(1.0, high if high is not None else 1.0),
    )  # fmt: skip
