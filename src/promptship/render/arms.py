"""An experiment with several arms as tables, in words, and as a picture of its intervals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from promptship.canary.experiment import ArmFound, ArmsFound
from promptship.numbers import count, decimal, moment, percent, plural, short
from promptship.render.experiment import EFFECTS, chart, effect_row
from promptship.render.table import aligned, clipped, markdown

ARMS: Final = ("arm", "version", "part", "units", "requests", "")
LIST: Final = ("experiment", "prompt", "status", "arms", "opened", "because")


def arms_text(found: ArmsFound) -> str:
    """For a terminal."""
    lines = [_title(found), "", *aligned([ARMS, *map(_arm, found.arms)]), ""]
    if found.effects:
        lines += [*aligned([_header(found), *map(effect_row, found.effects)]), ""]
    return "\n".join([*lines, *about(found)])


def arms_markdown(found: ArmsFound) -> str:
    """For a pull request or a page."""
    parts = [f"## {_title(found)}", markdown(ARMS, [_arm(one) for one in found.arms])]
    if found.effects:
        parts.append(markdown(_header(found), [effect_row(one) for one in found.effects]))
    return "\n\n".join([*parts, *about(found)]) + "\n"


def arms_chart(found: ArmsFound) -> str:
    """The relative effects with their intervals, one row per arm and metric: a self-contained SVG."""
    sure = percent(1 - found.alpha)
    return chart(
        f"{found.prompt}: arms against {_control(found)}",
        f"how much more or less, relative to {_control(found)}; all bars together hold with {sure} certainty at any time",
        found.effects,
        other=_control(found),
    )


def about(found: ArmsFound) -> list[str]:
    """How to read it, and what stands in the way."""
    lines = []
    if found.status == "waiting":
        lines.append(
            f"{len(found.approvers)} of {plural(found.required, 'approver')} have agreed (`promptship experiment approve`)."
        )
    if not found.looks and found.status != "waiting":
        lines.append("No look has been taken: too few requests, or no watcher runs.")
    if found.effects:
        intervals = plural(len(found.effects), "interval")
        lines.append(
            f"The {intervals} hold together with {percent(1 - found.alpha)} certainty, however often they are looked at: each has "
            f"{percent(found.alpha_each)} of the error, by arms and metrics (Bonferroni). They assume an effect that stays the same; "
            "where none fits, that is said."
        )
    if any(one.dropped for one in found.arms):
        lines.append(
            "An arm may be dropped before its interval leaves 0: dropping asks one question, the intervals ask two sides of all. In the "
            "reason `candidate` is the arm, and `stable` the control."
        )
    if found.ratio_e_value is not None:
        wrong = found.ratio_e_value >= found.ratio_threshold
        lines.append(
            f"Units fell on the arms {'NOT ' if wrong else ''}as their parts say: evidence against it is {decimal(found.ratio_e_value)} "
            f"of the {found.ratio_threshold:,.0f} that {'make' if wrong else 'would make'} every comparison invalid."
        )
    return [*lines, *(f"The telemetry cannot be trusted: {problem}" for problem in found.problems)]


def _title(found: ArmsFound) -> str:
    why = f": {found.reason}" if found.reason else ""
    return f"{found.id} of {found.prompt} ({found.status}{why}), {percent(found.share)} of the units, {plural(found.looks, 'look')}"


def _control(found: ArmsFound) -> str:
    return next(one.name for one in found.arms if one.is_control)


def _header(found: ArmsFound) -> tuple[str, ...]:
    return tuple(_control(found) if name == "stable" else name for name in EFFECTS)


def _arm(one: ArmFound) -> tuple[str, ...]:
    what = "control" if one.is_control else f"dropped: {one.dropped}" if one.dropped else ""
    units = "" if one.units is None else count(one.units)
    return one.name, short(one.version), percent(one.part), units, count(one.requests), what


def experiments_table(rows: Sequence[tuple[str, str, str, str, datetime, str]]) -> str:
    """One row per experiment: id, prompt, status, arms in words, when it was opened, why it ended."""
    if not rows:
        return "no experiment yet: promptship experiment start PROMPT --arm NAME=VERSION"
    told = [
        (id_, prompt, status, arms, moment(at), clipped(why, 80))
        for id_, prompt, status, arms, at, why in rows
    ]
    return "\n".join(aligned([LIST, *told]))
