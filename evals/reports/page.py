"""What the upper half of the HTML page shows: words, cells and the places of marks in plots."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from promptship.evals.reports.judges import corrections_table, judge_sentences, wins_table
from promptship.evals.reports.model import Report
from promptship.evals.reports.news import items, news
from promptship.evals.reports.summary import ArmStats, Counted, Rate, Standing, Summary
from promptship.evals.reports.tables import (
    arms_table,
    assertions_table,
    grid_of,
    heads,
    interval,
    interval_name,
    letters_of,
    metrics_table,
    slices_table,
)
from promptship.evals.reports.totals import cost, judges, standings, steady_failures
from promptship.evals.reports.verdicts import headlines
from promptship.evals.rows import Arm
from promptship.evals.verdict import SuiteVerdict
from promptship.numbers import (
    between,
    count,
    duration,
    milliseconds,
    moment,
    money,
    percent,
    plural,
    points,
)

NEWS_MAX: Final = 15
PART_ROWS_MAX: Final = 25
_PLOT_FROM, _PLOT_TO = 4.0, 116.0
_TONES: Final = {
    Standing.REGRESSED: "stop", Standing.FAILS: "stop", Standing.DIFFERS: "wait", Standing.FLAKY: "wait",
    Standing.UNSCORED: "wait", Standing.IMPROVED: "go", Standing.PASSES: "go", Standing.UNCHANGED: "flat",
}  # fmt: skip


def page_view(report: Report, summary: Summary) -> dict[str, Any]:
    """Everything that the template names."""
    found = news(summary, {case.id: case for case in report.cases})
    arms, scale = arms_table(report, summary), scale_of(summary)
    names = heads(report, summary)
    parts = [
        _part("Against stable", wins_table(report, summary)),
        _judges(report, summary),
        _part("Slices", slices_table(report, summary)),
        _part("Failing assertions", assertions_table(report, summary, len(summary.assertions))),
        _part("Metrics", metrics_table(report, summary)),
        _part("Without a score", _reasons(summary)),
    ]
    return {
        "report": report,
        "at": moment(report.at),
        "headlines": headlines(report, summary),
        "differences": [difference_plot(verdict) for verdict in report.verdicts] or [None],
        "tiles": _tiles(report, summary),
        "grid": _grid(summary, scale, letters_of(report, summary)),
        "arms": arms,
        "plots": [rate_plot(arm.rate, scale) for arm in summary.arms],
        "scale_said": between(*scale) if scale else "",
        "plot_in": next((place for place, head in enumerate(arms[0]) if head == interval_name(summary)), -1),
        "interval_name": interval_name(summary),
        "heads": list(names.values()),
        "news": [(item, _link(item.case)) for item in items(report, found[:NEWS_MAX], names)],
        "steady": steady_failures(report, summary),
        "news_count": count(len(found)),
        "news_hidden": count(len(found) - NEWS_MAX) if len(found) > NEWS_MAX else "",
        "case_count": count(len(summary.cases)),
        "badge": lambda standing: _TONES[Standing(standing)],
        "wide": len(summary.arms) > 2,  # noqa: PLR2004 - columns that half a page has room for
        "parts": [part for part in parts if part is not None],
    }


Scale = tuple[float, float] | None
"""Shares at both ends of the plots of pass rates; None: nothing was measured."""


def scale_of(summary: Summary) -> Scale:
    """One scale for all arms, in steps of 10 %, so that intervals can be seen and compared."""
    low = [one for arm in summary.arms for one in (arm.rate.low, arm.rate.value) if one is not None]
    high = [one for arm in summary.arms for one in (arm.rate.high, arm.rate.value) if one is not None]
    if not low:
        return None
    least = min(math.floor(min(low) * 10), 9) / 10
    return least, max(math.ceil(max(high) * 10) / 10, least + 0.1)


def rate_plot(rate: Rate, scale: Scale) -> dict[str, float] | None:
    """Places of a rate and its limits; None: not measured."""
    if rate.value is None or scale is None:
        return None
    ends = {"low": rate.low, "value": rate.value, "high": rate.high}
    least, greatest = scale
    return {
        name: round(
            _PLOT_FROM
            + ((rate.value if share is None else share) - least)
            / (greatest - least)
            * (_PLOT_TO - _PLOT_FROM),
            1,
        )
        for name, share in ends.items()
    }


@dataclass(frozen=True, slots=True)
class DifferencePlot:
    """Places, 0..320, on a line that holds the difference with its limits, no difference, and the margin."""

    low: float
    mean: float
    high: float
    zero: float
    margin: float
    open: bool
    """Nobody can say how high it may be."""
    margin_said: str
    """Empty: too close to the other word."""
    zero_end: str
    margin_end: str


def difference_plot(verdict: SuiteVerdict) -> DifferencePlot | None:
    """Where the difference lies against nothing and the margin; None: there is no stable version."""
    found = verdict.difference
    if found is None:
        return None
    high = found.high if found.high is not None else max(found.mean, 0.0)
    margin = -verdict.rules.margin
    least, greatest = min(found.low, margin, 0.0), max(high, found.mean, 0.0)
    pad = max(0.02, (greatest - least) * 0.12)
    least, greatest = least - pad, greatest + pad

    def place(share: float) -> float:
        return round((share - least) / (greatest - least) * 320, 1)

    zero, edge = place(0.0), place(margin)
    return DifferencePlot(
        low=place(found.low), mean=place(found.mean), high=place(high), zero=zero, margin=edge, open=found.high is None,
        margin_said=points(margin) if zero - edge > 120 else "",  # noqa: PLR2004 - room for both words
        zero_end="middle" if 40 < zero < 280 else "end" if zero >= 280 else "",  # noqa: PLR2004 - inside the picture
        margin_end="middle" if edge > 45 else "",  # noqa: PLR2004 - inside the picture
    )  # fmt: skip


def _tiles(report: Report, summary: Summary) -> list[dict[str, str]]:
    all_ = summary.totals
    scored = all_.passed + all_.failed
    tiles = [
        {"name": "Cases", "value": count(len(summary.cases)), "more": standings(summary)},
        {
            "name": "Trials passed",
            "value": f"{count(all_.passed)} of {count(scored)}",
            "more": f"{count(all_.unscored)} more without a score" if all_.unscored else "",
        },
        {"name": "Cost", "value": money(None if all_.unpriced and not all_.cost_usd else all_.cost_usd), "more": _cost_more(summary)},
        _tokens(all_),
    ]  # fmt: skip
    if all_.judge_tokens or all_.judge_cost_usd or all_.judge_unpriced:
        tiles.append({"name": "Judges", "value": judges(all_).removeprefix("judges "), "more": ""})
    reused = [f"{count(all_.cached)} from the cache"] if all_.cached else []
    reused += [f"{count(report.reused)} of an earlier run"] if report.reused else []
    if report.duration_s is not None or reused:
        tiles.append({"name": "Took", "value": duration(report.duration_s), "more": ", ".join(reused)})
    return tiles


def _tokens(counted: Counted) -> dict[str, str]:
    known = [number for number in (counted.tokens_in, counted.tokens_out) if number is not None]
    more = f"{count(counted.tokens_in)} in, {count(counted.tokens_out)} out" if known else ""
    return {"name": "Tokens", "value": count(sum(known) if known else None), "more": more}


def _cost_more(summary: Summary) -> str:
    all_ = summary.totals
    if all_.unpriced and all_.cost_usd is not None:
        return cost(all_) if all_.cost_usd else f"{plural(all_.unpriced, 'answer')} without a price"
    return "" if all_.cost_usd_per_1000 is None else f"{money(all_.cost_usd_per_1000)} per 1,000 answers"


def _link(case: str) -> str:
    """The place of a case in the list of answers, as a fragment of the page's address."""
    return urlencode({"case": case}, errors="replace")


