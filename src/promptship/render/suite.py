"""The regression verdict as the ledger holds it: a dict that `promptship.evals` wrote, perhaps another version of it.

Only a handful of fields is shown, each as it is when it has the form we know and left out when not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from promptship.render.numbers import NOT_MEASURED, percent, plural
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


def _line(verdict: Mapping[str, Any], name: str) -> str:
    outcome = _text(verdict, "outcome").replace("_", " ") or NOT_MEASURED
    parts = [
        f"{name}: {outcome}" if name else outcome,
        _text(verdict, "because"),
        _rates(verdict),
        _size(verdict),
    ]
    return "; ".join(part for part in parts if part)


def _rates(verdict: Mapping[str, Any]) -> str:
    candidate = _number(verdict, "pass_rate_candidate", "pass_rate")
    if candidate is None:
        return ""
    stable = _number(verdict, "pass_rate_stable")
    before = "" if stable is None else f", stable {percent(stable)}"
    return f"pass rate {percent(candidate)}{before}"


def _size(verdict: Mapping[str, Any]) -> str:
    cases, trials = _number(verdict, "cases"), _number(verdict, "trials")
    if cases is None:
        return ""
    return plural(int(cases), "case") + (f", {plural(int(trials), 'trial')} each" if trials else "")


def _text(data: Mapping[str, Any], *keys: str) -> str:
    return next((one_line(str(data[key])) for key in keys if isinstance(data.get(key), str)), "")


def _number(data: Mapping[str, Any], *keys: str) -> float | None:
    for key in keys:
        value = data.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None
