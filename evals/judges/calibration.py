"""How far a judge agrees with people, kept as a file, and the pass rate of a suite corrected by it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from promptship.errors import ConfigError, Problem, Unavailable
from promptship.evals.assertions.base import Assertion, AssertionSpec, BuildContext, invalid
from promptship.evals.assertions.judged_orders import RUBRICS_VERSION
from promptship.evals.assertions.judged_rubric import llm_rubric
from promptship.evals.judges import agreement
from promptship.evals.judges.agreement import Counts, Measured, Pair
from promptship.evals.judges.labels import Label
from promptship.evals.score import Judged, Scored, Subject
from promptship.evals.services import Services

LABELS_MIN: Final = 30
CLASS_MIN: Final = 10
"""Labels that pass, and labels that fail: with fewer, sensitivity or specificity is a guess."""
ALPHA: Final = 0.05
FOLDER: Final = "judges"
ENDING: Final = ".calibration.json"
AGAIN: Final = "make it again: promptship judge calibrate"


class Moments(BaseModel):
    """Of cases (labels without one stand for themselves): what a correction needs of people (y) and judge (f)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cases: int = Field(ge=2)
    mean_human: float = Field(ge=0, le=1)
    mean_judge: float = Field(ge=0, le=1)
    variance_human: float = Field(ge=0)
    variance_judge: float = Field(ge=0)
    covariance: float


class Calibration(BaseModel):
    """What is kept of a calibration. Every interval is two-sided at 1 - `alpha`. No answer and no rubric stands in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    judge: str
    """Model and fingerprint, or how the verdicts came; several are joined by a comma."""
    models: tuple[str, ...] = ()
    """Models that answered, as their provider names them; empty: the verdicts stood in the file."""
    fingerprints: tuple[str, ...] = ()
    """The provider's names for the configurations that answered; empty: it gave none."""
    at: date | None = None
    """Day it was made, in UTC; None: made by an earlier release."""
    labels_digest: str = ""
    """Of the labels with their answers and rubrics, whatever their order: the same labels, the same digest."""
    threshold: float | None = None
    """Least score that passed, as of `llm-rubric`; None: the judge's own yes or no."""
    rubrics_version: str = RUBRICS_VERSION
    rubrics: tuple[str, ...] = ()
    """Digests of the rubrics that were judged by."""
    labels: int
    """With a verdict of the judge."""
    cases: int
    unscored: int = 0
    """Labels the judge gave no verdict for; they are in no number here."""
    alpha: float = ALPHA
    counts: Counts
    accuracy: Measured
    sensitivity: Measured
    """Of the answers people pass, the share the judge passes."""
    specificity: Measured
    """Of the answers people fail, the share the judge fails."""
    kappa: Measured | None
    bias: Measured
    """Pass rate of the judge minus that of the people."""
    correlation: Measured | None = None
    moments: Moments


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A label with the judge's verdict, or None; `judge` says who gave it."""

    label: Label
    passed: bool | None
    score: float | None
    judge: str = ""
    because: str = ""
    """Why there is no verdict."""


def measured(
    answered: Sequence[Answered],
    *,
    name: str,
    file: str = "labels.csv",
    rubrics: Sequence[str] = (),
    threshold: float | None = None,
    at: date | None = None,
    alpha: float = ALPHA,
) -> Calibration:
    """Hold verdicts against labels. `at`: the day, in UTC; `threshold`: with which verdicts were taken.

    Raises:
        ConfigError: fewer than LABELS_MIN labels, or fewer than CLASS_MIN that pass or that fail.
        Unavailable: there are enough labels, but the judge gave too few of them a verdict.
    """
    pairs = [
        Pair(
            human=one.label.passed, judge=one.passed, case=one.label.case,
            human_score=one.label.score, judge_score=one.score,
        )
        for one in answered
        if one.passed is not None
    ]  # fmt: skip
    because = next((one.because for one in answered if one.because), "")
    _refuse_few([one.label.passed for one in answered], [pair.human for pair in pairs], file, because)
    cases = [pair.case for pair in pairs]
    passing = [pair for pair in pairs if pair.human]
    failing = [pair for pair in pairs if not pair.human]
    judges = sorted({one.judge for one in answered if one.judge})
    return Calibration(
        name=name, judge=", ".join(judges) or "verdicts from the file", at=at, threshold=threshold,
        models=_parts(judges, 0), fingerprints=_parts(judges, 2), labels_digest=_labels_digest([one.label for one in answered]),
        labels=len(pairs), cases=len(agreement.units(cases)),
        rubrics=tuple(sorted({_digest(rubric) for rubric in rubrics})),
        unscored=len(answered) - len(pairs), alpha=alpha, counts=agreement.counts_of(pairs),
        accuracy=_share([pair.human == pair.judge for pair in pairs], pairs, alpha),
        sensitivity=_share([pair.judge for pair in passing], passing, alpha),
        specificity=_share([not pair.judge for pair in failing], failing, alpha),
        kappa=agreement.kappa_measured(pairs, alpha), bias=agreement.bias(pairs, alpha),
        correlation=agreement.correlation(pairs, alpha) if _graded(pairs) else None, moments=moments(pairs),
    )  # fmt: skip


