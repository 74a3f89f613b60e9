"""The picture of a canary's verdict: per guardrail both arms' numbers, and how far the evidence has come."""

from __future__ import annotations

import math
from typing import Final

from promptship.canary.evidence import Finding, Outcome, Verdict
from promptship.numbers import percent
from promptship.release.history import Release
from promptship.render import svg
from promptship.render.redact import redact
from promptship.render.table import clipped
from promptship.render.verdict import SAYS, headline, verdict_from, verdict_rows

_WIDTH: Final = 1000
_NAME_END: Final = 210
_ARMS: Final = (230, 560)
_PROOF: Final = (660, 940)
_ROW: Final = 58
_ROWS_MAX: Final = 12
_COLOURS: Final = {
    Outcome.ADVANCE: svg.GO,
    Outcome.HOLD: svg.PLAIN,
    Outcome.ASK: svg.WAIT,
    Outcome.ROLL_BACK: svg.STOP,
}


def release_chart(release: Release) -> str:
    """A self-contained SVG of the release's last look; empty when nothing was measured."""
    verdict = verdict_from(release.last_look.verdict) if release.last_look else None
    return "" if verdict is None else verdict_chart(release.prompt, verdict, share=release.share)


def verdict_chart(prompt: str, verdict: Verdict, *, share: float = 0.0) -> str:
    """The same of a verdict; `share`: of traffic, 0..1, 0 is not shown."""
    rows = [
        (finding, cells)
        for finding, cells in zip(verdict.findings, verdict_rows(verdict), strict=True)
        if _numbers(finding) is not None
    ]
    if not rows:
        return ""
    stage = f"stage {verdict.stage + 1}" + (f", {percent(share)} of traffic" if share else "")
    title = _shown(f"{clipped(prompt, 60)}: {SAYS[verdict.outcome]} ({stage}, look {verdict.look})")
    parts = [
        svg.text(24, 34, title, size=18, bold=True, colour=_COLOURS[verdict.outcome]),
        svg.text(24, 58, _shown(clipped(headline(verdict), 130)), colour=svg.MUTED),
        *_legend(86),
    ]
    y = 112.0
    for finding, cells in rows[:_ROWS_MAX]:
        parts += [
            *_arms(finding, cells, y),
            *_proof(finding, y),
            svg.line(24, y + _ROW - 8, _WIDTH - 24, y + _ROW - 8),
        ]
        y += _ROW
    if len(rows) > _ROWS_MAX:
        parts.append(svg.text(24, y + 12, f"and {len(rows) - _ROWS_MAX} more guardrails", colour=svg.MUTED))
        y += 24
    return svg.document(_WIDTH, y + 12, title, parts)


def _shown(text: str) -> str:
    """No secret, and no character that XML forbids."""
    return "".join(char if char.isprintable() else " " for char in redact(text))


def _legend(y: float) -> list[str]:
    left, right = _ARMS[0], _PROOF[0]
    return [
        svg.text(24, y, "guardrail", colour=svg.MUTED),
        svg.dot(left + 5, y - 4, svg.MUTED),
        svg.text(left + 16, y, "stable", colour=svg.MUTED),
        svg.dot(left + 85, y - 4, svg.PLAIN),
        svg.text(left + 96, y, "candidate", colour=svg.MUTED),
        svg.text(right, y, "evidence, up to what it takes", colour=svg.MUTED),
    ]


def _arms(finding: Finding, cells: tuple[str, ...], y: float) -> list[str]:
    """Both arms on a line from nothing to a little more than the larger."""
    numbers = _numbers(finding)
    assert numbers is not None  # noqa: S101 - filtered by the caller
    left, right = _ARMS
    top = max(*numbers, 1e-12) * 1.1
    colour = _COLOURS[finding.outcome]
    parts = [
        svg.text(_NAME_END, y + 20, clipped(finding.rule, 28), anchor="end", bold=True),
        svg.text(_NAME_END, y + 37, SAYS[finding.outcome], anchor="end", colour=colour),
        svg.line(left, y + 12, right, y + 12),
    ]
    for number, dot in zip(numbers, (svg.MUTED, colour), strict=True):
        parts.append(svg.dot(left + (right - left) * min(max(number, 0.0) / top, 1.0), y + 12, dot, radius=6))
    labels = zip(("stable", "candidate"), cells[2:4], (left, left + 170), (svg.MUTED, svg.INK), strict=True)
    parts += [
        svg.text(x, y + 37, clipped(f"{arm} {cell}", 27), size=12, colour=ink) for arm, cell, x, ink in labels
    ]
    return parts


def _proof(finding: Finding, y: float) -> list[str]:
    """Evidence of harm and of safety as a share of what it takes, both on the scale of their logarithm."""
    harm = finding.e_harm, finding.threshold
    if finding.e_harm is None and finding.outcome is not Outcome.ADVANCE:
        harm = finding.e_value, finding.threshold  # an older look
    bars = [("harm", *harm, svg.STOP), ("safety", finding.e_safe, finding.threshold_safe, svg.GO)]
    parts, (left, right) = list[str](), _PROOF
    for number, (name, value, needed, colour) in enumerate(bars):
        done = _progress(value, needed)
        if done is None:
            continue
        top = y + 3 + 21 * number
        parts += [
            svg.text(left - 8, top + 11, name, anchor="end", size=12, colour=svg.MUTED),
            svg.bar(left, top, right - left, 13, svg.GRID, opacity=0.5),
            svg.bar(left, top, (right - left) * done, 13, colour, opacity=0.8),
            svg.line(right, top - 2, right, top + 15, colour=svg.INK, width=2),
        ]
    return parts


def _progress(value: float | None, needed: float | None) -> float | None:
    """0..1; None where it was not measured or nothing has to be reached."""
    if value is None or needed is None or math.isnan(value) or not needed > 1:
        return None
    if value <= 1:
        return 0.0
    return 1.0 if math.isinf(value) else min(math.log(value) / math.log(needed), 1.0)


def _numbers(finding: Finding) -> tuple[float, float] | None:
    """(stable, candidate) where both were measured."""
    pairs = ((finding.mean_stable, finding.mean_candidate), (finding.rate_stable, finding.rate_candidate))
    for stable, candidate in pairs:
        if (
            stable is not None
            and candidate is not None
            and math.isfinite(stable)
            and math.isfinite(candidate)
        ):
            return stable, candidate
    return None
