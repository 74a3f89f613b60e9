"""Whole releases: the four default stages, a candidate that is unchanged, a little worse or much worse, and a base rate that drifts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.simulated.table import Row
from promptship.canary.laws import RateLaw
from promptship.canary.simulate import ASKED, PASSED, ROLLED_BACK, Draw, Ended, Measured, Traffic, run_plan
from promptship.release.plan import Canary, Guardrail, Stage

PER_S: Final = 40.0
LOOK_EVERY_S: Final = 60.0
DRIFT: Final = 0.2
DRIFT_S: Final = 3600.0
"""The base rate goes up and down by a fifth once an hour: faster than a day, so that every stage meets it."""
SHARES: Final = (0.01, 0.05, 0.25, 0.5)
GRADED: Final = (1.0, 0.3, 0.15, 0.1)
FLAT: Final = (0.1, 0.1, 0.1, 0.1)


class Drifting(RateLaw):
    """A rate that moves while it is drawn from."""

    def move(self, rate: float) -> None:
        """From now on it is this."""
        object.__setattr__(self, "rate", rate)


@dataclass(frozen=True)
class Release:
    """What is released: the base rate, how much worse, relative, and the margins of the stages."""

    base: float
    effect: float
    margins: tuple[float, ...] = GRADED

    @property
    def plan(self) -> Canary:
        """Dwell 10 min, cap 4 h, one guardrail."""
        stages = tuple(Stage(share=s, margin=m) for s, m in zip(SHARES, self.margins, strict=True))
        return Canary(stages=stages, guardrails=(Guardrail(metric="feedback:escalated"),))


@dataclass(frozen=True)
class Fates:
    """Parts of the releases, and the minutes and candidate requests until the commonest ending (median, p90)."""

    rolled_back: float
    completed: float
    asked: float
    late: float
    """Part of those that completed which took more than 1.5 times the dwell of all stages."""
    minutes: tuple[float, float]
    exposed: float
    extra: float
    """Bad answers that stable would not have given."""


def released(release: Release, runs: int, rng: np.random.Generator) -> Fates:
    """Simulate it."""
    law = Drifting(release.base)
    began = 0.0

    def drift(draw: Draw) -> None:
        phase = 2 * np.pi * (began + draw.elapsed_s + 1000 * draw.stage) / DRIFT_S
        law.move(release.base * (1 + DRIFT * float(np.sin(phase))))

    measured = [Measured(release.plan.guardrails[0], law)]
    effects = np.full((runs, 1), release.effect)
    ended = run_plan(release.plan, measured, effects, Traffic(PER_S, LOOK_EVERY_S), rng, watch=drift)
    return fates(ended, release)


def fates(ended: Ended, release: Release) -> Fates:
    """In numbers."""
    floor = sum(stage.dwell for stage in release.plan.stages)
    parts = [float(np.mean(ended.outcome == how)) for how in (ROLLED_BACK, PASSED, ASKED)]
    commonest = (ROLLED_BACK, PASSED, ASKED)[int(np.argmax(parts))]
    these = ended.outcome == commonest
    passed = ended.outcome == PASSED
    late = float(np.mean(ended.seconds[passed] > 1.5 * floor)) if passed.any() else 0.0
    middle, most = np.quantile(ended.seconds[these] / 60, [0.5, 0.9]).tolist()
    extra = ended.bad[these, 0] * release.effect / (1 + release.effect)
    back, completed, asked = parts
    return Fates(
        back, completed, asked, late, (middle, most), float(np.median(ended.requests[these])), float(np.median(extra))
    )  # fmt: skip


PIPELINE = [
    # What statistics section 4 found for the same releases: completed %, or rolled back %, and minutes.
    (Release(0.1, 0.0), "97.3, 45/56", 95.0),
    (Release(0.1, 0.05), "32, 49", None),
    (Release(0.1, 0.10), ".3, 35/49", None),
    (Release(0.1, 0.25), "0, 20/28", None),
    (Release(0.1, 0.50), "0, 13", None),
    (Release(0.1, 1.00), "0, 5", None),
    (Release(0.1, -0.10), "100, 40", None),
    (Release(0.1, 0.0, FLAT), "58.7", None),
    (Release(0.1, 0.10, FLAT), "0", None),
    (Release(0.05, 0.0), "96.7, 64", None),
    (Release(0.05, 0.10), "0, 59/88", None),
]


def pipeline(replications: int, rng: np.random.Generator) -> list[Row]:
    """Whole releases through four stages at 40 requests a second, the base rate going up and down by a fifth."""
    rows: list[Row] = []
    for release, reference, in_time in PIPELINE:
        found = released(release, replications, rng)
        margins = ", flat margins" if release.margins == FLAT else ""
        name = f"release, {100 * release.base:g} % {100 * release.effect:+.0f} %{margins}"
        parts = (found.completed, found.rolled_back, found.asked)
        cell = " ".join(f"{100 * part:.1f}" for part in parts)
        rows.append((name, "completed, back, asked %", cell, "-", "-", f"({reference})"))
        minutes = "/".join(f"{number:,.0f}" for number in found.minutes)
        told = f"{minutes}, {found.exposed:,.0f}, {max(found.extra, 0):,.0f}"
        rows.append((name, "minutes, exposed, bad", told, "-", "-", ""))
        if in_time is not None:
            part = f"{100 * found.completed * (1 - found.late):.1f}"
            rows.append((name, "within 1.5 dwells %", part, "-", "-", f">= {in_time:g}"))
    return rows