def _share(values: Sequence[bool], pairs: Sequence[Pair], alpha: float) -> Measured:
    found = agreement.share(values, [pair.case for pair in pairs], alpha)
    assert found is not None  # noqa: S101 - both classes were counted before
    return found


def _graded(pairs: Sequence[Pair]) -> bool:
    """Whether people gave scores, and not only yes and no."""
    return any(pair.human_score not in {0.0, 1.0, None} for pair in pairs)


def _parts(judges: Sequence[str], part: int) -> tuple[str, ...]:
    """Models (0) or fingerprints (2) of judges such as `gpt-4.1 fp_12`."""
    return tuple(sorted({found for judge in judges if (found := judge.partition(" ")[part])}))


def _labels_digest(labels: Sequence[Label]) -> str:
    lines = sorted(json.dumps([one.case, one.input, one.output, one.rubric, one.score]) for one in labels)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _refuse_few(labels: Sequence[bool], scored: Sequence[bool], file: str, because: str = "") -> None:
    wanted = f"at least {LABELS_MIN} labels, {CLASS_MIN} of them passing and {CLASS_MIN} failing"
    if not _enough(labels):
        got = f"{len(labels)} labels, {sum(labels)} of them passing"
        advice = "label more answers; below that, agreement is a guess"
        raise ConfigError([Problem(file, "label", got, f"expected {wanted}", advice)])
    if not _enough(scored):
        raise Unavailable(
            f"the judge gave only {len(scored)} of {len(labels)} labels a verdict ({sum(scored)} of them passing); "
            f"wanted {wanted}{because and f'; {because}'}"
        )


def _enough(passing: Sequence[bool]) -> bool:
    passed = sum(passing)
    return len(passing) >= LABELS_MIN and min(passed, len(passing) - passed) >= CLASS_MIN


def moments(pairs: Sequence[Pair]) -> Moments:
    """Means and (co)variances over cases; at least two cases."""
    groups = agreement.units([pair.case for pair in pairs])
    if len(groups) < 2:  # noqa: PLR2004 - one case has no spread
        raise ConfigError([Problem("labels.csv", "case", "one case", "expected labels of several cases")])
    human = np.array([float(np.mean([pairs[place].human for place in group])) for group in groups])
    judge = np.array([float(np.mean([pairs[place].judge for place in group])) for group in groups])
    spread = np.cov(human, judge)
    return Moments(
        cases=len(groups), mean_human=float(human.mean()), mean_judge=float(judge.mean()),
        variance_human=max(0.0, float(spread[0, 0])), variance_judge=max(0.0, float(spread[1, 1])),
        covariance=float(spread[0, 1]),
    )  # fmt: skip


