"""An experiment as a table, in words, and as a picture of its intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from promptship.canary.because import in_unit
from promptship.canary.experiment import Experiment, MetricEffect
from promptship.canary.interval import Effect, Interval
from promptship.numbers import NOT_MEASURED, count, percent, plural, points
from promptship.release.plan import is_mean
from promptship.render import svg
from promptship.render.table import aligned, markdown

EFFECTS: Final = ("arm", "metric", "stable", "arm's", "difference", "relative", "says")
_WIDTH, _LEFT, _RIGHT = 1100, 270, 730
_ROW: Final = 40
_WIDEST: Final = 3.0
"""Relative effects beyond this are cut off at the edge of the picture."""
_STEPS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)


def experiment_text(found: Experiment) -> str:
    """For a terminal."""
    lines = [_title(found), ""]
    lines += (
        aligned([EFFECTS, *(effect_row(one) for one in found.effects)])
        if found.effects
        else ["no look has been taken"]
    )
    return "\n".join([*lines, "", *about(found)])


def experiment_markdown(found: Experiment) -> str:
    """For a pull request or a page."""
    table = markdown(EFFECTS, [effect_row(one) for one in found.effects])
    return "\n\n".join([f"## {_title(found)}", table, *about(found)]) + "\n"


def about(found: Experiment) -> list[str]:
    """How to read it."""
    sure = percent(1 - found.alpha)
    how = (
        f"Intervals hold with {sure} certainty each, however often they are looked at. They assume that the effect is the same all the "
        "time; where none fits, that is said. A rollback asks for less than an interval: one question, with all of its alpha."
    )
    lines = [how]
    if found.unrecorded:
        lines.append(
            f"{plural(found.unrecorded, 'look')} of an older promptship have no counts in the ledger and are left out."
        )
    return lines


def _title(found: Experiment) -> str:
    return f"{found.release_id} of {found.prompt} ({found.phase.replace('_', ' ')}), {plural(found.looks, 'look')}"


def effect_row(one: MetricEffect) -> tuple[str, ...]:
    """One metric of one arm, under `EFFECTS`."""
    effect = one.effect
    name = metric_name(one)
    if effect is None:
        return one.arm, name, "", "", "", "", NOT_MEASURED
    sides = [
        f"{_value(one.metric, value)} of {count(n)}"
        for value, n in zip(effect.values, effect.requests, strict=True)
    ]
    return (
        one.arm,
        name,
        sides[1],
        sides[0],
        _absolute(one.metric, effect.absolute),
        relative(effect.relative),
        says(one, effect),
    )


def metric_name(one: MetricEffect) -> str:
    """The metric, for latency with its threshold."""
    return one.metric if one.slow_ms is None else f"{one.metric} (from {one.slow_ms:,.0f} ms on)"


def _value(metric: str, value: float) -> str:
    return in_unit(metric, value) if is_mean(metric) else percent(value)


def _absolute(metric: str, interval: Interval) -> str:
    def shown(value: float) -> str:
        if is_mean(metric):
            told = ("+" if value >= 0 else "-") + in_unit(metric, abs(value)).removesuffix(" tokens")
        else:
            told = points(value).removesuffix(" points")
        return "0" if told in {"+0", "-0", "+$0"} else told

    unit = " points" if not is_mean(metric) else ""
    return _interval(interval, shown, unit)


def relative(interval: Interval) -> str:
    """`+16.5% (+4.9% to +27.2%)`."""
    return _interval(interval, signed)


def signed(value: float) -> str:
    """A relative difference with its sign."""
    told = percent(abs(round(value, 3)))
    return told if told == "0%" else f"{'-' if value < 0 else '+'}{told}"


def _interval(interval: Interval, shown: object, unit: str = "") -> str:
    """`+1.2 (-0.5 to +3) points`; an end that nothing bounds yet is said in words."""
    assert callable(shown)  # noqa: S101
    if interval.estimate is None:
        return NOT_MEASURED
    estimate = shown(interval.estimate)
    if interval.empty:
        return f"{estimate}{unit} (no single effect fits)"
    match interval.low, interval.high:
        case None, None:
            return f"{estimate}{unit} (too few to bound)"
        case low, None:
            return f"{estimate} ({shown(low)} or more){unit}"
        case None, high:
            return f"{estimate} ({shown(high)} or less){unit}"
        case low, high:
            return f"{estimate} ({shown(low)} to {shown(high)}){unit}"


def says(one: MetricEffect, effect: Effect) -> str:
    """Worse, better, or neither shown."""
    found = effect.absolute
    if found.empty:
        return "the effect changed"
    above, below = found.low is not None and found.low > 0, found.high is not None and found.high < 0
    if not above and not below:
        return "no difference shown"
    return "better" if above is one.higher_is_better else "worse"


def experiment_chart(found: Experiment) -> str:
    """The relative effects with their intervals: a self-contained SVG."""
    how = f"how much more or less, relative to stable; bars hold with {percent(1 - found.alpha)} certainty at any time"
    return chart(f"{found.prompt}: the candidate against stable", how, found.effects)


def chart(title: str, how: str, effects: Sequence[MetricEffect], *, other: str = "") -> str:
    """Relative effects with their intervals. `other`: name of the control where there are several arms, which are named then."""
    shown = [(one, one.effect) for one in effects if one.effect is not None]
    reach = _reach([effect.relative for _, effect in shown])
    y = 104.0
    bottom = y + len(shown) * _ROW

    def at(value: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (min(max(value, -reach), reach) + reach) / (2 * reach)

    parts = [
        svg.text(24, 34, title, size=18, bold=True),
        svg.text(24, 56, how, colour=svg.MUTED),
    ]  # fmt: skip
    step = next((step for step in _STEPS if reach / step <= 5), _STEPS[-1])  # noqa: PLR2004 - five ticks a side
    for number in range(-math.floor(reach / step), math.floor(reach / step) + 1):
        x = at(number * step)
        parts.append(
            svg.line(x, y - 12, x, bottom, colour=svg.GRID if number else svg.INK, width=1 if number else 1.5)
        )
        words = signed(number * step) if number else "same"
        parts.append(svg.text(x, y - 20, words, anchor="middle", size=12, colour=svg.MUTED))
    for one, effect in shown:
        parts += _mark(one, effect, at, y, other)
        y += _ROW
    return svg.document(_WIDTH, bottom + 24, title, parts)


def _reach(intervals: list[Interval]) -> float:
    ends = [abs(v) for i in intervals for v in (i.estimate, i.low, i.high) if v is not None]
    return min(max([0.05, *ends]) * 1.1, _WIDEST)


def _mark(one: MetricEffect, effect: Effect, at: object, y: float, other: str) -> list[str]:
    assert callable(at)  # noqa: S101
    found, word = effect.relative, says(one, effect)
    told = _absolute(one.metric, effect.absolute) if found.estimate is None else relative(found)
    colour = {"worse": svg.STOP, "better": svg.GO}.get(word, svg.MUTED)
    parts = [
        svg.text(
            _LEFT - 14, y + 10, f"{one.arm}: {metric_name(one)}" if other else metric_name(one), anchor="end"
        ),
        svg.text(
            _LEFT - 14,
            y + 25,
            f"{other or 'stable'} {_value(one.metric, effect.values[1])}",
            anchor="end",
            size=11,
            colour=svg.MUTED,
        ),
        svg.text(_RIGHT + 20, y + 17, f"{word}: {told}", colour=colour),
    ]
    if found.estimate is None:
        return parts
    if not found.empty:
        low, high = (
            at(-_WIDEST if found.low is None else found.low),
            at(_WIDEST if found.high is None else found.high),
        )
        parts.append(svg.bar(low, y + 8, high - low, 8, colour, opacity=0.4))
    return [*parts, svg.dot(at(found.estimate), y + 12, colour)]
