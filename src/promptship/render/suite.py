"""The regression verdict as the ledger holds it: a dict that `promptship.evals` wrote, perhaps another version of it.

Only a handful of fields is shown, each as it is when it has the form we know and left out when not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from promptship.numbers import NOT_MEASURED, percent, plural
from promptship.render.table import one_line


def suite_lines(verdict: Mapping[str, Any] | None) -> list[str]:
    """One line per suite: outcome, why, and both pass rates; empty when no suite ran."""
    if not verdict:
        return []
    suites = verdict.get("suites")
    if isinstance(suites, Mapping):
        return [_line(part, str(name)) for name, part in suites.items() if isinstance(part, Mapping)]
    if isinstance(suites, Iterable) and not isinstance(suites, str):
        lines = [_line(part, _text(part, "suite", "name")) for part in suites if isinstance(part, Mapping)]
        if lines:
            return lines
    return [_line(verdict, _text(verdict, "suite", "name"))]


def case_lines(verdict: Mapping[str, Any] | None, *, most: int = 12) -> list[str]:
    """The flip list: one line per case that did not simply stay as it was, worst first, at most `most` per suite."""
    suites = (verdict or {}).get("suites")
    parts = suites if isinstance(suites, list | tuple) else [verdict or {}]
    lines: list[str] = []
    for part in parts:
        changes = part.get("changes") if isinstance(part, Mapping) else None
        found = [change for change in changes or () if isinstance(change, Mapping)]
        lines += [_case(change) for change in found[:most]]
        if len(found) > most:
            lines.append(f"and {len(found) - most} more")
    return lines


def _case(change: Mapping[str, Any]) -> str:
    """`refund: regressed; candidate 0 of 3, stable 3 of 3; fails is-json 3 times`."""
    tallies = [
        f"{arm} {tally.get('passed')} of {tally.get('trials')}"
        for arm in ("candidate", "stable")
        if isinstance(tally := change.get(arm), Mapping)
    ]
    failing = [
        f"fails {one_line(str(label))} {plural(int(times), 'time')}"
        for label, times in change.get("failing") or ()
    ]
    return "; ".join(
        part
        for part in (f"{_text(change, 'case')}: {_text(change, 'change')}", ", ".join(tallies), *failing)
        if part
    )


def _line(verdict: Mapping[str, Any], name: str) -> str:
    outcome = _text(verdict, "outcome").replace("_", " ") or NOT_MEASURED
    parts = [
        f"{name}: {outcome}" if name else outcome,
        _text(verdict, "because").rstrip("."),
        _rates(verdict),
        _size(verdict),
    ]
    return "; ".join(part for part in parts if part)


def _rates(verdict: Mapping[str, Any]) -> str:
    candidate, stable = _arm(verdict, "candidate"), _arm(verdict, "stable")
    if not candidate and not stable:
        return ""
    before = f", stable {percent(_number(stable, 'pass_rate'))}" if stable else ""
    return f"pass rate {percent(_number(candidate, 'pass_rate'))}{before}"


def _size(verdict: Mapping[str, Any]) -> str:
    cases, trials = _number(verdict, "cases"), _number(_arm(verdict, "candidate"), "trials")
    if cases is None:
        return ""
    return plural(int(cases), "case") + (
        f", {plural(int(trials), 'scored trial')}" if trials is not None else ""
    )


def _arm(verdict: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    arm = verdict.get(name)
    return arm if isinstance(arm, Mapping) else {}


def _text(data: Mapping[str, Any], *keys: str) -> str:
    return next((one_line(str(data[key])) for key in keys if isinstance(data.get(key), str)), "")


def _number(data: Mapping[str, Any], key: str) -> float | None:
    value = data.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
