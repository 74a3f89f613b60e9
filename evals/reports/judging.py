"""What judges said in a run, and what that is worth: calibrations against people, and wins against stable."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from statistics import fmean, variance
from typing import TYPE_CHECKING, Final

from promptship.evals.assertions.judged_compared import PAIRWISE
from promptship.evals.judges.comparing import TIE
from promptship.evals.reports.summary import Calibrated, JudgedRate, JudgeStats, WinStats
from promptship.evals.rows import Arm, Asserted, Row
from promptship.evals.score import Scored, Unscored

if TYPE_CHECKING:
    from promptship.evals.judges.agreement import Measured
    from promptship.evals.judges.calibration import Calibration

CALIBRATED_TYPE: Final = "llm-rubric"
"""What labels are judged by when a judge is calibrated; its errors there say nothing about other questions."""
NONE_KEPT: Final = "nobody has held it against people (promptship judge calibrate labels.csv --keep)"


class Judging:
    """Counts what judges said, row by row. `calibrations` None: nobody looked for any, so nothing is said about judges."""

    def __init__(self, calibrations: Sequence[Calibration] | None, alpha: float) -> None:
        self._calibrations = calibrations
        self._alpha = alpha
        self._judged: dict[str, int] = defaultdict(int)
        self._shares: dict[tuple[str, Arm], dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
        self._compared: dict[Arm, list[Row]] = defaultdict(list)

    def add(self, row: Row) -> None:
        """Count one trial."""
        pairs: list[Asserted] = []
        for one in row.asserted:
            if one.type == PAIRWISE and isinstance(one.score, Scored):
                pairs.append(Asserted(label=one.label, turn=one.turn, type=one.type, score=replace(one.score, reason="")))  # fmt: skip
            if one.judge and self._calibrations is not None:
                self._judged[one.judge] += 1
                if one.type == CALIBRATED_TYPE and isinstance(one.score, Scored):
                    self._shares[one.judge, row.arm][row.case].append(one.score.passed)
        if pairs:
            self._compared[row.arm].append(
                Row(case=row.case, arm=row.arm, trial=row.trial, digest="", score=Unscored(""), asserted=tuple(pairs))
            )  # fmt: skip

    def wins(self, arms: Iterable[Arm], baseline: Arm | None) -> Iterator[WinStats]:
        """Every arm against the baseline, by every `pairwise` assertion."""
        from promptship.evals.judges.win_rate import win_rate  # only where something was compared

        for arm in arms if baseline is not None and self._compared else ():
            rows = self._compared[arm] if arm != baseline else []
            for label in dict.fromkeys(one.label for row in rows for one in row.asserted):
                found = win_rate(rows, arm, label=label, alpha=2 * self._alpha)
                if found is not None:
                    yield WinStats(
                        label=label, arm=arm, cases=found.cases, wins=found.wins, ties=found.ties, losses=found.losses,
                        rate=found.rate, low=found.low, high=found.high,
                    )  # fmt: skip

    def judges(self, arms: Iterable[Arm]) -> Iterator[JudgeStats]:
        """Every judge with its calibration, if one fits, and the pass rates it gave."""
        arms = list(arms)
        for judge, judged in sorted(self._judged.items()):
            who, _, version = judge.rpartition(" ")
            calibration, because = self._fitting(who or judge)
            yield JudgeStats(
                judge=who or judge, rubrics_version=version if who else "", judged=judged, because=because,
                calibration=None if calibration is None else _calibrated(calibration),
                rates=tuple(
                    self._rate(arm, self._shares[judge, arm], calibration) for arm in arms if (judge, arm) in self._shares
                ),
            )  # fmt: skip

    def _fitting(self, judge: str) -> tuple[Calibration | None, str]:
        """The newest calibration of exactly this judge; else why there is none."""
        from promptship.evals.judges.calibration import outdated  # not where no judge was asked

        kept = self._calibrations or ()
        fitting = [one for one in kept if not outdated(one, judge)]
        if fitting:
            return max(fitting, key=lambda one: (one.at or date.min, one.labels)), ""
        model = judge.partition(" ")[0]
        near = next((one for one in kept if model in one.judge.replace(",", " ").split()), None)
        return (
            None,
            NONE_KEPT
            if near is None
            else f"its calibration {near.name} does not fit: {outdated(near, judge)}",
        )

    def _rate(self, arm: Arm, by_case: dict[str, list[bool]], calibration: Calibration | None) -> JudgedRate:
        shares = [fmean(found) for found in by_case.values()]
        plain = JudgedRate(arm=arm, cases=len(shares), value=fmean(shares))
        if calibration is None:
            return plain
        from promptship.evals.judges.correction import corrected_pass_rate

        found = corrected_pass_rate(
            plain.value, plain.cases, calibration, alpha=2 * self._alpha,
            # One more, imagined case, as in every limit of a report: a few cases that all ended alike prove little.
            spread=variance([*shares, 0.0 if plain.value >= TIE else 1.0]),
        )  # fmt: skip
        if isinstance(found, Unscored):
            return plain.model_copy(update={"because": found.reason})
        drift = found.drift if found.drift < float("inf") else None
        return plain.model_copy(
            update={"corrected": found.rate, "low": found.low, "high": found.high, "drift": drift}
        )


def _calibrated(one: Calibration) -> Calibrated:
    return Calibrated(
        name=one.name, labels=one.labels, at=one.at, alpha=one.alpha, accuracy=_limits(one.accuracy), bias=_limits(one.bias),
        kappa=None if one.kappa is None else _limits(one.kappa),
    )  # fmt: skip


def _limits(found: Measured) -> tuple[float, float, float]:
    return found.value, found.low, found.high
