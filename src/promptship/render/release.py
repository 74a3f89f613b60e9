"""A release as `promptship release show` prints it, and releases as the list does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from promptship.numbers import clock, duration, moment, percent, plural, short
from promptship.ports import ReleaseSummary
from promptship.release.events import Event, Linted, Looked, Rejected
from promptship.release.history import Release
from promptship.release.phase import Phase
from promptship.render.facts import PHASE_WORDS, fact_line, freeze_words
from promptship.render.suite import case_lines, suite_lines
from promptship.render.table import aligned, clipped, one_line
from promptship.render.verdict import verdict_from, verdict_lines

NOBODY: Final[Mapping[str, Sequence[str]]] = {}
LIST_HEADER = ("release", "prompt", "phase", "commit", "author", "opened", "moved")


def release_text(release: Release, events: Sequence[Event], group: tuple[str, str] = ("", "")) -> str:
    """Everything a person needs about one release: where it stands and why, the evidence, the timeline.

    `group`, in words: the releases that go with it, and what of them it waits for.
    """
    lines = [title(release), *_facts(release, *group)]
    notes = _lint_lines(events)
    if notes:
        lines += ["", "lint", *(f"  {line}" for line in notes)]
    suite = [
        *suite_lines(release.suite_verdict),
        *(f"  {line}" for line in case_lines(release.suite_verdict)),
    ]
    if suite:
        lines += ["", "suite", *(f"  {line}" for line in suite)]
    verdict = verdict_from(release.last_look.verdict) if release.last_look else None
    if verdict is not None:
        heading = f"canary, stage {verdict.stage + 1}, look {verdict.look}"
        lines += ["", heading, *(f"  {line}".rstrip() for line in verdict_lines(verdict))]
    return "\n".join([*lines, "", "timeline", *timeline(events)])


def _lint_lines(events: Sequence[Event]) -> list[str]:
    """The findings that lint left in the ledger, as `promptship lint` begins its lines."""
    found = [event.fact.findings for event in events if isinstance(event.fact, Linted | Rejected)]
    return [
        f"{finding.get('path')}:{finding.get('line')}: {finding.get('rule')} [{finding.get('severity')}] {finding.get('message')}"
        for findings in found
        for finding in findings
    ]


def title(release: Release) -> str:
    """`support-reply  3f2a → 9c1b  ROLLED BACK at stage 2 (50%)`."""
    change = (
        f"{short(release.stable)} → {short(release.version)}" if release.version else short(release.commit)
    )
    return f"{release.prompt}  {change}  {standing(release)}"


def standing(release: Release) -> str:
    """The phase in capitals with where in the canary it stands or stood."""
    words = PHASE_WORDS[release.phase].upper()
    held = ", PAUSED" if release.is_paused else ", FROZEN" if release.freeze is not None else ""
    if release.stage is None or release.phase is Phase.PROMOTED:
        return words + held
    share = release.share or _planned_share(release)
    return f"{words} at stage {release.stage + 1}" + (f" ({percent(share)})" if share else "") + held


def timeline(events: Sequence[Event]) -> list[str]:
    """One line per event; a run of looks that conclude the same is one line."""
    return aligned([(at, clipped(actor, 32), said) for at, actor, said in timeline_rows(events)], indent="  ")


def timeline_rows(events: Sequence[Event]) -> list[tuple[str, str, str]]:
    """When, who and what of every event; of a run of looks that conclude the same only the last, with how many there were."""
    rows: list[tuple[str, str, str]] = []
    skipped = 0
    for event, following in zip(events, [*events[1:], None], strict=True):
        if following is not None and _same_look(event, following):
            skipped += 1
            continue
        more = f" (and {plural(skipped, 'look')} before it)" if skipped else ""
        rows.append((clock(event.at), one_line(event.actor), fact_line(event.fact) + more))
        skipped = 0
    return rows


def release_list(
    summaries: Sequence[ReleaseSummary],
    now: datetime,
    *,
    frozen: Collection[str] = (),
    companions: Mapping[str, Sequence[str]] = NOBODY,
) -> str:
    """The list, newest first as it came.

    `frozen`: ids of those that a freeze keeps from more traffic; `companions`: by id, the prompts that go together with it.
    """
    if not summaries:
        return "no releases yet: push a change of a prompt, or run `promptship release open <prompt>`"
    return "\n".join(aligned([LIST_HEADER, *release_rows(summaries, now, frozen, companions)]))


def release_rows(
    summaries: Sequence[ReleaseSummary],
    now: datetime,
    frozen: Collection[str] = (),
    companions: Mapping[str, Sequence[str]] = NOBODY,
) -> list[tuple[str, ...]]:
    """One row per release under `LIST_HEADER`."""
    return [
        (
            summary.id, summary.prompt, PHASE_WORDS[summary.phase] + (", frozen" if summary.id in frozen else "") + with_words(companions.get(summary.id, ())),
            short(summary.commit), clipped(summary.author, 32),
            moment(summary.opened_at), f"{duration(max((now - summary.moved_at).total_seconds(), 0))} ago",
        )
        for summary in summaries
    ]  # fmt: skip


def with_words(prompts: Sequence[str]) -> str:
    """`, with tools` after a phase; empty for a release that goes alone."""
    return f", with {', '.join(prompts)}" if prompts else ""


def _facts(release: Release, together: str, waits: str) -> list[str]:
    rows = [
        ("release", release.id),
        ("file", f"{release.path} at {short(release.commit)} by {release.author}"),
        ("opened", moment(release.opened_at)),
        ("ended", f"{moment(release.ended_at)}, after {_lasted(release)}" if release.ended_at else ""),
        ("approved by", ", ".join(release.approvers)),
        ("asks", f"{release.question}, until {moment(release.expires_at)}" if _waits(release) else ""),
        ("because", release.reason if release.reason != waits else ""),
        ("goes with", together),
        ("waits", waits.removeprefix("waits ")),
        ("paused", paused_words(release)),
        ("frozen", freeze_words(release.freeze) if release.freeze is not None else ""),
    ]
    return aligned([(name, one_line(value)) for name, value in rows if value], indent="  ")


def paused_words(release: Release) -> str:
    """Since when, by whom and why it stands still; empty when it does not."""
    if not release.is_paused or release.paused_at is None:
        return ""
    who = release.paused_by.removeprefix("person:")
    why = f": {release.pause_reason}" if release.pause_reason else ""
    return f"since {moment(release.paused_at)} by {who}{why}"


def _waits(release: Release) -> bool:
    return release.phase is Phase.AWAITING_APPROVAL


def _lasted(release: Release) -> str:
    return duration((release.ended_at - release.opened_at).total_seconds()) if release.ended_at else ""


def _planned_share(release: Release) -> float:
    stages = release.plan.canary.stages if release.plan else ()
    return stages[release.stage].share if release.stage is not None and release.stage < len(stages) else 0.0


def _same_look(event: Event, following: Event) -> bool:
    """Whether the next event is a look that says the same about the same stage."""
    one, two = event.fact, following.fact
    if not isinstance(one, Looked) or not isinstance(two, Looked) or one.stage != two.stage:
        return False
    before, after = verdict_from(one.verdict), verdict_from(two.verdict)
    return before is not None and after is not None and before.outcome is after.outcome
