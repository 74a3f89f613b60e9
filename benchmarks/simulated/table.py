"""Cells of the table that the statistics bench prints."""

from __future__ import annotations

import numpy as np

from benchmarks.simulated.canary import ALPHA, HORIZON, LOOK, Ints

Row = tuple[str, ...]
"""Scenario, what, e-process, gbstats, peeked z, target."""


def quantiles(crossed: Ints, start: int = 0, look: int = LOOK, horizon: int = HORIZON) -> str:
    """Median and p90 of the candidate requests until the crossing, counted from `start`; >H where it came too late or never."""
    requests = np.sort(np.where(crossed > 0, crossed * look - start, np.inf))
    values = (requests[int(np.ceil(quantile * len(requests))) - 1] for quantile in (0.5, 0.9))
    return "/".join(f"{value:,.0f}" if value <= horizon else ">H" for value in values)


def percents(crossed: list[Ints]) -> str:
    """Share of the replications that crossed, per size of look."""
    return " ".join(f"{100 * float(np.mean(one > 0)):.1f}" for one in crossed)


def limit(replications: int, alpha: float = ALPHA) -> str:
    """What false decisions may come to: alpha and two standard errors."""
    return f"<= {100 * (alpha + 2 * float(np.sqrt(alpha * (1 - alpha) / replications))):.1f}"
