"""From rows to a summary in one pass: numbers per case and arm are kept, answers are not."""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final

import numpy as np

from promptship.evals.compare import REASON_CHARS_MAX, change_of
from promptship.evals.reports.attacks import attack_of, is_attack
from promptship.evals.reports.judging import Judging
from promptship.evals.reports.model import Report
from promptship.evals.reports.reasons import why_of
from promptship.evals.reports.summary import (
    STANDING,
    ArmStats,
    AssertionStats,
    CaseArm,
    CaseStats,
    Counted,
    MetricStats,
    Rate,
    SliceStats,
    Standing,
    Summary,
    Why,
)
from promptship.evals.rows import Arm, ArmFacts, CaseFacts, Row
from promptship.evals.score import Scored, Unscored
from promptship.evals.statistics import by_topic, mean_of, pass_at_k, pass_hat_k, with_one_more
from promptship.evals.verdict import Tally

if TYPE_CHECKING:
    from promptship.evals.judges.calibration import Calibration

ALPHA: Final = 0.05
"""Of the limits, when no verdict says another."""
REASONS_MAX: Final = 20


@dataclass(slots=True)
class _Cell:
    """Trials of one case with one arm."""

    passed: int = 0
    trials: int = 0
    unscored: int = 0
    failing: Counter[str] = field(default_factory=Counter)
    first: tuple[bool, int] | None = None
    """Of the trial that `why` is about: whether it has no score, and its number. A failure tells more, the earliest most."""
    why: Why | None = None
    attack: str = ""

    def add(self, row: Row, *, attacked: bool) -> None:
        unscored = isinstance(row.score, Unscored)
        if isinstance(row.score, Unscored):
            self.unscored += 1
        else:
            self.trials += 1
            self.passed += row.score.passed
            if row.score.passed:
                return
        place = unscored, row.trial
        if self.first is None or place < self.first:
            self.first, self.why = place, why_of(row)
            self.attack = attack_of(row) if attacked and not unscored else ""


@dataclass(slots=True)
class _Spent:
    """What the trials of one arm took."""

    rows: int = 0
    passed: int = 0
    failed: int = 0
    unscored: int = 0
    errors: int = 0
    cached: int = 0
    unpriced: int = 0
    judge_tokens: int = 0
    judge_cost_usd: float = 0.0
    judge_unpriced: int = 0
    known: Counter[str] = field(default_factory=Counter)
    """How many rows said each of the numbers in `sums`."""
    sums: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    latencies_ms: array[float] = field(default_factory=lambda: array("d"))

    def add(self, row: Row) -> None:
        self.rows += 1
        if isinstance(row.score, Unscored):
            self.unscored += 1
            self.errors += bool(row.error)
        elif row.score.passed:
            self.passed += 1
        else:
            self.failed += 1
        self.cached += row.cached
        self.judge_tokens += row.judge_tokens
        self.judge_cost_usd += row.judge_cost_usd
        self.judge_unpriced += row.judge_unpriced
        for name in ("tokens_in", "tokens_out", "tokens_cached"):
            self._sum(name, getattr(row, name))
        cost = 0.0 if row.cached and row.cost_usd is None else row.cost_usd
        self._sum("cost", cost)
        if row.error:
            return
        if not row.cached:
            self._sum("cost_new", cost)
            self.unpriced += cost is None
        if row.latency_ms is not None and math.isfinite(row.latency_ms):
            self.latencies_ms.append(row.latency_ms)

    def _sum(self, name: str, value: float | None) -> None:
        if value is not None and math.isfinite(value):
            self.known[name] += 1
            self.sums[name] += value

    def _tokens(self, name: str) -> int | None:
        return int(self.sums[name]) if self.known[name] else None

    def counted(self) -> Counted:
        new = self.known["cost_new"]
        return Counted(
            rows=self.rows, passed=self.passed, failed=self.failed, unscored=self.unscored, errors=self.errors,
            cached=self.cached, tokens_in=self._tokens("tokens_in"), tokens_out=self._tokens("tokens_out"),
            tokens_cached=self._tokens("tokens_cached"), cost_usd=self.sums["cost"] if self.known["cost"] else None,
            unpriced=self.unpriced, cost_usd_per_1000=self.sums["cost_new"] / new * 1000 if new else None,
            judge_tokens=self.judge_tokens, judge_cost_usd=self.judge_cost_usd, judge_unpriced=self.judge_unpriced,
        )  # fmt: skip


@dataclass(slots=True)
class _Metric:
    count: int = 0
    total: float = 0.0
    least: float = math.inf
    greatest: float = -math.inf

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.least = min(self.least, value)
        self.greatest = max(self.greatest, value)


