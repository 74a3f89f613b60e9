"""What one event says, in one line: the timeline of a release in terminal and dashboard."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from promptship.numbers import moment, percent, plural, short
from promptship.release import events as e
from promptship.release.phase import Phase
from promptship.release.policy import Experiment
from promptship.render.policy import policy_words
from promptship.render.suite import suite_lines
from promptship.render.table import one_line
from promptship.render.verdict import SAYS, brief, verdict_from

PHASE_WORDS: Final = {phase: phase.value.replace("_", " ") for phase in Phase}


def fact_line(fact: e.Fact) -> str:
    """What happened, with the numbers or the reason it carries."""
    return one_line(_said(fact))


def _said(fact: e.Fact) -> str:  # one arm per kind of fact
    match fact:
        case e.Requested(prompt=prompt, commit=commit, author=author, reason=reason):
            return f"requested: {prompt} at {short(commit)} by {author}" + _because(reason)
        case e.Linted(version=version, findings=findings):
            return f"linted: version {short(version)}, {plural(len(findings), 'note')}" + _terms(fact)
        case e.Evaluated(verdict=verdict):
            return "evaluated: " + " | ".join(suite_lines(verdict))
        case e.Rejected(by=by, reason=reason):
            return f"rejected by {by}: {reason}"
        case e.Joined(releases=releases):
            return "goes together with " + ", ".join(one for one in releases if one) + " from here on"
        case e.StageStarted(stage=stage, share=share):
            return f"stage {stage + 1} started: {percent(share)} of traffic"
        case e.Looked():
            return _looked(fact)
        case e.ApprovalRequested(question=question, required=required, expires_at=until, reason=reason):
            return f"approval requested ({question}): {plural(required, 'approver')} by {moment(until)}: {reason}"
        case e.ApprovalAsked(channel=channel):
            return f"asked in {channel}"
        case e.Escalated(to=to):
            return "nobody has decided; told " + ", ".join(to)
        case e.ApprovalGiven(approver=approver, via=via, reason=reason):
            return f"approved by {approver} via {via}" + _because(reason)
        case e.ApprovalRefused(who=who, why=why, via=via):
            return f"decision of {who} via {via} did not count: {why}"
        case e.Approved(approvers=approvers):
            return "approved by " + (", ".join(approvers) or "the plan, which asks nobody")
        case e.Promoted(version=version, previous=previous):
            return f"promoted: {short(version)} is stable" + (f", was {short(previous)}" if previous else "")
        case e.RolledBack(by=by, reason=reason, version=version):
            serves = f"{short(version)} serves everybody" if version else "nothing is served"
            return f"rolled back by {by}: {reason}; {serves}"
        case _:
            return _ended(fact)


def _ended(fact: e.Fact) -> str:
    match fact:
        case e.Superseded(by_release=newer):
            return f"superseded by {newer}"
        case e.Cancelled(reason=reason):
            return f"cancelled: {reason}"
        case e.Failed(reason=reason):
            return f"failed: {reason}"
        case e.Paused(reason=reason):
            return "paused: nothing advances until it is resumed" + _because(reason)
        case e.Resumed(reason=reason):
            return "resumed" + _because(reason)
        case e.Frozen():
            return freeze_words(fact)
        case e.FreezeOverridden(approver=approver, reason=reason):
            return f"{approver} let it go on in freezes" + _because(reason)
        case e.Stumbled(step=step, reason=reason):
            return f"waiting in {step}: {reason}"
        case _:
            return fact.kind.replace("_", " ")


def freeze_words(freeze: e.Frozen) -> str:
    """`no more traffic until 2027-01-07 08:00 UTC: freeze christmas: nobody is there`."""
    until = f"until {moment(freeze.until)}" if freeze.until is not None else "until the freeze is ended"
    return f"no more traffic {until}: {freeze.reason}"


def _looked(fact: e.Looked) -> str:
    verdict = verdict_from(fact.verdict)
    said = "unreadable verdict" if verdict is None else f"{SAYS[verdict.outcome]}: {brief(verdict)}"
    return f"look {fact.look} at stage {fact.stage + 1}: {said}"


def _terms(fact: e.Linted) -> str:
    """What is unusual about this release: its risk, and who may be in its experiment."""
    risk = f"; {fact.risk} risk" if fact.risk != "low" else ""
    try:
        words = policy_words(Experiment.model_validate(fact.plan.get("experiment", {})))
    except ValidationError:  # a newer program's
        words = "rules that cannot be read here"
    return risk + (f"; experiment: {words}" if words else "")


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""