async def calibrate(
    labels: Sequence[Label],
    services: Services,
    *,
    name: str,
    rubric: str = "",
    threshold: float | None = None,
    who: Any = None,
    concurrency: int = 8,
    file: str = "labels.csv",
    at: date | None = None,
    alpha: float = ALPHA,
) -> Calibration:
    """Ask the judge about every label that has no verdict of it, and hold its verdicts against the people's.

    Args:
        labels: see `read_labels`. A label's own rubric goes before `rubric`.
        services: `graders` is who judges.
        name: of the calibration.
        rubric: for labels without one.
        threshold: as of `llm-rubric`.
        who: as an assertion's `provider`.
        concurrency: so many are asked at once.
        file: shown in errors.
        at: the day, in UTC.
        alpha: of all intervals.

    Raises:
        ConfigError: too few labels, or one without a rubric.
        Unavailable: the judge gave too few verdicts.
        Refused: 401, 403.
    """
    _refuse_few([label.passed for label in labels], [label.passed for label in labels], file)
    _refuse_bare(labels, rubric, file)
    slots = asyncio.Semaphore(concurrency)
    made: dict[str, Assertion] = {}

    async def one(label: Label) -> Answered:
        if label.judge_passed is not None:
            return Answered(label=label, passed=label.judge_passed, score=label.judge_score)
        text = label.rubric or rubric
        if text not in made:
            made[text] = _assertion(text, threshold, who)
        async with slots:
            return _answered(label, await made[text].judge(_subject(label, services)))

    try:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(one(label)) for label in labels]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    rubrics = [text for label in labels if (text := label.rubric or rubric)]
    return measured(
        [task.result() for task in asked], name=name, file=file, rubrics=rubrics, threshold=threshold, at=at, alpha=alpha
    )  # fmt: skip


def _refuse_bare(labels: Sequence[Label], rubric: str, file: str) -> None:
    bare = [label for label in labels if label.judge_passed is None and not (label.rubric or rubric).strip()]
    if bare:
        advice = "fill the column, or name one rubric for all"
        raise ConfigError(
            [Problem(file, "rubric", "empty", "expected what the answer is judged by", advice, bare[0].line)]
        )


def _assertion(rubric: str, threshold: float | None, who: Any) -> Assertion:
    spec = AssertionSpec(type="llm-rubric", value=rubric, threshold=threshold, provider=who)
    return llm_rubric("rubric")(spec, BuildContext(read=_no_files))


def _no_files(name: str) -> str:
    raise invalid("rubric", name, "expected the rubric's text")


def _subject(label: Label, services: Services) -> Subject:
    return Subject(output=label.output, services=services, prompt=label.input)


def _answered(label: Label, judged: Judged) -> Answered:
    judge = judged.judge.removesuffix(RUBRICS_VERSION).strip()
    if isinstance(judged.score, Scored):
        return Answered(label=label, passed=judged.score.passed, score=judged.score.score, judge=judge)
    return Answered(label=label, passed=None, score=None, judge=judge, because=judged.score.reason)


def outdated(calibration: Calibration, judge: str) -> str:
    """Why a calibration says nothing about a judge (its model, and fingerprint if known); empty: it fits."""
    if calibration.rubrics_version != RUBRICS_VERSION:
        return f"it was made with {calibration.rubrics_version}; the judge is now asked by {RUBRICS_VERSION}"
    if judge and judge not in calibration.judge.split(", "):
        return f"it was made with {calibration.judge}; the judge is now {judge}"
    return ""


def path_of(root: Path, name: str) -> Path:
    """Where a calibration is kept."""
    return root / FOLDER / f"{name}{ENDING}"


def kept(root: Path) -> tuple[tuple[Calibration, ...], tuple[Problem, ...]]:
    """Every calibration that is kept under `root`, by name, and what is wrong with those that cannot be read."""
    found: list[Calibration] = []
    problems: list[Problem] = []
    for path in sorted((root / FOLDER).glob(f"*{ENDING}")):
        try:
            found.append(from_json(path.read_text(encoding="utf-8"), str(path)))
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(str(path), "", f"unreadable: {error}", "expected a calibration", AGAIN))
        except ConfigError as error:
            problems += error.problems
    return tuple(found), tuple(problems)


def to_json(calibration: Calibration) -> str:
    """What is kept in the file."""
    return json.dumps(calibration.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"


def from_json(content: str, file: str) -> Calibration:
    """Read a kept calibration. Raises ConfigError with everything that is wrong."""
    try:
        return Calibration.model_validate_json(content)
    except ValidationError as error:
        raise ConfigError(
            Problem(file, ".".join(map(str, one["loc"])), repr(one["input"])[:60], one["msg"], AGAIN)
            for one in error.errors()
        ) from None