class Aggregate:
    """Numbers of a run, row by row. Cases and arms that `facts` did not name are taken as they come."""

    def __init__(
        self, cases: Iterable[CaseFacts], arms: Iterable[ArmFacts], *, alpha: float = ALPHA, baseline: Arm | None = None,
        calibrations: Sequence[Calibration] | None = None,
    ) -> None:  # fmt: skip
        self._cases = {case.id: case for case in cases}
        self._arms = {arm.key: arm for arm in arms}
        self._alpha = alpha
        self._baseline = baseline
        self._cells: dict[tuple[str, Arm], _Cell] = defaultdict(_Cell)
        self._spent: dict[Arm, _Spent] = defaultdict(_Spent)
        self._all = _Spent()
        self._metrics: dict[tuple[str, Arm], _Metric] = defaultdict(_Metric)
        self._assertions: dict[tuple[str, Arm], Counter[str]] = defaultdict(Counter)
        self._unscored: dict[str, Counter[str]] = defaultdict(Counter)
        self._reasons: Counter[str] = Counter()
        self._judging = Judging(calibrations, alpha)

    def add(self, row: Row) -> None:
        """Count one trial; each must come once."""
        case = self._cases.setdefault(row.case, CaseFacts(id=row.case))
        self._arms.setdefault(row.arm, ArmFacts(key=row.arm, prompt=row.arm, model=""))
        cell = self._cells[row.case, row.arm]
        cell.add(row, attacked=is_attack(case))
        if isinstance(row.score, Unscored):
            self._reasons[row.score.reason[:REASON_CHARS_MAX]] += 1
        for spent in (self._spent[row.arm], self._all):
            spent.add(row)
        failing = set()
        for one in row.asserted:
            mark = _mark(one.score)
            self._assertions[one.label, row.arm][mark] += 1
            if mark == "failed":
                failing.add(one.label)
            elif isinstance(one.score, Unscored):
                self._unscored[one.label][one.score.reason[:REASON_CHARS_MAX]] += 1
        cell.failing.update(failing)
        for name, value in row.named.items():
            if math.isfinite(value):
                self._metrics[name, row.arm].add(value)
        self._judging.add(row)

    def summary(self) -> Summary:
        """The numbers so far."""
        tallies: dict[Arm, dict[str, Tally]] = {arm: {} for arm in self._arms}
        for (case, arm), cell in self._cells.items():
            tallies[arm][case] = Tally(
                passed=cell.passed, trials=cell.trials, unscored=cell.unscored,
                passes_min=self._cases[case].passes_min,
            )  # fmt: skip
        k = min(
            (tally.trials for own in tallies.values() for tally in own.values() if tally.trials), default=None
        )
        return Summary(
            alpha=self._alpha,
            k=k,
            totals=self._all.counted(),
            arms=tuple(self._arm(arm, tallies[arm.key], k) for arm in self._arms.values()),
            cases=tuple(self._case(case, tallies, k) for case in self._cases.values()),
            slices=tuple(self._slices(tallies)),
            metrics=tuple(self._named()),
            assertions=tuple(self._failing()),
            wins=tuple(self._judging.wins(self._arms, self._baseline)),
            judges=tuple(self._judging.judges(self._arms)),
            unscored_because=tuple(_ranked(self._reasons)[:REASONS_MAX]),
        )

    def _arm(self, arm: ArmFacts, tallies: Mapping[str, Tally], k: int | None) -> ArmStats:
        spent = self._spent[arm.key]
        scored = [
            (case.weight, tally)
            for case in self._cases.values()
            if (tally := tallies.get(case.id)) is not None and tally.rate is not None
        ]
        stats = ArmStats(
            arm=arm.key, prompt=arm.prompt, model=arm.model, counted=spent.counted(),
            rate=rate_of(self._cases.values(), tallies, self._alpha),
            latency_ms_median=float(median(spent.latencies_ms)) if spent.latencies_ms else None,
            latency_ms_p95=nearest_rank(spent.latencies_ms, 0.95) if spent.latencies_ms else None,
        )  # fmt: skip
        if k is None or not scored:
            return stats
        weights = np.array([weight for weight, _ in scored])
        some = np.array([pass_at_k(tally.trials, tally.passed, k) for _, tally in scored])
        every = np.array([pass_hat_k(tally.trials, tally.passed, k) for _, tally in scored])
        update = {
            "k": k,
            "pass_at_k": mean_of(some, weights).value,
            "pass_hat_k": mean_of(every, weights).value,
        }
        return stats.model_copy(update=update)

    def _case(self, case: CaseFacts, tallies: Mapping[Arm, Mapping[str, Tally]], k: int | None) -> CaseStats:
        own = {arm: tally for arm in self._arms if (tally := tallies[arm].get(case.id)) is not None}
        arms = {}
        for arm, tally in own.items():
            enough = k is not None and tally.trials >= k
            arms[arm] = CaseArm(
                tally=tally, flaky=tally.flaky, failing=tuple(_ranked(self._cells[case.id, arm].failing)),
                pass_at_k=pass_at_k(tally.trials, tally.passed, k) if k and enough else None,
                pass_hat_k=pass_hat_k(tally.trials, tally.passed, k) if k and enough else None,
                why=self._cells[case.id, arm].why,
            )  # fmt: skip
        cells = [self._cells[case.id, arm] for arm in sorted(own, key=lambda arm: arm == self._baseline)]
        return CaseStats(
            case=case.id, standing=standing_of(own, self._arms, self._baseline), arms=arms,
            attack=next((cell.attack for cell in cells if cell.attack), ""),
        )  # fmt: skip

    def _slices(self, tallies: Mapping[Arm, Mapping[str, Tally]]) -> Iterator[SliceStats]:
        tagged: dict[str, list[CaseFacts]] = defaultdict(list)
        for case in self._cases.values():
            for tag in dict.fromkeys(case.tags):
                tagged[tag].append(case)
        for tag in sorted(tagged):
            for arm in self._arms:
                yield SliceStats(tag=tag, arm=arm, rate=rate_of(tagged[tag], tallies[arm], self._alpha))

    def _named(self) -> Iterator[MetricStats]:
        for name in sorted({name for name, _ in self._metrics}):
            for arm in self._arms:
                if (one := self._metrics.get((name, arm))) is not None:
                    yield MetricStats(
                        metric=name, arm=arm, count=one.count, mean=one.total / one.count,
                        least=one.least, greatest=one.greatest,
                    )  # fmt: skip

    def _failing(self) -> Iterator[AssertionStats]:
        """All arms of every label that did not always pass."""
        failed: Counter[str] = Counter()
        unscored: Counter[str] = Counter()
        for (label, _), marks in self._assertions.items():
            failed[label] += marks["failed"]
            unscored[label] += marks["unscored"]
        labels = [label for label in failed if failed[label] or unscored[label]]
        for label in sorted(labels, key=lambda label: (-failed[label], -unscored[label], label)):
            for arm in self._arms:
                if (label, arm) in self._assertions:
                    because = _ranked(self._unscored[label])[0][0] if self._unscored[label] else ""
                    yield AssertionStats(
                        label=label, arm=arm, unscored_because=because, **self._assertions[label, arm]
                    )


