"""From the rows of a run to a verdict. Pure: the same rows give the same verdict.

The rules, first that holds:

1. `unscored`     the run was lost; or more than `unscored_max` of either version's trials, or every trial of a blocking case,
                  have no score. Missing data is never a verdict.
2. `below_floor`  the candidate's pass rate is below `pass_rate_min`; or, on a blocking case that stable was not asked,
                  it fails more than half of its trials.
3. `regressed`    a blocking case is lost: the candidate fails every trial, stable passed at least one.
4. `passed`       there is no stable; or non-inferiority is shown: the lower limit of the mean difference is above -margin.
5. `regressed`    a drop is shown: p <= alpha (the upper limit is below 0).
6. `too_small`    neither: the suite goes on with a warning that says which drop it could have seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Final

import numpy as np

from promptship.evals.rows import Arm, CaseFacts, Row, SuiteRun
from promptship.evals.score import Scored, Unscored
from promptship.evals.statistics import by_topic, mean_of, paired, pass_at_k, pass_hat_k, with_one_more
from promptship.evals.suite_file import Severity
from promptship.evals.verdict import (
    ArmSummary,
    CaseChange,
    Change,
    Difference,
    Rules,
    SuiteOutcome,
    SuiteVerdict,
    Tally,
)
from promptship.numbers import count, percent, plural, points

CHANGES_MAX: Final = 200
REASONS_MAX: Final = 5
REASON_CHARS_MAX: Final = 160

Tallies = Mapping[str, Tally]


def compare(
    run: SuiteRun,
    *,
    margin: float,
    alpha: float,
    unscored_max: float,
    pass_rate_min: float = 0.0,
    certain: SuiteOutcome | None = None,
    not_asked: int = 0,
    lost: str = "",
) -> SuiteVerdict:
    """Judge a run by the rules above. Rates, `margin`, `unscored_max` and `pass_rate_min` are shares, 0..1.

    `certain`: the run was stopped with this outcome, before `not_asked` trials (`promptship.evals.early`). `lost`: why the run has
    no verdict, whatever its rows say (`promptship.evals.suite_run.lost`).
    """
    rules = Rules(margin=margin, alpha=alpha, unscored_max=unscored_max, pass_rate_min=pass_rate_min)
    rows: dict[Arm, list[Row]] = {
        arm: [row for row in run.rows if row.arm == arm] for arm in ("candidate", "stable")
    }
    needed = {case.id: case.passes_min for case in run.cases}
    candidate = _tally(rows["candidate"], needed)
    stable = _tally(rows["stable"], needed) if "stable" in run.arms else None
    changes = _changes(run.cases, candidate, stable, _failing(rows["candidate"]))
    difference = _difference(run.cases, candidate, stable or {}, alpha)
    k = min(
        (tally.trials for arm in (candidate, stable or {}) for tally in arm.values() if tally.trials),
        default=0,
    )
    summary = _summary(run.cases, rows["candidate"], candidate, alpha, k)
    stable_summary = None if stable is None else _summary(run.cases, rows["stable"], stable, alpha, k)
    arms = (
        {"candidate": summary} if stable_summary is None else {"candidate": summary, "stable": stable_summary}
    )
    outcome, because = _decide(rules, arms, changes, difference)
    if certain is not None:
        outcome, because = certain, _certainly(certain, not_asked, changes, difference)
    if lost:
        outcome, because = SuiteOutcome.UNSCORED, lost
    shown = sorted((change for change in changes if change.change in _ORDER), key=_badness)
    return SuiteVerdict(
        suite=run.suite, outcome=outcome, passes=outcome in {SuiteOutcome.PASSED, SuiteOutcome.TOO_SMALL}, because=because,
        warnings=tuple(_warnings(run, rules, outcome, summary, difference)), rules=rules, cases=len(run.cases),
        candidate=summary, stable=stable_summary, difference=difference,
        counts=dict(sorted(Counter(change.change for change in changes).items())), changes=tuple(shown[:CHANGES_MAX]),
        left_out=max(0, len(shown) - CHANGES_MAX), not_asked=not_asked, unscored_because=_reasons(run.rows),
    )  # fmt: skip


# Counting -------------------------------------------------------------------------------------------------------------


def _tally(rows: Iterable[Row], passes_min: Mapping[str, int | None]) -> Tallies:
    passed: Counter[str] = Counter()
    trials: Counter[str] = Counter()
    unscored: Counter[str] = Counter()
    for row in rows:
        if isinstance(row.score, Unscored):
            unscored[row.case] += 1
            continue
        trials[row.case] += 1
        passed[row.case] += row.score.passed
    cases = trials.keys() | unscored.keys()
    return {
        case: Tally(
            passed=passed[case],
            trials=trials[case],
            unscored=unscored[case],
            passes_min=passes_min.get(case),
        )
        for case in cases
    }


def _failing(rows: Iterable[Row]) -> Mapping[str, tuple[tuple[str, int], ...]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        labels = {one.label for one in row.asserted if isinstance(one.score, Scored) and not one.score.passed}
        found[row.case].update(labels)
    return {
        case: tuple(sorted(labels.items(), key=lambda item: (-item[1], item[0])))
        for case, labels in found.items()
    }


def _reasons(rows: Iterable[Row]) -> tuple[tuple[str, int], ...]:
    reasons = Counter(row.score.reason[:REASON_CHARS_MAX] for row in rows if isinstance(row.score, Unscored))
    return tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:REASONS_MAX])


def _summary(
    cases: Sequence[CaseFacts], rows: Sequence[Row], tallies: Tallies, alpha: float, k: int
) -> ArmSummary:
    scored = [
        (case, tally, rate)
        for case in cases
        if (tally := tallies.get(case.id)) is not None and (rate := tally.rate) is not None
    ]
    trials, unscored = (
        sum(tally.trials for tally in tallies.values()),
        sum(tally.unscored for tally in tallies.values()),
    )
    latencies = [row.latency_ms for row in rows if row.latency_ms is not None]
    spent = ArmSummary(
        trials=trials,
        unscored=unscored,
        tokens_in=_total([row.tokens_in for row in rows]),
        tokens_out=_total([row.tokens_out for row in rows]),
        judge_tokens=sum(row.judge_tokens for row in rows),
        latency_ms_median=float(median(latencies)) if latencies else None,
    )
    if not scored:
        return spent
    weights = np.array([case.weight for case, _, _ in scored])
    rates = np.array([rate for _, _, rate in scored])
    topics = by_topic(rates, weights, [case.topic for case, _, _ in scored])
    low, high = with_one_more(*topics, 0.0).low(alpha), with_one_more(*topics, 1.0).high(alpha)
    return spent.model_copy(
        update={
            "pass_rate": mean_of(rates, weights).value,
            "pass_rate_low": max(0.0, 0.0 if low is None else low),
            "pass_rate_high": min(1.0, 1.0 if high is None else high),
            "k": k,
            "pass_at_k": _weighted(
                [pass_at_k(tally.trials, tally.passed, k) for _, tally, _ in scored], weights
            ),
            "pass_hat_k": _weighted(
                [pass_hat_k(tally.trials, tally.passed, k) for _, tally, _ in scored], weights
            ),
        }
    )


def _weighted(values: Sequence[float], weights: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return mean_of(np.array(values), weights).value


def _total(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _changes(
    cases: Sequence[CaseFacts],
    candidate: Tallies,
    stable: Tallies | None,
    failing: Mapping[str, tuple[tuple[str, int], ...]],
) -> list[CaseChange]:
    changes = []
    for case in cases:
        now = candidate.get(case.id, Tally())
        before = None if stable is None else stable.get(case.id)
        changes.append(
            CaseChange(
                case=case.id,
                change=change_of(now, before),
                severity=case.severity,
                candidate=now,
                stable=before,
                failing=failing.get(case.id, ()),
            )
        )
    return changes


def change_of(now: Tally, before: Tally | None) -> Change:
    """What became of a case; `before` None: there is nothing to compare with."""
    rates = {now.rate} if before is None else {now.rate, before.rate}
    if None in rates:
        return Change.UNSCORED
    if before is not None and (_side(before), _side(now)) == (True, False):
        return Change.REGRESSED
    if before is not None and (_side(before), _side(now)) == (False, True):
        return Change.IMPROVED
    if now.flaky or (before is not None and before.flaky):
        return Change.FLAKY
    if before is not None:
        return Change.UNCHANGED
    return Change.PASSES if now.rate else Change.FAILS


def _side(tally: Tally) -> bool | None:
    """Whether the case passed: most trials, or as many as its rule wants. None when half did, or nobody can tell."""
    rate = tally.rate
    return None if rate is None or rate == 0.5 else rate > 0.5  # noqa: PLR2004 - the majority


_ORDER: Final = [Change.REGRESSED, Change.FAILS, Change.UNSCORED, Change.FLAKY, Change.IMPROVED]
"""Worst first; the others are no news."""


def _badness(change: CaseChange) -> tuple[int, int, float, str]:
    before = change.stable.rate if change.stable is not None and change.stable.rate is not None else 0.0
    drop = before - (change.candidate.rate or 0.0)
    return _ORDER.index(change.change), int(change.severity is not Severity.BLOCKING), -drop, change.case


def _difference(
    cases: Sequence[CaseFacts], candidate: Tallies, stable: Tallies, alpha: float
) -> Difference | None:
    both = [
        (case, now, before, after - earlier)
        for case in cases
        if (now := candidate.get(case.id)) is not None and (after := now.rate) is not None
        and (before := stable.get(case.id)) is not None and (earlier := before.rate) is not None
    ]  # fmt: skip
    if not both:
        return None
    weights = np.array([case.weight for case, _, _, _ in both])
    values, together = by_topic(
        np.array([difference for _, _, _, difference in both]),
        weights,
        [case.topic for case, _, _, _ in both],
    )
    trials = min(sum(now.trials for _, now, _, _ in both), sum(before.trials for _, _, before, _ in both))
    result = paired(values, together, trials, alpha)
    return Difference(
        cases=len(both), topics=None if len(values) == len(both) else len(values), mean=result.mean, error=result.error,
        low=result.low, high=result.high, p_drop=result.p_drop, detectable_drop=result.detectable_drop,
    )  # fmt: skip


# Deciding -------------------------------------------------------------------------------------------------------------


def _decide(
    rules: Rules, arms: Mapping[str, ArmSummary], changes: Sequence[CaseChange], difference: Difference | None
) -> tuple[SuiteOutcome, str]:
    if missing := _missing(rules, arms, changes):
        return SuiteOutcome.UNSCORED, missing
    if broken := _below_floor(rules, arms["candidate"], changes):
        return SuiteOutcome.BELOW_FLOOR, broken
    lost = [change for change in changes if _is_lost(change)]
    if lost:
        return SuiteOutcome.REGRESSED, "blocking " + "; ".join(_loss(change) for change in lost[:REASONS_MAX])
    if difference is None:
        return (
            SuiteOutcome.PASSED,
            f"pass rate {percent(arms['candidate'].pass_rate)}; there is no stable version to compare with",
        )
    said = f"{points(difference.mean)} over {plural(difference.cases, 'case')}"
    if difference.low > -rules.margin:
        limit = f"at worst {points(difference.low)}, inside the margin of {points(-rules.margin)}"
        return SuiteOutcome.PASSED, f"no regression: {said}; {limit}"
    if difference.p_drop is not None and difference.p_drop <= rules.alpha:
        best = "" if difference.high is None else f"at best {points(difference.high)}, "
        return SuiteOutcome.REGRESSED, f"regression: {said}; {best}p = {difference.p_drop:.2g}"
    limit = f"at worst {points(difference.low)}, margin {points(-rules.margin)}"
    return SuiteOutcome.TOO_SMALL, f"neither a regression nor its absence is shown: {said}; {limit}"


def _certainly(
    outcome: SuiteOutcome, not_asked: int, changes: Sequence[CaseChange], difference: Difference | None
) -> str:
    """Why a run could be stopped: numbers so far, which the trials that were not asked can no longer turn."""
    lost = next((change for change in changes if _is_lost(change)), None)
    if outcome is SuiteOutcome.REGRESSED and lost is not None:
        said = f"blocking {_loss(lost)}"
    elif outcome is SuiteOutcome.BELOW_FLOOR or difference is None:
        said = "the pass rate can no longer reach what the plan wants"
    else:
        said = f"{points(difference.mean)} over {plural(difference.cases, 'case')} so far"
    return f"{said}; certain before {plural(not_asked, 'trial')} that could not change it"


def _missing(rules: Rules, arms: Mapping[str, ArmSummary], changes: Sequence[CaseChange]) -> str:
    for arm, summary in arms.items():
        asked = summary.trials + summary.unscored
        if summary.unscored > rules.unscored_max * asked or (arm == "candidate" and not summary.trials):
            return f"{count(summary.unscored)} of {plural(asked, 'trial')} of {arm} have no score; at most {percent(rules.unscored_max)} may be missing"
    for change in changes:
        if change.severity is Severity.BLOCKING and change.candidate.rate is None:
            return f"blocking case {change.case} has no score of the candidate"
    return ""


def _below_floor(rules: Rules, candidate: ArmSummary, changes: Sequence[CaseChange]) -> str:
    if candidate.pass_rate is not None and candidate.pass_rate < rules.pass_rate_min - 1e-12:
        return f"pass rate {percent(candidate.pass_rate)}; the plan wants at least {percent(rules.pass_rate_min)}"
    for change in changes:
        compared = change.stable is not None and change.stable.trials > 0
        rate = change.candidate.rate
        if change.severity is Severity.BLOCKING and not compared and rate is not None and rate < 0.5:  # noqa: PLR2004 - the majority
            return f"blocking case {change.case} passes in {change.candidate.passed} of {plural(change.candidate.trials, 'trial')}"
    return ""


def _is_lost(change: CaseChange) -> bool:
    before = None if change.stable is None else change.stable.rate
    return change.severity is Severity.BLOCKING and change.candidate.rate == 0.0 and bool(before)


def _loss(change: CaseChange) -> str:
    before = change.stable or Tally()
    now = change.candidate
    return f"case {change.case} passes in {now.passed} of {plural(now.trials, 'trial')}, with stable in {before.passed} of {before.trials}"


def _warnings(
    run: SuiteRun, rules: Rules, outcome: SuiteOutcome, candidate: ArmSummary, difference: Difference | None
) -> Iterable[str]:
    if outcome is SuiteOutcome.TOO_SMALL and difference is not None:
        if difference.error is None:
            yield "one case cannot show whether a version is worse; add cases"
        else:
            seen = points(difference.detectable_drop).removeprefix("+")
            yield f"this suite of {plural(difference.cases, 'case')} only sees drops of about {seen} or more; add cases or trials"
    if (
        outcome is SuiteOutcome.PASSED
        and difference
        and difference.p_drop is not None
        and difference.p_drop <= rules.alpha
    ):
        yield f"a small drop is shown ({points(difference.mean)}), inside the margin"
    if (
        outcome is SuiteOutcome.PASSED
        and difference is None
        and not rules.pass_rate_min
        and (candidate.pass_rate or 0.0) < 1.0
    ):
        yield "not every trial passes; the plan sets no pass_rate_min, so without a stable version any pass rate will do"
    if run.incomparable:
        yield f"{plural(len(run.incomparable), 'case')} could not be asked of stable (other variables): judged for the candidate alone"
    if candidate.unscored and outcome is not SuiteOutcome.UNSCORED:
        yield f"{plural(candidate.unscored, 'trial')} of the candidate without a score left out"
