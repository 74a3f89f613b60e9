"""Runs made of counts, for tests of what is concluded from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from promptship.evals.rows import Arm, CaseFacts, Row, SuiteRun
from promptship.evals.score import Score, Scored, Unscored
from promptship.evals.suite_file import Severity

PASS, FAIL, LOST = Scored(True, 1.0), Scored(False, 0.0), Unscored("the judge did not answer")
_SCORES: dict[str, Score] = {"+": PASS, "-": FAIL, "?": LOST}


def run_of(
    candidate: Mapping[str, str] | Sequence[str],
    stable: Mapping[str, str] | Sequence[str] | None = None,
    *,
    blocking: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
    topics: Mapping[str, str] | None = None,
    passes_min: int | None = None,
) -> SuiteRun:
    """Trials per case as text: `+` passed, `-` failed, `?` no score. A plain list numbers its cases."""
    arms: dict[Arm, dict[str, str]] = {"candidate": _named(candidate)}
    if stable is not None:
        arms["stable"] = _named(stable)
    cases = tuple(
        CaseFacts(
            id=name,
            severity=Severity.BLOCKING if name in blocking else Severity.WARNING,
            weight=(weights or {}).get(name, 1.0),
            topic=(topics or {}).get(name, ""),
            passes_min=passes_min,
        )
        for name in arms["candidate"]
    )
    rows = [
        Row(
            case=name,
            arm=arm,
            trial=trial,
            digest="",
            score=_SCORES[mark],
            tokens_in=10,
            tokens_out=5,
            latency_ms=100.0,
        )
        for arm, trials in arms.items()
        for name, marks in trials.items()
        for trial, mark in enumerate(marks)
    ]
    incomparable = tuple(
        name for name in arms["candidate"] if stable is not None and name not in arms["stable"]
    )
    return SuiteRun(
        suite="s", arms=tuple(sorted(arms)), cases=cases, rows=tuple(rows), incomparable=incomparable
    )


def _named(trials: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    return dict(trials) if isinstance(trials, Mapping) else {f"c{n}": marks for n, marks in enumerate(trials)}
