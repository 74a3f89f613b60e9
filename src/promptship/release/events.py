"""What can happen to a release. The history is a fold over these; the ledger keeps them hash-chained."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    model_serializer,
)

from promptship.release.phase import Phase

_OF_A_GROUP: Final = frozenset({"together", "along_with"})


class _Event(BaseModel):
    # An infinite e-value is a fact; pydantic's default would write it down as null: "not measured".
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class _MayBeGrouped(_Event):
    """An event that is older than groups: without one it is written, and hashed, as it always was."""

    @model_serializer(mode="wrap")
    def _without_group(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        return {key: value for key, value in written.items() if value or key not in _OF_A_GROUP}


class Requested(_MayBeGrouped):
    """A push (or `promptship release`) asked for this prompt at this commit."""

    kind: Literal["requested"] = "requested"
    prompt: str
    path: str
    commit: str
    author: str
    """Commit author's e-mail, lower case: compared with approvers when the plan says `not_author`."""
    reason: str = ""
    together: tuple[str, ...] = ()
    """The other prompts of its group at this commit: what of them is not served yet goes together with it, or nothing does."""


class Linted(_Event):
    """Lint found nothing blocking. Carries the version it looked at and the plan in force from here on."""

    kind: Literal["linted"] = "linted"
    version: str
    findings: tuple[dict[str, Any], ...] = ()
    plan: dict[str, Any]
    risk: str = "low"
    """`low`, `medium` or `high`: the higher of what the prompt's file says now and at the stable version."""


class Evaluated(_Event):
    """Suites passed. `stable` is the digest compared with, None for a first version; `verdict` as rendered by evals."""

    kind: Literal["evaluated"] = "evaluated"
    stable: str | None
    verdict: dict[str, Any]


class Rejected(_Event):
    """Stopped before traffic by lint or by a suite."""

    kind: Literal["rejected"] = "rejected"
    by: Literal["lint", "regression"]
    reason: str
    findings: tuple[dict[str, Any], ...] = ()
    verdict: dict[str, Any] | None = None


class Joined(_Event):
    """All releases of the group have passed their suites: from here on they move together, and end together."""

    kind: Literal["joined"] = "joined"
    releases: tuple[str, ...]
    """Ids of all of them, this one too, in order. The first is the salt of their canary: a unit is in all of them or in none."""


class StageStarted(_Event):
    """The candidate has `share` of the traffic from `at` on."""

    kind: Literal["stage_started"] = "stage_started"
    stage: int
    share: float
    salt: str
    stable: str


class Looked(_Event):
    """One look: what was counted (cumulative within the stage), the e-processes after it, and the verdict."""

    kind: Literal["looked"] = "looked"
    stage: int
    look: int
    as_of: datetime
    state: dict[str, Any]
    """State of the e-processes, opaque here (`promptship.canary.state`)."""
    verdict: dict[str, Any]
    given: dict[str, Any] | None = None
    """What the look was given, so that it can be taken again: `counts`, `problems` of the telemetry, and on the release's first look
    `baseline`, stable's history (`promptship.canary.evidence`). None: written before this was kept."""


class ApprovalRequested(_Event):
    """A person is asked; yeses to an earlier question no longer count.

    `question`: `promote` when the evidence is good, `undecided` at a stage's cap, `first` without a stable, `traffic` before the
    first stage of a high risk, `unproven` where no experiment is allowed.
    """

    kind: Literal["approval_requested"] = "approval_requested"
    question: Literal["promote", "undecided", "first", "traffic", "unproven"]
    required: int
    expires_at: datetime
    reason: str


class ApprovalAsked(_Event):
    """The question was delivered outside, for example as a Slack message."""

    kind: Literal["approval_asked"] = "approval_asked"
    channel: str
    reference: str
    """Where the message stands, to edit it later: Slack's `channel:ts`."""


class Escalated(_Event):
    """Nobody had decided for the configured working time: others were told, too."""

    kind: Literal["escalated"] = "escalated"
    to: tuple[str, ...]
    """Slack channels or user ids."""


class ApprovalGiven(_Event):
    """One approver said yes. The release is approved when enough different ones did (`approved`)."""

    kind: Literal["approval_given"] = "approval_given"
    approver: str
    reason: str
    via: str


class ApprovalRefused(_Event):
    """A decision that did not count: unknown approver, old card, author, forged. Kept for the audit; changes nothing."""

    kind: Literal["approval_refused"] = "approval_refused"
    who: str
    why: str
    via: str


class Approved(_Event):
    """Enough approvers agreed, or the plan asks for none."""

    kind: Literal["approved"] = "approved"
    approvers: tuple[str, ...]


