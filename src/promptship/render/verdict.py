"""The canary's verdict as a sentence, as lines for a terminal, and as a Markdown table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from promptship.canary.evidence import Counts, Finding, Outcome, Verdict
from promptship.render.numbers import count, evidence, percent
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
    sides = [
        f"{decisive.rule} {_side(decisive.rate_candidate, decisive.counts.candidate)}",
        f"stable {_side(decisive.rate_stable, decisive.counts.stable)}",
    ]
    if decisive.e_harm is not None and decisive.threshold is not None:
        sides.append(f"harm {evidence(decisive.e_harm)} of {evidence(decisive.threshold)}")
    if decisive.e_safe is not None and decisive.threshold_safe is not None:
        sides.append(f"safety {evidence(decisive.e_safe)} of {evidence(decisive.threshold_safe)}")
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
    return f"{title}\n\n{markdown((*HEADER, 'because', 'needs'), rows)}"


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
    counts = finding.counts
    shown = counts is not None or finding.rate_candidate is not None or finding.rate_stable is not None
    return (
        finding.rule,
        SAYS[finding.outcome],
        _side(finding.rate_stable, counts.stable if counts else None) if shown else "",
        _side(finding.rate_candidate, counts.candidate if counts else None) if shown else "",
        "" if finding.e_value is None else evidence(finding.e_value),
        "" if finding.threshold is None else evidence(finding.threshold),
    )


def _side(rate: float | None, counts: Counts | None) -> str:
    return percent(rate) if counts is None else f"{percent(rate)} of {count(counts.requests)}"


def reason_line(finding: Finding) -> str:
    """One finding's reason, led by its rule, and what would change it."""
    needs = f" ({one_line(finding.needs)})" if finding.needs else ""
    text = one_line(finding.because)
    return f"{text if text.startswith(finding.rule) else f'{finding.rule}: {text}'}{needs}"
