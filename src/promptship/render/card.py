"""What an approver sees: the question, the evidence in numbers, the change; and later how it ended."""

from __future__ import annotations

from typing import Final

from promptship.numbers import duration, moment, plural, short
from promptship.ports import Card
from promptship.prompts.model import RiskClass
from promptship.release.history import Release
from promptship.release.phase import Phase
from promptship.render.costs import cost_and_latency
from promptship.render.facts import PHASE_WORDS, freeze_words
from promptship.render.policy import policy_words
from promptship.render.redact import redact
from promptship.render.suite import suite_lines
from promptship.render.table import aligned, clipped
from promptship.render.verdict import HEADER, headline, verdict_from, verdict_rows

FENCE: Final = "```"
"""Lines between two of these are a table in fixed width."""

_QUESTIONS: Final = {
    "promote": "Promote {prompt}?",
    "undecided": "{prompt}: the canary cannot tell. Promote anyway?",
    "first": "Release the first version of {prompt}?",
    "traffic": "{prompt}: high risk. Let its canary begin?",
    "unproven": "Promote {prompt} without an experiment?",
}
_NO_CANARY: Final = {
    "traffic": "it has not begun",
    "unproven": "the plan allows no experiment",
}
_REASON_LENGTH_MAX: Final = 600


def approval_card(release: Release, *, diff: str = "", url: str = "", chart: str = "") -> Card:
    """The card that asks. `diff`: word diff of the prompt, Markdown or plain; `url`: the release's page; `chart`: an SVG.

    It carries the seq of the approval request, so that a click on a card from before the last request is recognised.
    """
    question = _QUESTIONS.get(release.question or "promote", _QUESTIONS["promote"])
    return _card(
        release, title=question.format(prompt=release.prompt), diff=diff, ask=True, url=url, chart=chart
    )


def outcome_card(release: Release, *, url: str = "") -> Card:
    """The card once nothing is left to decide: the same evidence, and how it ended instead of buttons."""
    words = PHASE_WORDS[release.phase]
    return _card(
        release, title=f"{release.prompt}: {words}", diff="", ask=False, outcome=_outcome(release), url=url
    )


def _card(
    release: Release, *, title: str, diff: str, ask: bool, outcome: str = "", url: str = "", chart: str = ""
) -> Card:
    return Card(
        release_id=release.id,
        seq=release.question_seq,
        title=redact(clipped(title, 140)),
        lines=tuple(redact(line) for line in _lines(release)),
        diff=redact(diff),
        ask=ask,
        # The first version has nothing before it to go back to.
        undo=release.phase is Phase.PROMOTED and release.stable is not None,
        outcome=redact(outcome),
        url=url,
        chart=chart,
    )


def _lines(release: Release) -> list[str]:
    lines = [
        _field(
            "Change", f"{short(release.stable)} → {short(release.version)}, commit {short(release.commit)}"
        ),
        _field("Author", release.author),
    ]
    if release.risk != RiskClass.LOW:
        lines.append(_field("Risk", release.risk))
    if release.plan is not None and (words := policy_words(release.plan.experiment)):
        lines.append(_field("Experiment", words))
    lines += [_field("Suite", line) for line in suite_lines(release.suite_verdict)]
    lines += _canary(release)
    cost, latency = cost_and_latency(release)
    lines += [_field("Cost per answer", cost), _field("Latency", latency)]
    if release.phase is Phase.AWAITING_APPROVAL:
        lines += _asks(release)
    if release.freeze is not None and release.is_open:
        lines.append(_field("Frozen", freeze_words(release.freeze)))
    if release.approvers:
        lines.append(_field("Approved by", ", ".join(release.approvers)))
    lines.append(_field("Release", release.id))
    return lines


def _canary(release: Release) -> list[str]:
    verdict = verdict_from(release.last_look.verdict) if release.last_look else None
    if verdict is None or release.last_look is None:
        why = _NO_CANARY.get(release.question or "", "no stable version to compare with, or no look yet")
        return [_field("Canary", f"none: {why}")]
    where = f"stage {verdict.stage + 1}, look {verdict.look}, {moment(release.last_look.as_of)}"
    return [
        _field("Canary", f"{where}: {headline(verdict)}"),
        FENCE,
        *aligned([HEADER, *verdict_rows(verdict)]),
        FENCE,
    ]


def _asks(release: Release) -> list[str]:
    given = f", {len(release.approvers)} given" if release.approvers else ""
    lines = [
        _field("Asked because", release.reason) if release.reason else "",
        _field("Needs", f"{plural(release.required, 'approver')}{given}"),
        _field("Expires", f"{moment(release.expires_at)}, then it is {_expires_into(release)}")
        if release.expires_at
        else "",
    ]
    return [line for line in lines if line]


def _expires_into(release: Release) -> str:
    into = release.plan.approval.expires_into if release.plan is not None else "rollback"
    return "cancelled" if into == "cancel" else "rolled back"


def _outcome(release: Release) -> str:
    """`Rolled back after 2 h 10 min: escalated ...`."""
    after = ""
    if release.ended_at is not None:
        after = f" after {duration((release.ended_at - release.opened_at).total_seconds())}"
    agreed = release.phase in {Phase.APPROVED, Phase.PROMOTED} and release.approvers
    who = f" by {', '.join(release.approvers)}" if agreed else ""
    because = (
        f": {clipped(release.reason, _REASON_LENGTH_MAX)}" if release.reason and not release.is_open else ""
    )
    return f"{PHASE_WORDS[release.phase].capitalize()}{who}{after}{because}"


def _field(name: str, value: str) -> str:
    """A Markdown line. What others wrote is kept from changing its look or forging a line of ours."""
    text = clipped(value, _REASON_LENGTH_MAX)
    return f"**{name}:** " + text.replace("*", "∗").replace("`", "'")  # noqa: RUF001 - an asterisk that formats nothing
