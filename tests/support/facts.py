"""Facts to append, one builder a kind."""

import hashlib
from collections.abc import Callable
from typing import Any

from promptship.prompts.json_values import compact
from promptship.release import events as e
from promptship.release.phase import Phase
from promptship.release.plan import Plan
from promptship.routing.table import Version
from tests.support.ledger_stores import START, Store

PLAN = Plan().model_dump(mode="json")
AUTHOR = "mira@example.org"


def requested(prompt: str = "support-reply", commit: str = "c0ffee") -> e.Requested:
    return e.Requested(prompt=prompt, path=f"prompts/{prompt}.yaml", commit=commit, author=AUTHOR)


def looked(look: int = 1, state: dict[str, Any] | None = None) -> e.Looked:
    return e.Looked(
        stage=0, look=look, as_of=START, state=state or {}, verdict={"kind": "canary", "findings": []}
    )


FACTS: dict[str, Callable[[], e.Fact]] = {
    "requested": requested,
    "linted": lambda: e.Linted(version="d" * 64, plan=PLAN),
    "evaluated": lambda: e.Evaluated(stable="s" * 64, verdict={"delta": -0.01}),
    "rejected": lambda: e.Rejected(by="lint", reason="no owner"),
    "joined": lambda: e.Joined(releases=("r-one", "r-two")),
    "stage_started": lambda: e.StageStarted(stage=0, share=0.05, salt="salt", stable="s" * 64),
    "looked": looked,
    "approval_requested": lambda: e.ApprovalRequested(
        question="promote", required=1, expires_at=START, reason="all guardrails hold"
    ),
    "approval_asked": lambda: e.ApprovalAsked(channel="C1", reference="C1:1.2"),
    "frozen": lambda: e.Frozen(reason="holidays", until=START),
    "freeze_overridden": lambda: e.FreezeOverridden(approver="mira", reason="mends an outage"),
    "escalated": lambda: e.Escalated(to=("#leads",)),
    "approval_given": lambda: e.ApprovalGiven(approver="mira", reason="good", via="cli"),
    "approval_refused": lambda: e.ApprovalRefused(who="eve", why="not an approver", via="slack"),
    "approved": lambda: e.Approved(approvers=("mira",)),
    "promoted": lambda: e.Promoted(version="d" * 64, previous="s" * 64),
    "rolled_back": lambda: e.RolledBack(by="guardrail", reason="error_rate is worse", version="s" * 64),
    "superseded": lambda: e.Superseded(by_release="r-newer"),
    "cancelled": lambda: e.Cancelled(reason="not today"),
    "failed": lambda: e.Failed(reason="provider down"),
    "stumbled": lambda: e.Stumbled(step="lint", reason="git did not answer"),
    "paused": lambda: e.Paused(reason="freeze"),
    "resumed": lambda: e.Resumed(reason="thaw"),
    "concluded": e.Concluded,
}

PATHS: dict[Phase, tuple[str, ...]] = {
    Phase.REQUESTED: (),
    Phase.LINTED: ("linted",),
    Phase.EVALUATED: ("linted", "evaluated"),
    Phase.CANARY: ("linted", "evaluated", "stage_started"),
    Phase.AWAITING_APPROVAL: ("linted", "evaluated", "approval_requested"),
    Phase.APPROVED: ("linted", "evaluated", "approval_requested", "approved"),
    Phase.PROMOTED: ("linted", "evaluated", "approval_requested", "approved", "promoted"),
    Phase.ROLLED_BACK: ("linted", "evaluated", "stage_started", "rolled_back"),
    Phase.REJECTED: ("rejected",),
    Phase.SUPERSEDED: ("superseded",),
    Phase.CANCELLED: ("cancelled",),
    Phase.FAILED: ("failed",),
}
"""Kinds of facts that bring a requested release into a phase."""


def opened(store: Store, prompt: str = "support-reply", commit: str = "c0ffee") -> str:
    release_id, created = store.ledger.open_release(
        requested(prompt, commit), actor="push:mira", at=store.clock.now()
    )
    assert created
    return release_id


def bring(store: Store, release_id: str, phase: Phase) -> int:
    """Bring a requested release into a phase in one append; returns its seq."""
    facts = [FACTS[kind]() for kind in PATHS[phase]]
    store.ledger.append(release_id, facts, expected_seq=0, actor="flow", at=store.clock.now())
    return len(facts)


def version(letter: str = "s", commit: str = "c0ffee", **content: Any) -> Version:
    """A version under its true digest; another letter is another one."""
    content = {"messages": [], "model": letter, **content}
    return Version(
        digest=hashlib.sha256(compact(content).encode()).hexdigest(), commit=commit, content=content
    )
