"""The picture of a forecast: what becomes of good and bad prompts, and whether each stage has time enough."""

from __future__ import annotations

import math
from typing import Final

from promptship.canary.planner import Fate, Forecast, Spread, StageForecast
from promptship.numbers import duration, percent
from promptship.release.plan import Canary
from promptship.render import svg
from promptship.render.plan import fate_name, slow_stages, time_of
from promptship.render.table import clipped

_WIDTH: Final = 1100
_LEFT, _RIGHT = 270, 750
_ROW: Final = 26
_TICKS_S: Final = (60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 86400, 3 * 86400, 7 * 86400, 30 * 86400)
_TOLD: Final = 0.06
"""A part of a bar that is wide enough for its number."""


def plan_chart(prompt: str, canary: Canary, forecast: Forecast) -> str:
    """A self-contained SVG."""
    parts = [svg.text(24, 34, f"{prompt}: what its release plan can be expected to do", size=18, bold=True)]
    fates = (forecast.unchanged, *forecast.worse)
    y = 66.0
    parts += _legend(y)
    y += 20
    for index, fate in enumerate(fates):
        if index and fate.metric != fates[index - 1].metric:
            y += 8
        parts += _fate(fate, y)
        y += _ROW
    y += 34
    slowest = slow_stages(forecast)
    if slowest:
        title = "Has every stage time enough to prove that an unchanged prompt is safe?"
        parts.append(svg.text(24, y, title, size=15, bold=True))
        parts.append(svg.text(24, y + 20, "dot: half of the proofs are done; end of the bar: nine in ten; line: the stage's cap, when a person is asked", colour=svg.MUTED))  # fmt: skip
        y += 44
        chart, y = _proofs(canary, slowest, y)
        parts += chart
    per_s = forecast.traffic.requests_per_s
    parts.append(
        svg.text(
            24,
            y + 8,
            f"{forecast.runs:,} simulated releases at {per_s:g} requests per second",
            colour=svg.MUTED,
            size=12,
        )
    )
    return svg.document(_WIDTH, y + 28, f"{prompt}: release plan, simulated", parts)


def _legend(y: float) -> list[str]:
    parts, x = [svg.text(24, y, "the candidate is", colour=svg.MUTED)], float(_LEFT)
    for colour, words in ((svg.GO, "passes"), (svg.WAIT, "a person decides"), (svg.STOP, "rolled back")):
        parts += [svg.bar(x, y - 10, 12, 12, colour), svg.text(x + 18, y, words)]
        x += 34 + 7.2 * len(words)
    return [*parts, svg.text(_RIGHT + 20, y, "until then: half / nine in ten", colour=svg.MUTED)]


def _fate(fate: Fate, y: float) -> list[str]:
    name = fate_name(fate)
    parts, x = [svg.text(_LEFT - 10, y + 15, clipped(name, 34), anchor="end")], float(_LEFT)
    chances = (
        (fate.passes, svg.GO, "passes"),
        (fate.asked, svg.WAIT, "a person decides"),
        (fate.rolled_back, svg.STOP, "rolled back"),
    )
    for chance, colour, words in chances:
        width = chance * (_RIGHT - _LEFT)
        if width > 0:
            parts.append(
                svg.bar(x, y, width, _ROW - 6, colour, title=f"{name}: {words} in {percent(chance)}")
            )
        if chance >= _TOLD:
            parts.append(
                svg.text(
                    x + width / 2,
                    y + 15,
                    percent(round(chance, 2)),
                    anchor="middle",
                    size=12,
                    colour="#ffffff",
                    bold=True,
                )
            )
        x += width
    return [*parts, svg.text(_RIGHT + 20, y + 15, _until(fate))]


def _until(fate: Fate) -> str:
    if fate.minutes.median is None or fate.minutes.p90 is None:
        return ""
    what = "passes" if fate.metric is None else "rolled back"
    return f"{what} after {time_of(fate.minutes.median)} / {time_of(fate.minutes.p90)}"


def _proofs(canary: Canary, slowest: list[StageForecast], y: float) -> tuple[list[str], float]:
    spreads = [one.prove.seconds for one in slowest if one.prove is not None]
    ends = [_end(spread) for spread in spreads] + [canary.stages[one.stage].cap for one in slowest]
    low, high = 60.0, max(*ends, 3600.0) * 1.15

    def at(seconds: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * math.log(max(seconds, low) / low) / math.log(high / low)

    bottom = y + len(slowest) * _ROW
    parts = []
    last = -math.inf
    for tick in _TICKS_S:
        if tick <= high and at(tick) - last > 54:  # noqa: PLR2004 - room for the words
            last = at(tick)
            parts += [
                svg.line(last, y - 6, last, bottom),
                svg.text(last, bottom + 16, duration(tick), anchor="middle", size=12, colour=svg.MUTED),
            ]
    for one, spread in zip(slowest, spreads, strict=True):
        stage = canary.stages[one.stage]
        enough = spread.p90 is not None and spread.p90 <= stage.cap
        colour = svg.GO if enough else svg.STOP
        parts.append(
            svg.text(
                _LEFT - 10, y + 14, f"stage {one.stage + 1}, {percent(stage.share)} of users", anchor="end"
            )
        )
        if spread.median is not None:
            parts.append(
                svg.bar(
                    at(spread.median), y + 5, at(_end(spread)) - at(spread.median), 10, colour, opacity=0.45
                )
            )
            parts.append(svg.dot(at(spread.median), y + 10, colour))
        cap = at(stage.cap)
        parts.append(svg.line(cap, y - 2, cap, y + _ROW - 4, colour=svg.INK, width=2))
        words = "in time" if enough else "too slow"
        parts.append(
            svg.text(
                _RIGHT + 20,
                y + 14,
                clipped(f"{words}: {one.metric} within +{percent(stage.margin)}", 44),
                colour=colour,
            )
        )
        y += _ROW
    return parts, y + 34


def _end(spread: Spread) -> float:
    return spread.p90 or (spread.median or 60.0) * 3