def _judges(report: Report, summary: Summary) -> dict[str, Any] | None:
    """What judges are worth: a sentence each, and the corrected pass rates of those that are calibrated."""
    said = list(judge_sentences(summary))
    if not said:
        return None
    return {"name": "Judges", "table": corrections_table(report, summary), "hidden": "", "said": said}


def _grid(summary: Summary, scale: Scale, letters: Mapping[Arm, str]) -> dict[str, Any] | None:
    grid = grid_of(summary)
    if grid is None:
        return None
    best = _clearly_best(summary)
    cells = [[_cell(arm, best, scale, letters) for arm in line] for line in grid.cells]
    return {"prompts": grid.prompts, "models": grid.models, "cells": cells}


def _clearly_best(summary: Summary) -> str | None:
    """The arm whose lower limit is above every other arm's upper one."""
    for arm in summary.arms:
        others = [other.rate.high for other in summary.arms if other is not arm]
        low = arm.rate.low
        if low is not None and others and all(high is not None and high < low for high in others):
            return arm.arm
    return None


def _cell(
    arm: ArmStats | None, best: str | None, scale: Scale, letters: Mapping[Arm, str]
) -> dict[str, Any] | None:
    if arm is None:
        return None
    return {
        "letter": letters[arm.arm].strip(),
        "rate": percent(arm.rate.value), "interval": interval(arm.rate), "plot": rate_plot(arm.rate, scale),
        "cost": money(arm.counted.cost_usd_per_1000), "median": milliseconds(arm.latency_ms_median),
        "best": arm.arm == best,
    }  # fmt: skip


def _reasons(summary: Summary) -> list[tuple[str, ...]]:
    if not summary.unscored_because:
        return []
    return [("why", "trials"), *((why, count(times)) for why, times in summary.unscored_because)]


def _part(name: str, table: list[tuple[str, ...]]) -> dict[str, Any] | None:
    if not table:
        return None
    hidden = len(table) - 1 - PART_ROWS_MAX
    return {
        "name": name,
        "table": table[: PART_ROWS_MAX + 1],
        "hidden": count(hidden) if hidden > 0 else "",
        "said": [],
    }
