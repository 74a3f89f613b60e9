"""What a plan can be expected to do, in words and tables. The picture is `promptship.render.plan_chart`'s."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Final

from promptship.canary.planner import (
    Answer,
    Change,
    Fate,
    Forecast,
    Spread,
    StageForecast,
    Stopped,
    Undecided,
)
from promptship.numbers import count, duration, percent
from promptship.release.plan import Canary
from promptship.render.table import aligned, markdown

_SURE: Final = 0.9
_SHIPPED: Final = 0.05
"""From this chance on that a worse candidate passes, it is said."""
_NEVER: Final = "never"
_COLUMNS: Final = 110
Table = tuple[tuple[str, ...], list[tuple[str, ...]]]


def plan_text(prompt: str, canary: Canary, forecast: Forecast, sources: Sequence[str]) -> str:
    """For a terminal."""
    lines = [
        f"{prompt}: what its release plan can be expected to do",
        "",
        *(f"  {source}" for source in sources),
        "",
    ]
    for words in in_words(canary, forecast):
        lines += [*wrap(words, _COLUMNS), ""]
    for title, (header, rows) in tables(canary, forecast):
        lines += [title, *aligned([header, *rows], indent="  "), ""]
    return "\n".join([*lines, *wrap(about(forecast), _COLUMNS)])


def plan_markdown(prompt: str, canary: Canary, forecast: Forecast, sources: Sequence[str]) -> str:
    """For a pull request or a page."""
    parts = [
        f"## {prompt}: what its release plan can be expected to do",
        "\n".join(f"- {source}" for source in sources),
    ]
    parts += ["\n\n".join(in_words(canary, forecast))]
    parts += [
        f"**{title}**\n\n{markdown(header, rows)}" for title, (header, rows) in tables(canary, forecast)
    ]
    return "\n\n".join([*parts, about(forecast)]) + "\n"


def about(forecast: Forecast) -> str:
    """What kind of numbers these are."""
    return (
        f"{count(forecast.runs)} simulated releases of an unchanged prompt, seed {forecast.seed}. Two numbers are the median, and what one "
        "in ten exceeds. Assumed: steady traffic, users who ask once, sound telemetry."
    )


def in_words(canary: Canary, forecast: Forecast) -> list[str]:
    """What a product engineer wants to know first: does a good prompt get through, is a bad one caught, and what to change."""
    same = forecast.unchanged
    if same.passes >= _FEW:
        time = same.minutes
        first = f"An unchanged prompt passes the canary in {_chance(same.passes)} of releases, after {time_of(time.median)}"
        first += f" (one in ten takes longer than {time_of(time.p90)})."
    else:
        first = f"An unchanged prompt hardly ever passes the canary: {_chance(same.passes)} of releases."
    ends = f"By chance it is rolled back in {_chance(same.rolled_back)}, and in {_chance(same.asked)} a person has to decide."
    lines = [f"{first} {ends}"]
    lines += [_stopped(one) for one in forecast.stopped]
    lines += [undecided_in_words(canary, one) for one in forecast.undecided]
    if len(forecast.undecided) > 1:
        lines.append(
            "Every stage is proven anew: with little traffic, fewer stages with larger shares and margins decide sooner."
        )
    lines += list(_shipped(forecast))
    return lines


_FEW: Final = 0.05


def undecided_in_words(canary: Canary, one: Undecided) -> str:
    """The warning, and what would change it."""
    stage = canary.stages[one.stage]
    where = f"Stage {one.stage + 1} ({percent(stage.share)})"
    if one.chance is None:
        begin = f"WARNING: {where} could not decide either, if a release got there"
    elif one.chance >= _SURE:
        begin = f"WARNING: this plan cannot decide. {where} nearly always reaches its cap of {duration(stage.cap)} without an answer"
    else:
        begin = f"WARNING: {where} reaches its cap of {duration(stage.cap)} without an answer in {_chance(one.chance)} of releases"
    if one.needs_s is None:
        why = f": {one.metric} would take far too long"
    else:
        why = f": to prove {one.metric} within +{percent(stage.margin)} takes up to {duration(one.needs_s)} (nine times in ten)"
    changes = [_change(change, one) for change in one.changes]
    if not changes:
        return f"{begin}{why}. Nothing small helps: take fewer stages, or `prove = false` for {one.metric}, which still rolls back."
    return f"{begin}{why}. Any one of these would do: {'; '.join(changes)}."


def _stopped(one: Stopped) -> str:
    """The warning of a hard stop that stable would reach as well."""
    soon = f", about {_whole(one.stop_at / one.rate)} of the candidate's answers" if one.rate else ""
    return (
        f"WARNING: an unchanged prompt is stopped by {one.metric} in {_chance(one.chance)} of releases: stable has {percent(one.rate)} of "
        f"these itself, and `stop_at = {one.stop_at}` counts without comparing: it ends a release after {count(one.stop_at)}"
        f"{soon}. Raise it, or leave it out: harm still rolls back."
    )


def _change(change: Change, one: Undecided) -> str:
    match change.what:
        case "cap":
            return f'cap = "{_toml_duration(change.value)}" (traffic and margin stay)'
        case "margin":
            return f"margin = {change.value:g} (a candidate up to {percent(change.value)} worse may pass this stage)"
        case "margin_floor":
            return f"margin_floor = {change.value:g} for {one.metric} ({change.value * 100:g} percentage points worse may pass)"
        case _:
            return f"share = {change.value:g} (more users see the candidate in this stage)"


def _toml_duration(seconds: float) -> str:
    """As a plan is written: `2d`, `7h30m`, `45m`."""
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours and not minutes and hours % 24 == 0:
        return f"{hours // 24}d"
    return f"{f'{hours}h' if hours else ''}{f'{minutes}m' if minutes else ''}"


def _shipped(forecast: Forecast) -> list[str]:
    """Worse candidates that pass: what the plan does not protect from."""
    worst: dict[str, Fate] = {}
    for fate in forecast.worse:
        if fate.passes >= _SHIPPED and fate.metric is not None:
            worst[fate.metric] = fate
    return [
        f"Note: a prompt that is {percent(fate.effect)} worse on {metric} still passes in {_chance(fate.passes)} of releases"
        f"{'' if forecast.unchanged.passes >= _FEW else ' that get that far'}."
        for metric, fate in worst.items()
    ]


def tables(canary: Canary, forecast: Forecast) -> list[tuple[str, Table]]:
    """Titles with header and rows."""
    return [
        ("What becomes of a candidate", _fates(forecast)),
        ("Time in each stage, had it no cap", _stages(canary, forecast, _time)),
        ("The candidate's requests in each stage, had it no cap", _stages(canary, forecast, _requests)),
    ]


def _fates(forecast: Forecast) -> Table:
    header = (
        "candidate",
        "passes",
        "a person decides",
        "rolled back",
        "time until then",
        "requests it served",
        "bad answers (extra)",
    )
    return header, [_fate(fate) for fate in (forecast.unchanged, *forecast.worse)]


def _fate(fate: Fate) -> tuple[str, ...]:
    bad = "" if fate.bad is None or fate.bad_extra is None else f"{fate.bad:,.0f} ({fate.bad_extra:,.0f})"
    time = "" if fate.minutes.median is None else _pair(fate.minutes, time_of)
    return (
        fate_name(fate), _chance(fate.passes), _chance(fate.asked), _chance(fate.rolled_back), time,
        "" if fate.requests.median is None else _pair(fate.requests, _whole), bad,
    )  # fmt: skip


def fate_name(fate: Fate) -> str:
    """`unchanged`, or `error_rate +15%`."""
    return "unchanged" if fate.metric is None else f"{fate.metric} +{percent(fate.effect)}"


def _stages(canary: Canary, forecast: Forecast, cell: object) -> Table:
    assert callable(cell)  # noqa: S101
    effects = [answer.effect for answer in forecast.stages[0].see] if forecast.stages else []
    header = ("stage", "cap", "guardrail", "prove within", *(f"see +{percent(effect)}" for effect in effects))
    rows = []
    for one in forecast.stages:
        stage = canary.stages[one.stage]
        prove = "not asked for" if one.prove is None else f"+{percent(stage.margin)}: {cell(one.prove)}"
        rows.append(
            (
                f"{one.stage + 1} ({percent(stage.share)})",
                duration(stage.cap),
                one.metric,
                prove,
                *map(cell, one.see),
            )
        )
    return header, rows


def slow_stages(forecast: Forecast) -> list[StageForecast]:
    """The slowest proof of each stage."""
    slowest: dict[int, StageForecast] = {}
    for one in forecast.stages:
        kept = slowest.get(one.stage)
        if one.prove is not None and (kept is None or _longer(one.prove, kept.prove)):
            slowest[one.stage] = one
    return list(slowest.values())


def _longer(one: Answer, other: Answer | None) -> bool:
    return other is None or (one.seconds.p90 or float("inf")) > (other.seconds.p90 or float("inf"))


def _time(answer: Answer) -> str:
    return _pair(answer.seconds, lambda seconds: time_of(seconds / 60))


def _requests(answer: Answer) -> str:
    return _pair(answer.requests, _whole)


def _pair(spread: Spread, shown: object) -> str:
    assert callable(shown)  # noqa: S101
    if spread.median is None:
        return _NEVER
    return f"{shown(spread.median)} / {'longer' if spread.p90 is None else shown(spread.p90)}"


def _whole(number: float) -> str:
    """Two significant digits: a simulation is not a measurement."""
    return f"{int(float(f'{number:.2g}')):,}" if number >= 100 else f"{number:,.0f}"  # noqa: PLR2004 - small ones are said whole


def time_of(minutes: float | None) -> str:
    """Seconds are said only of what takes less than ten minutes: a simulation is not a measurement."""
    if minutes is None:
        return _NEVER
    return duration(round(minutes) * 60.0 if minutes >= 10 else round(minutes * 60))  # noqa: PLR2004 - see above


def _chance(fraction: float) -> str:
    return percent(round(fraction, 3))
