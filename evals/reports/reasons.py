"""Why a case is what it is: what its first trial that did not pass says, and what the case is about. May quote answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from promptship.evals.reports.attacks import attacked_by, is_attack
from promptship.evals.reports.summary import CaseArm, CaseStats, Why
from promptship.evals.rows import Arm, CaseFacts, Row
from promptship.evals.score import Scored, Unscored
from promptship.numbers import decimal
from promptship.render.table import clipped

WHY_CHARS_MAX: Final = 300
"""Of what a trial says; the rows have all."""
ABOUT_CHARS_MAX: Final = 300
_VALUE_CHARS_MAX: Final = 120
NOT_ASKED: Final = "not asked: the run ended before"


def why_of(row: Row) -> Why:
    """What a trial that did not pass says: its first assertion that failed and votes, else the first that failed, else itself."""
    if isinstance(row.score, Unscored):
        return Why(reason=short(row.error or ": ".join(filter(None, (row.score.reason, row.score.detail)))))
    lost = [one for one in row.asserted if isinstance(one.score, Scored) and not one.score.passed]
    one = next((one for one in lost if one.weight > 0), lost[0] if lost else None)
    if one is None:
        return Why(reason=short(row.score.reason or f"score {decimal(row.score.score)}"))
    said = one.score.reason if isinstance(one.score, Scored) else ""
    return Why(label=one.label, reason=short(said.removeprefix(f"{one.label}: ")))


def why_said(one: CaseArm) -> str:
    """`contains x2: no refund in it; also tone`; empty: every trial passed."""
    if one.why is None:
        return ""
    times = dict(one.failing)
    also = ", ".join(_times(label, times[label]) for label in times if label != one.why.label)
    first = _times(one.why.label, times.get(one.why.label, 1)) if one.why.label else ""
    return ": ".join(filter(None, (first, one.why.reason))) + (f"; also {also}" if also else "")


def reasons(case: CaseStats, names: Mapping[Arm, str], baseline: Arm | None) -> list[str]:
    """Why a case does not always pass, led by the arms that say so; the baseline's own only where no other arm has a reason."""
    said = {arm: why for arm, one in case.arms.items() if (why := why_said(one))}
    others = {arm: why for arm, why in said.items() if arm != baseline} or said
    if not others:
        return _not_asked(case, names)
    told: dict[str, list[str]] = {}
    for arm, why in others.items():
        told.setdefault(why, []).append(names.get(arm, arm))
    # Of all that were asked, or of the only one that is on trial: then it need not be said whose it is.
    if len(told) == 1 and (set(others) == set(names) or set(others) == set(names) - {baseline}):
        return list(told)
    return [f"{', '.join(arms)}: {why}" for why, arms in told.items()]


def _not_asked(case: CaseStats, names: Mapping[Arm, str]) -> list[str]:
    """Of a run that was cut short: who has no trial of the case."""
    if not case.standing.is_news:
        return []
    asked = {arm for arm, one in case.arms.items() if one.tally.trials + one.tally.unscored}
    missing = [name for arm, name in names.items() if arm not in asked]
    if not missing:
        return []
    return [NOT_ASKED if len(missing) == len(names) else f"{', '.join(missing)}: {NOT_ASKED}"]


def about(case: CaseFacts, length_max: int = ABOUT_CHARS_MAX) -> str:
    """What a case can be known by, besides its id: what attacks, its description, or its variables."""
    if is_attack(case) and (said := attacked_by(case)):
        return clipped(said, length_max)
    if case.description:
        return "" if case.description in case.id else clipped(case.description, length_max)
    values = (f"{name}: {_value(value)}" for name, value in case.vars.items())
    return clipped(", ".join(values), length_max)


def short(text: str) -> str:
    """The beginning of a text of any length, on one line."""
    return clipped(text[: 4 * WHY_CHARS_MAX], WHY_CHARS_MAX)


def _times(label: str, times: int) -> str:
    return label if times == 1 else f"{label} x{times}"


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return clipped(text[: 4 * _VALUE_CHARS_MAX], _VALUE_CHARS_MAX)
