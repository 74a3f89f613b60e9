"""What suites on two models say about a prompt, and what each answer cost and took. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import mean, median
from typing import Final

from promptship.evals.estimate import Price
from promptship.evals.rows import Row
from promptship.evals.verdict import Change, SuiteOutcome, SuiteVerdict
from promptship.numbers import plural, points
from promptship.release.retest import Result, Standing, SuiteResult

CASES_NAMED_MAX: Final = 10
_WORST_FIRST: Final = (Standing.WORSE, Standing.CANNOT_TELL, Standing.BETTER, Standing.SAME)


def standing_of(verdict: SuiteVerdict) -> Standing:
    """Of one suite: `candidate` is the new model, `stable` the current one."""
    match verdict.outcome:
        case SuiteOutcome.REGRESSED | SuiteOutcome.BELOW_FLOOR:
            return Standing.WORSE
        case SuiteOutcome.PASSED if verdict.difference is not None:
            return Standing.BETTER if verdict.difference.low > 0 else Standing.SAME
        case _:
            return Standing.CANNOT_TELL


def together(standings: Iterable[Standing]) -> Standing:
    """Of all suites: the worst word wins; better in one and the same in the others is better; none is no word."""
    said = set(standings)
    return next((one for one in _WORST_FIRST if one in said), Standing.CANNOT_TELL)


def suite_result(verdict: SuiteVerdict) -> SuiteResult:
    """What is kept of a verdict: numbers, and ids of the cases that turned."""
    difference = verdict.difference
    named = {
        kind: tuple(one.case for one in verdict.changes if one.change is kind)[:CASES_NAMED_MAX]
        for kind in (Change.REGRESSED, Change.IMPROVED)
    }
    return SuiteResult(
        suite=verdict.suite, standing=standing_of(verdict), because=_because(verdict), cases=verdict.cases,
        trials=verdict.candidate.trials, current=None if verdict.stable is None else verdict.stable.pass_rate,
        new=verdict.candidate.pass_rate, difference=None if difference is None else difference.mean,
        low=None if difference is None else difference.low, margin=verdict.rules.margin,
        unscored=verdict.candidate.unscored + (0 if verdict.stable is None else verdict.stable.unscored),
        regressed=named[Change.REGRESSED], improved=named[Change.IMPROVED],
    )  # fmt: skip


def result_of(
    prompt: str,
    version: str,
    verdicts: Sequence[SuiteVerdict],
    rows: Sequence[Row],
    *,
    current: str,
    new: str,
    price: Price,
) -> Result:
    """Of one prompt. `rows`: of all its suites; `current` and `new`: the models."""
    suites = tuple(suite_result(verdict) for verdict in verdicts)
    standing = together(one.standing for one in suites)
    models = {"stable": current, "candidate": new}
    cost = {arm: _cost(rows, arm, model, price) for arm, model in models.items()}
    latency = {arm: _latency_ms(rows, arm) for arm in models}
    named = [
        one.because if len(suites) == 1 else f"{one.suite}: {one.because}"
        for one in suites
        if one.standing is standing
    ]
    return Result(
        prompt=prompt, version=version, standing=standing, because="; ".join(named), suites=suites,
        cost_current=cost["stable"], cost_new=cost["candidate"], latency_ms_current=latency["stable"],
        latency_ms_new=latency["candidate"], spent_usd=_spent(rows),
    )  # fmt: skip


def _because(verdict: SuiteVerdict) -> str:
    difference = verdict.difference
    if standing_of(verdict) is not Standing.BETTER or difference is None:
        return verdict.because
    return f"improvement: {points(difference.mean)} over {plural(difference.cases, 'case')}; at worst {points(difference.low)}"


def _cost(rows: Iterable[Row], arm: str, model: str, price: Price) -> float | None:
    """USD per answer: tokens at the price that is known, also of answers that were paid earlier; else what the provider charged."""
    known = []
    for row in rows:
        if row.arm != arm:
            continue
        cost = None
        if row.tokens_in is not None and row.tokens_out is not None:
            cost = price(model, row.tokens_in, row.tokens_out)
        if cost is None and not row.cached:
            cost = row.cost_usd
        if cost is not None:
            known.append(cost)
    return mean(known) if known else None


def _latency_ms(rows: Iterable[Row], arm: str) -> float | None:
    known = [
        row.latency_ms for row in rows if row.arm == arm and not row.cached and row.latency_ms is not None
    ]
    return float(median(known)) if known else None


def _spent(rows: Sequence[Row]) -> float | None:
    if any((row.cost_usd is None and row.tokens_out is not None) or row.judge_unpriced for row in rows):
        return None
    return sum((row.cost_usd or 0.0) + row.judge_cost_usd for row in rows)