def aggregate_for(report: Report) -> Aggregate:
    """An empty one, with the limits that the report's verdicts were given by."""
    alpha = report.verdicts[0].rules.alpha if report.verdicts else ALPHA
    return Aggregate(
        report.cases, report.arms, alpha=alpha, baseline=report.baseline, calibrations=report.calibrations
    )


def summarise(report: Report) -> Summary:
    """The numbers of a report; one pass over its rows."""
    numbers = aggregate_for(report)
    for row in report.rows():
        numbers.add(row)
    return numbers.summary()


def rate_of(cases: Iterable[CaseFacts], tallies: Mapping[str, Tally], alpha: float) -> Rate:
    """Pass rate over the cases that have one, with limits; the same numbers as a verdict's."""
    scored = [
        (case, rate)
        for case in cases
        if (tally := tallies.get(case.id)) is not None and (rate := tally.rate) is not None
    ]
    if not scored:
        return Rate(cases=0)
    weights, rates = np.array([case.weight for case, _ in scored]), np.array([rate for _, rate in scored])
    topics = by_topic(rates, weights, [case.topic for case, _ in scored])
    low, high = with_one_more(*topics, 0.0).low(alpha), with_one_more(*topics, 1.0).high(alpha)
    return Rate(
        cases=len(scored), value=mean_of(rates, weights).value,
        low=None if low is None else max(0.0, low), high=None if high is None else min(1.0, high),
    )  # fmt: skip


def standing_of(tallies: Mapping[Arm, Tally], arms: Iterable[Arm], baseline: Arm | None) -> Standing:
    """What a case came to: the change against the baseline when one other arm was asked, else what the arms say together."""
    others = [arm for arm in arms if arm != baseline]
    if len(others) == 1:
        before = None if baseline is None else tallies.get(baseline)
        return STANDING[change_of(tallies.get(others[0], Tally()), before)]
    rates = [tally.rate for tally in tallies.values()]
    sides = {rate > 0.5 for rate in rates if rate is not None and rate != 0.5}  # noqa: PLR2004 - the majority
    if len(sides) > 1:
        return Standing.DIFFERS
    if None in rates or not rates:
        return Standing.UNSCORED
    if any(tally.flaky for tally in tallies.values()):
        return Standing.FLAKY
    return Standing.PASSES if sides == {True} else Standing.FAILS


def nearest_rank(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed; of at least one value."""
    return sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]


def _mark(score: Scored | Unscored) -> str:
    if isinstance(score, Unscored):
        return "unscored"
    return "passed" if score.passed else "failed"


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