class Promoted(_Event):
    """The candidate is stable now. `previous` is what `promptship rollback` returns to."""

    kind: Literal["promoted"] = "promoted"
    version: str
    previous: str | None


class RolledBack(_MayBeGrouped):
    """Stable serves everything again. `by`: guardrail, approver (reject), person (`promptship rollback`), expiry."""

    kind: Literal["rolled_back"] = "rolled_back"
    by: Literal["guardrail", "approver", "person", "expiry"]
    reason: str
    version: str | None
    """Digest that serves now."""
    verdict: dict[str, Any] | None = None
    along_with: str = ""
    """Release of its group whose rollback this one follows; empty: its own."""


class Superseded(_Event):
    """A newer release of the prompt replaced it before any traffic."""

    kind: Literal["superseded"] = "superseded"
    by_release: str


class Cancelled(_MayBeGrouped):
    """Stopped by a person, or by a newer push when the plan says so. Traffic was given back in the same transaction."""

    kind: Literal["cancelled"] = "cancelled"
    reason: str
    along_with: str = ""
    """Release of its group whose end this one follows; empty: none. It has no verdict of its own then."""


class Failed(_Event):
    """Could not be judged in time. `stable` goes on serving."""

    kind: Literal["failed"] = "failed"
    reason: str


class Stumbled(_Event):
    """A step did not work this time and will be tried again; the phase does not change."""

    kind: Literal["stumbled"] = "stumbled"
    step: str
    reason: str


class Paused(_Event):
    """Somebody stopped the clock: until `Resumed` nothing advances, is asked, promoted or expires. Guardrails still roll back."""

    kind: Literal["paused"] = "paused"
    reason: str = ""


class Resumed(_Event):
    """It goes on where it stood; a deadline that was running has moved by the time it stood still."""

    kind: Literal["resumed"] = "resumed"
    reason: str = ""


class Frozen(_Event):
    """A freeze keeps it from getting more traffic. It stands where it is, and goes on by itself afterwards."""

    kind: Literal["frozen"] = "frozen"
    reason: str
    """Which freeze, and why there is one."""
    until: datetime | None
    """None: until somebody ends the freeze."""


class FreezeOverridden(_Event):
    """An approver let this release go on in freezes, those of now and later ones."""

    kind: Literal["freeze_overridden"] = "freeze_overridden"
    approver: str
    reason: str


class Concluded(_Event):
    """The ending was told (cards edited, channels told, report shown); nothing is left to do."""

    kind: Literal["concluded"] = "concluded"


Fact = Annotated[
    Requested
    | Linted
    | Evaluated
    | Rejected
    | Joined
    | StageStarted
    | Looked
    | ApprovalRequested
    | ApprovalAsked
    | Escalated
    | ApprovalGiven
    | ApprovalRefused
    | Approved
    | Promoted
    | RolledBack
    | Superseded
    | Cancelled
    | Failed
    | Stumbled
    | Paused
    | Resumed
    | Frozen
    | FreezeOverridden
    | Concluded,
    Field(discriminator="kind"),
]
FACT: TypeAdapter[Fact] = TypeAdapter(Fact)
"""Parses and dumps any fact: `FACT.validate_python(payload)`, `fact.model_dump(mode="json")`."""

PHASE_AFTER: dict[str, Phase | None] = {
    "requested": Phase.REQUESTED,
    "linted": Phase.LINTED,
    "evaluated": Phase.EVALUATED,
    "rejected": Phase.REJECTED,
    "joined": None,
    "stage_started": Phase.CANARY,
    "looked": None,
    "approval_requested": Phase.AWAITING_APPROVAL,
    "approval_asked": None,
    "escalated": None,
    "approval_given": None,
    "approval_refused": None,
    "approved": Phase.APPROVED,
    "promoted": Phase.PROMOTED,
    "rolled_back": Phase.ROLLED_BACK,
    "superseded": Phase.SUPERSEDED,
    "cancelled": Phase.CANCELLED,
    "failed": Phase.FAILED,
    "stumbled": None,
    "paused": None,
    "resumed": None,
    "frozen": None,
    "freeze_overridden": None,
    "concluded": None,
}
"""Phase a fact leads to; None: it stays where it is."""


class Event(BaseModel):
    """A fact as the ledger keeps it: who, when, and where in the release's hash chain.

    `hash` = sha256 of the canonical JSON of [release_id, seq, at, actor, fact, prev]; `prev` is the hash of seq - 1 ("" for 0).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    release_id: str
    seq: int
    at: datetime
    actor: str
    """Who caused it: `push:<author>`, `flow`, `watcher`, `person:<name>`, `slack:<id>`."""
    fact: Fact
    prev: str
    hash: str
