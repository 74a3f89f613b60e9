"""The canary's verdict as a sentence, as lines for a terminal, and as a Markdown table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from promptship.canary.because import in_unit
from promptship.canary.evidence import Counts, Finding, Outcome, Verdict
from promptship.numbers import at_least, count, evidence, percent, plural
from promptship.render.table import aligned, markdown, one_line

SAYS: Final = {
    Outcome.ADVANCE: "advance",
    Outcome.HOLD: "hold",
    Outcome.ASK: "ask a person",
    Outcome.ROLL_BACK: "roll back",
}
HEADER: Final = ("guardrail", "says", "stable", "candidate", "e-value", "threshold")


def headline(verdict: Verdict) -> str:
    """Why the verdict is what it is, in one sentence: the finding that decided, or that none objected."""
    decisive = verdict.decisive
    if decisive is None:
        return "nothing has been measured yet"
    if verdict.outcome is Outcome.ADVANCE:
        return f"no guardrail objects: {', '.join(_guardrails(verdict))}"
    return one_line(decisive.because).rstrip(".")


def brief(verdict: Verdict) -> str:
    """The numbers that decided, short enough for a line of a live log."""
    decisive = verdict.decisive
    if decisive is None or verdict.outcome is Outcome.ADVANCE or decisive.counts is None:
        return headline(verdict)
    stable, candidate = _sides(decisive)
    sides = [f"{decisive.rule} {candidate}", f"stable {stable}"]
    if decisive.e_harm is not None and decisive.threshold is not None:
        sides.append(f"harm {evidence(decisive.e_harm)} of {at_least(decisive.threshold)}")
    if decisive.e_safe is not None and decisive.threshold_safe is not None:
        sides.append(f"safety {evidence(decisive.e_safe)} of {at_least(decisive.threshold_safe)}")
    return ", ".join(sides)


def verdict_rows(verdict: Verdict) -> list[tuple[str, ...]]:
    """One row per finding under `HEADER`; empty where a rule has no such number."""
    return [_row(finding) for finding in verdict.findings]


def verdict_lines(verdict: Verdict) -> list[str]:
    """The table, aligned, then each finding's reason and what would change it."""
    if not verdict.findings:
        return [headline(verdict)]
    lines = aligned([HEADER, *verdict_rows(verdict)])
    return [*lines, "", *(reason_line(finding) for finding in verdict.findings)]


def verdict_markdown(verdict: Verdict) -> str:
    """The same for Prefect's artifacts and comments on a change."""
    title = (
        f"**Stage {verdict.stage + 1}, look {verdict.look}: {SAYS[verdict.outcome]}.** {headline(verdict)}"
    )
    if not verdict.findings:
        return title
    rows = [
        (*row, finding.because, finding.needs)
        for row, finding in zip(verdict_rows(verdict), verdict.findings, strict=True)
    ]
    return f"{title}\n\n{markdown((*HEADER, 'because', 'what would change it'), rows)}"


def verdict_from(data: Mapping[str, Any] | None) -> Verdict | None:
    """The verdict inside a ledger event; None when there is none, or when another version of promptship wrote it."""
    try:
        return None if data is None else Verdict.model_validate(data)
    except ValidationError:
        return None


def _guardrails(verdict: Verdict) -> list[str]:
    """What was weighed with numbers; waiting rules such as the dwell are not guardrails."""
    weighed = [finding.rule for finding in verdict.findings if finding.counts is not None]
    return weighed or [finding.rule for finding in verdict.findings]


def _row(finding: Finding) -> tuple[str, ...]:
    return (
        finding.rule,
        SAYS[finding.outcome],
        *_sides(finding),
        "" if finding.e_value is None else evidence(finding.e_value),
        "" if finding.threshold is None else at_least(finding.threshold),
    )


def _sides(finding: Finding) -> tuple[str, str]:
    """Stable and candidate: a mean, a rate, or how many units; empty where a rule has no such number."""
    counts = finding.counts
    stable, candidate = (counts.stable, counts.candidate) if counts else (None, None)
    if finding.rule == "sample_ratio" and counts is not None:
        return plural(counts.stable.requests, "unit"), plural(counts.candidate.requests, "unit")
    if finding.mean_candidate is not None and finding.mean_stable is not None:
        means = in_unit(finding.rule, finding.mean_stable), in_unit(finding.rule, finding.mean_candidate)
        return _of(means[0], stable), _of(means[1], candidate)
    if counts is None and finding.rate_candidate is None and finding.rate_stable is None:
        return "", ""
    return _of(percent(finding.rate_stable), stable), _of(percent(finding.rate_candidate), candidate)


def _of(number: str, counts: Counts | None) -> str:
    return number if counts is None else f"{number} of {count(counts.requests)}"


def reason_line(finding: Finding) -> str:
    """One finding's reason, led by its rule, and what would change it."""
    text = one_line(finding.because)
    text = text if text.startswith(finding.rule) else f"{finding.rule}: {text}"
    if not finding.needs:
        return text
    return f"{text.rstrip('.')}. What would change it: {one_line(finding.needs).rstrip('.')}."
