"""What a candidate costs and how long it takes, against stable: from live traffic where that was measured, else from the suites."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from promptship.canary import latency
from promptship.canary.evidence import Histogram, StageCounts
from promptship.canary.scale import value_of
from promptship.numbers import NOT_MEASURED, milliseconds, money
from promptship.release.history import Release

LIVE, SUITES = "live traffic", "suites"
_ARMS: Final = ("stable", "candidate")


def cost_and_latency(release: Release) -> tuple[str, str]:
    """(cost per answer, latency), each as `$0.0042 → $0.0039, -7% (live traffic)`; `not measured` where nobody did.

    Suites know tokens, not prices: there the cost is in tokens.
    """
    counts = _counts(release)
    return _cost(release, counts), _latency(release, counts)


def _counts(release: Release) -> StageCounts:
    """What the last look was given."""
    given = (release.last_look.given or {}) if release.last_look else {}
    try:
        return StageCounts.model_validate(given.get("counts", {}))
    except ValidationError:  # another version's
        return StageCounts()


def _cost(release: Release, counts: StageCounts) -> str:
    values = counts.means.get("cost_usd")
    if values is not None:
        live = [_mean(getattr(values, arm)) for arm in _ARMS]
        if None not in live:
            return _change(live[0], live[1], money, LIVE)
    tried = [_per_trial(_suite_arms(release, arm)) for arm in _ARMS]
    return _change(tried[0], tried[1], _tokens, SUITES)


def _latency(release: Release, counts: StageCounts) -> str:
    told = []
    if counts.latency is not None:
        arms = counts.latency.stable, counts.latency.candidate
        if all(latency.total(arm) for arm in arms):
            for name, quantile in (("median", 0.5), ("p95", 0.95)):
                before, after = (latency.edge_ms(latency.quantile_edge(arm, quantile)) for arm in arms)
                told.append(f"{name} {_change(before, after, milliseconds, LIVE if name == 'p95' else '')}")
            return "; ".join(told)
    tried = [_middle(_suite_arms(release, arm)) for arm in _ARMS]
    text = _change(tried[0], tried[1], milliseconds, SUITES)
    return text if text == NOT_MEASURED else f"median {text}"


def _change(
    before: float | None, after: float | None, shown: Callable[[float | None], str], where: str
) -> str:
    if after is None:
        return NOT_MEASURED
    source = f" ({where})" if where else ""
    if before is None:
        return f"{shown(after)}{source}"
    share = f", {(after / before - 1) * 100:+.0f}%" if before > 0 else ""
    return f"{shown(before)} → {shown(after)}{share}{source}"


def _mean(histogram: Histogram) -> float | None:
    requests = sum(histogram.buckets.values())
    if not requests:
        return None
    return sum(value_of("cost_usd", number) * times for number, times in histogram.buckets.items()) / requests


def _suite_arms(release: Release, arm: str) -> list[Mapping[str, Any]]:
    """What every suite's verdict says of one arm."""
    verdict: Any = release.suite_verdict or {}
    suites = verdict.get("suites")
    parts = suites if isinstance(suites, list | tuple) else [verdict]
    found = [part.get(arm) for part in parts if isinstance(part, Mapping)]
    return [one for one in found if isinstance(one, Mapping)]


def _per_trial(arms: list[Mapping[str, Any]]) -> float | None:
    """Tokens of one answer, read and written, over all suites; None as soon as one does not know its own."""
    tokens = [
        (_number(arm, "tokens_in"), _number(arm, "tokens_out"), (_number(arm, "trials") or 0.0) + (_number(arm, "unscored") or 0.0))
        for arm in arms
    ]  # fmt: skip
    answers = sum(number for _, _, number in tokens)
    known = [read + written for read, written, _ in tokens if read is not None and written is not None]
    return sum(known) / answers if known and len(known) == len(arms) and answers else None


def _tokens(number: float | None) -> str:
    return NOT_MEASURED if number is None else f"{number:,.0f} tokens"


def _middle(arms: list[Mapping[str, Any]]) -> float | None:
    """Median latency of the suite with most trials: medians cannot be added."""
    known = [
        (_number(arm, "trials") or 0.0, value)
        for arm in arms
        if (value := _number(arm, "latency_ms_median")) is not None
    ]
    return max(known)[1] if known else None


def _number(data: Mapping[str, Any], key: str) -> float | None:
    value = data.get(key)
    is_one = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_one and value is not None else None
