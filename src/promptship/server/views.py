"""What the pages show, as plain values for the templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from promptship.canary.evidence import Outcome
from promptship.numbers import duration, moment, percent, plural, short
from promptship.ports import ReleaseSummary
from promptship.prompts.diff import Change, PromptDiff
from promptship.release.events import Event
from promptship.release.history import Release
from promptship.release.phase import Phase
from promptship.render.facts import PHASE_WORDS, freeze_words
from promptship.render.release import NOBODY, paused_words, standing, timeline_rows, with_words
from promptship.render.suite import suite_lines
from promptship.render.table import clipped
from promptship.render.verdict import HEADER, headline, reason_line, verdict_from, verdict_rows

_TONES: Final = {
    Phase.CANARY: "run",
    Phase.AWAITING_APPROVAL: "wait",
    Phase.APPROVED: "go",
    Phase.PROMOTED: "go",
    Phase.ROLLED_BACK: "stop",
    Phase.REJECTED: "stop",
    Phase.FAILED: "stop",
}
_OUTCOME_TONES: Final = {
    Outcome.ADVANCE: "go",
    Outcome.HOLD: "run",
    Outcome.ASK: "wait",
    Outcome.ROLL_BACK: "stop",
}


def list_rows(
    summaries: Sequence[ReleaseSummary], now: datetime, companions: Mapping[str, Sequence[str]] = NOBODY
) -> list[dict[str, str]]:
    """The list's rows; `companions`: prompts that go together with a release, by its id."""
    return [
        {
            "id": summary.id,
            "prompt": summary.prompt,
            "phase": PHASE_WORDS[summary.phase] + with_words(companions.get(summary.id, ())),
            "tone": _TONES.get(summary.phase, ""),
            "commit": short(summary.commit),
            "author": clipped(summary.author, 40),
            "opened": moment(summary.opened_at),
            "moved": f"{duration(max((now - summary.moved_at).total_seconds(), 0.0))} ago",
        }
        for summary in summaries
    ]


def release_view(
    release: Release,
    events: Sequence[Event],
    change: PromptDiff | None,
    *,
    together: str = "",
    waits: str = "",
) -> dict[str, Any]:
    """One release: where it stands, the evidence, the timeline (newest first). `together`, `waits`: its group, in words."""
    verdict = verdict_from(release.last_look.verdict) if release.last_look else None
    findings: list[dict[str, Any]] = []
    if verdict is not None:
        findings = [
            {
                "cells": row,
                "tone": _OUTCOME_TONES[finding.outcome],
                "because": reason_line(finding),
            }
            for row, finding in zip(verdict_rows(verdict), verdict.findings, strict=True)
        ]
    return {
        "name": release.prompt,
        "standing": standing(release).lower(),
        "tone": _TONES.get(release.phase, ""),
        "reason": release.reason,
        "fields": [*_fields(release), *_group_fields(together, waits)],
        "change": _change(change),
        "suite": suite_lines(release.suite_verdict),
        "stages": _stages(release),
        "look": "" if verdict is None else f"stage {verdict.stage + 1}, look {verdict.look}",
        "headline": "" if verdict is None else headline(verdict),
        "header": HEADER,
        "findings": findings,
        "timeline": list(reversed(timeline_rows(events))),
    }


def _fields(release: Release) -> list[tuple[str, str]]:
    change = f"{short(release.stable)} → {short(release.version)}" if release.version else ""
    lasted = (release.ended_at - release.opened_at).total_seconds() if release.ended_at else None
    waits = release.phase is Phase.AWAITING_APPROVAL
    fields = [
        ("Version", change),
        ("Commit", f"{release.commit} by {release.author}"),
        ("File", release.path),
        ("Opened", moment(release.opened_at)),
        ("Ended", f"{moment(release.ended_at)}, after {duration(lasted)}" if release.ended_at else ""),
        ("Needs", f"{plural(release.required, 'approver')} by {moment(release.expires_at)}" if waits else ""),
        ("Approved by", ", ".join(release.approvers)),
        ("Paused", paused_words(release)),
        ("Frozen", freeze_words(release.freeze) if release.freeze is not None else ""),
        ("Release", release.id),
    ]
    return [(label, value) for label, value in fields if value]


def _group_fields(together: str, waits: str) -> list[tuple[str, str]]:
    fields = [("Goes with", together), ("Waits", waits.removeprefix("waits "))]
    return [(label, value) for label, value in fields if value]


def _change(change: PromptDiff | None) -> list[dict[str, Any]]:
    """Messages that changed, word by word, then the settings."""
    if change is None:
        return []
    parts: list[dict[str, Any]] = [
        {
            "head": f"{message.after_speaker or message.before_speaker} message, {message.change}",
            "hunks": [(hunk.op.value, hunk.text) for hunk in message.hunks],
        }
        for message in change.messages
        if message.change is not Change.SAME
    ]
    for one in (*change.fields, *change.about):
        gone, new = [("delete", one.before)], [("insert", one.after)]
        parts.append({"head": one.key, "hunks": [(op, text) for op, text in gone + new if text is not None]})
    return parts


def _stages(release: Release) -> list[dict[str, str]]:
    """The plan's stages; empty before the canary."""
    if release.plan is None or release.stage is None:
        return []
    over = release.phase in {Phase.ROLLED_BACK, Phase.CANCELLED}
    through = (
        release.phase in {Phase.AWAITING_APPROVAL, Phase.APPROVED, Phase.PROMOTED}
        and release.question != "undecided"
    )
    stages = []
    for number, stage in enumerate(release.plan.canary.stages):
        here = number == release.stage
        tone = "" if number > release.stage else "done"
        if here and not through:
            tone = "ended" if over else "now"
        stages.append({"share": percent(stage.share), "tone": tone})
    return stages
