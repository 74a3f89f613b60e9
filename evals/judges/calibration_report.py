"""A calibration for people: text for a terminal, Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from promptship.evals.judges.agreement import Measured
from promptship.evals.judges.calibration import Calibration
from promptship.evals.judges.correction import Corrected
from promptship.numbers import between, decimal, percent, points

_KAPPA = ((0.8, "almost perfect"), (0.6, "substantial"), (0.4, "moderate"), (0.2, "fair"), (0.0, "slight"))
DRIFT_MAX = 3.0


def to_text(calibration: Calibration, corrected: Corrected | None = None) -> str:
    """Plain lines, aligned."""
    rows = list(_rows(calibration))
    wide = max(len(name) for name, *_ in rows)
    value_wide = max(len(value) for _, value, _ in rows)
    lines = [_headline(calibration), ""]
    lines += [f"  {name:<{wide}}  {value:<{value_wide}}  {note}".rstrip() for name, value, note in rows]
    lines += ["", *_closing(calibration, corrected)]
    return "\n".join(lines).rstrip() + "\n"


def to_markdown(calibration: Calibration, corrected: Corrected | None = None) -> str:
    """A table with what it means below."""
    lines = [f"**{_headline(calibration)}**", "", "| | | |", "|---|---|---|"]
    lines += [f"| {name} | {value} | {note} |" for name, value, note in _rows(calibration)]
    lines += ["", *_closing(calibration, corrected)]
    return "\n".join(lines).rstrip() + "\n"


def _headline(calibration: Calibration) -> str:
    by_case = f" of {calibration.cases:,} cases" if calibration.cases != calibration.labels else ""
    return f"Judge {calibration.judge} against {calibration.labels:,} labels{by_case} ({calibration.name})"


def _rows(calibration: Calibration) -> Iterator[tuple[str, str, str]]:
    yield "accuracy", percent(calibration.accuracy.value), _limits(calibration.accuracy)
    yield (
        "sensitivity",
        percent(calibration.sensitivity.value),
        _limits(calibration.sensitivity, "of good answers pass"),
    )
    yield (
        "specificity",
        percent(calibration.specificity.value),
        _limits(calibration.specificity, "of bad answers fail"),
    )
    if calibration.kappa is None:
        yield "Cohen's kappa", "not defined", "one side always says the same"
    else:
        low, high = decimal(calibration.kappa.low), decimal(calibration.kappa.high)
        yield (
            "Cohen's kappa",
            decimal(calibration.kappa.value),
            f"{low} to {high}; {_word(calibration.kappa.value)}",
        )
    low, high = points(calibration.bias.low), points(calibration.bias.high)
    yield "bias", points(calibration.bias.value), f"{low} to {high}; {_direction(calibration.bias)}"
    if calibration.correlation is not None:
        low, high = decimal(calibration.correlation.low), decimal(calibration.correlation.high)
        yield "rank correlation", decimal(calibration.correlation.value), f"{low} to {high}"
    counts = calibration.counts
    yield "both pass / both fail", f"{counts.both_pass:,} / {counts.both_fail:,}", ""
    yield "only judge / only people", f"{counts.only_judge:,} / {counts.only_human:,}", "pass it"
    if calibration.unscored:
        yield "without a verdict", f"{calibration.unscored:,}", "in none of the numbers above"


def _limits(measured: Measured, what: str = "") -> str:
    limits = between(measured.low, measured.high)
    return f"{limits}; {what}" if what else limits


def _word(kappa: float) -> str:
    """Landis and Koch (1977)."""
    return next((word for least, word in _KAPPA if kappa >= least), "worse than chance")


def _direction(bias: Measured) -> str:
    if bias.low > 0:
        return "it is too kind"
    return "it is too strict" if bias.high < 0 else "no bias shown"


def _closing(calibration: Calibration, corrected: Corrected | None) -> Iterator[str]:
    if corrected is not None:
        yield (
            f"Judged pass rate {percent(corrected.judged)}; corrected {percent(corrected.rate)} "
            f"({between(corrected.low, corrected.high)})."
        )
        if corrected.drift > DRIFT_MAX:
            yield "The labelled answers are not like those of the suite: label some of those before you trust this."
    yield f"Limits hold with {percent(1 - calibration.alpha)} confidence. Orders of the judge: {calibration.rubrics_version}."
