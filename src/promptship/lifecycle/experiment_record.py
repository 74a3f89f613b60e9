"""What the journal tells of an experiment with several arms: a fold over its entries, so that CLI and watcher cannot disagree.

The journal says what was decided and why, the prompt's route what serves. Where a process died between the two, the watcher brings the
route to what the journal says; an experiment whose arms no longer serve is over.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

from promptship.errors import NotFound
from promptship.lifecycle.app import App
from promptship.lifecycle.race import rereading
from promptship.ports import Entry, RouteChange
from promptship.release.plan import Canary, Plan
from promptship.render.redact import redact
from promptship.routing.split import BUCKETS, limits
from promptship.routing.table import Part

TOPIC: Final = "experiment:"
CONTROL: Final = "control"
OPENED, APPROVED, REFUSED, BEGAN, GREW, LOOKED, STOPPED = (
    "opened", "approved", "approval_refused", "began", "grew", "looked", "stopped",
)  # fmt: skip
"""Kinds of entries. Nothing comes after `stopped`."""
_DECISIONS: Final = (OPENED, APPROVED, BEGAN, GREW, STOPPED)
LISTED_MAX: Final = 1000


class Status(StrEnum):
    """Where an experiment stands."""

    WAITING = "waiting"  # for approvers: the risk is high
    RUNNING = "running"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One arm as it was asked for."""

    name: str
    version: str
    """Digest."""
    commit: str
    weight: float


@dataclass(frozen=True, kw_only=True)
class ArmsExperiment:
    """An experiment as its entries tell it. `seq` is the last entry's number: the version for compare-and-set."""

    id: str
    prompt: str
    arms: tuple[Arm, ...]
    """The control first."""
    share: float
    metrics: tuple[str, ...]
    """Measured, guardrails first."""
    plan: Plan
    """The prompt's, as it stood at the stable version's commit when the experiment was opened."""
    risk: str
    required: int
    """Approvers that have to agree before any traffic; 0: none."""
    opened_at: datetime
    opened_by: str
    lasts_s: float | None
    """How long it runs at most; None: until it is stopped."""
    seq: int = 0
    approvers: tuple[str, ...] = ()
    began_at: datetime | None = None
    stopped_at: datetime | None = None
    reason: str = ""
    """Why it was stopped."""
    dropped: Mapping[str, str] = field(default_factory=dict)
    """Arm -> why."""
    looks: tuple[Mapping[str, Any], ...] = ()
    """Data of its looks, in order; only the last where it was read for a look."""

    @property
    def status(self) -> Status:
        """Where it stands."""
        if self.stopped_at is not None:
            return Status.STOPPED
        return Status.WAITING if self.began_at is None else Status.RUNNING

    @property
    def canary(self) -> Canary:
        """Guardrails, alpha and lease."""
        return self.plan.canary

    @property
    def control(self) -> Arm:
        """What the others are compared with."""
        return self.arms[0]

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The arms as the route has them."""
        ends = limits([arm.weight for arm in self.arms])
        return tuple(
            Part(name=arm.name, version=arm.version, upto=end, dropped=arm.name in self.dropped)
            for arm, end in zip(self.arms, ends, strict=True)
        )

    @property
    def fractions(self) -> tuple[float, ...]:
        """Each arm's part of those who take part, 0..1."""
        ends = [0, *(part.upto for part in self.parts)]
        return tuple((end - start) / BUCKETS for start, end in pairwise(ends))

    @property
    def live(self) -> tuple[int, ...]:
        """Numbers of the arms that were not dropped."""
        return tuple(number for number, arm in enumerate(self.arms) if arm.name not in self.dropped)


def new_id(prompt: str, arms: Sequence[Arm], at: datetime) -> str:
    """`x-` and 10 base32 characters: the salt of its split, so that no two experiments divide the units alike."""
    told = "\0".join([prompt, at.isoformat(), *(f"{arm.name}={arm.version}:{arm.weight!r}" for arm in arms)])
    return f"x-{base64.b32encode(hashlib.sha256(told.encode()).digest()).decode().lower()[:10]}"


def fold(entries: Sequence[Entry]) -> ArmsExperiment:
    """The experiment that these entries tell, in order.

    Raises:
        NotFound: no entry, or the first is not its opening.
    """
    found: ArmsExperiment | None = None
    for entry in entries:
        found = _opened(entry) if found is None else _after(found, entry)
    if found is None:
        raise NotFound("no such experiment: the journal has no entry of it")
    return found


def _opened(entry: Entry) -> ArmsExperiment:
    if entry.kind != OPENED:
        raise NotFound(
            f"journal {entry.topic} does not begin with an opened experiment but with {entry.kind}"
        )
    data = dict(entry.data)
    arms = tuple(Arm(**arm) for arm in data.pop("arms"))
    return ArmsExperiment(
        id=entry.topic.removeprefix(TOPIC), arms=arms, metrics=tuple(data.pop("metrics")),
        plan=Plan.model_validate(data.pop("plan")), opened_at=entry.at, opened_by=entry.actor, seq=entry.seq, **data,
    )  # fmt: skip


def _after(before: ArmsExperiment, entry: Entry) -> ArmsExperiment:
    data = entry.data
    changed: dict[str, Any] = {}
    match entry.kind:
        case "approved":
            changed = {"approvers": (*before.approvers, data["approver"])}
        case "began":
            changed = {"began_at": entry.at}
        case "grew":
            changed = {"share": data["share"]}
        case "looked":
            changed = {"looks": (*before.looks, data), "dropped": data["dropped"]}
        case "stopped":
            changed = {"stopped_at": entry.at, "reason": data["reason"]}
    return replace(before, **changed, seq=entry.seq)


def read(app: App, experiment_id: str) -> ArmsExperiment:
    """An experiment with all of its looks. Raises NotFound."""
    return fold(app.journal.entries(f"{TOPIC}{experiment_id}"))


def keep(app: App, found: ArmsExperiment, kind: str, data: Mapping[str, Any], *, actor: str) -> None:
    """Append an entry to an experiment exactly as it was read. Raises Conflict when it has moved since."""
    app.journal.keep(
        f"{TOPIC}{found.id}", kind, data, actor=actor, at=app.clock.now(), expected_seq=found.seq
    )


def find(app: App, typed: str) -> ArmsExperiment:
    """The experiment with this id, or beginning of one; of a prompt's name its newest.

    Raises:
        NotFound: there is none, or more than one begins like this.
    """
    wanted = typed.strip()
    ids = [topic.removeprefix(TOPIC) for topic in app.journal.topics(TOPIC, limit=LISTED_MAX)]
    exact = [one for one in ids if one == wanted]
    begun = exact or [one for one in ids if wanted.startswith("x-") and one.startswith(wanted)]
    if len(begun) == 1:
        return read(app, begun[0])
    if begun:
        raise NotFound(f"experiment {typed} could be {', '.join(begun[:5])}: type more of it")
    of_prompt = [one for one in listed(app) if one.prompt == wanted]
    if not of_prompt:
        raise NotFound(
            f"no experiment {typed}, and none of a prompt of that name (see `promptship experiment list`)"
        )
    return read(app, max(of_prompt, key=lambda one: one.opened_at).id)


def listed(app: App, *, prompt: str = "", limit: int = LISTED_MAX) -> list[ArmsExperiment]:
    """Experiments without their looks but the last, the one that was written last first."""
    found = []
    for topic in app.journal.topics(TOPIC, limit=limit):
        one = summary(app, topic.removeprefix(TOPIC))
        if prompt in {"", one.prompt}:
            found.append(one)
    return found


def summary(app: App, experiment_id: str) -> ArmsExperiment:
    """An experiment without its looks but the last: what was decided is all there. Raises NotFound."""
    topic = f"{TOPIC}{experiment_id}"
    # The end first: whoever writes after what was read later was added finds out by it.
    last = app.journal.entries(topic, limit=1)
    told = [entry for kind in _DECISIONS for entry in app.journal.entries(topic, kind=kind)]
    told += app.journal.entries(topic, kind=LOOKED, limit=1)
    found = fold(sorted(told, key=lambda entry: entry.seq))
    return replace(found, seq=last[0].seq)


def is_over(app: App, topic: str) -> bool:
    """Whether the experiment of this topic was stopped; cheap."""
    last = app.journal.entries(topic, limit=1)
    return bool(last) and last[0].kind == STOPPED


def open_of(app: App, prompt: str) -> ArmsExperiment | None:
    """The experiment of a prompt that waits or runs."""
    for topic in app.journal.topics(TOPIC, limit=LISTED_MAX):
        if not is_over(app, topic):
            found = summary(app, topic.removeprefix(TOPIC))
            if found.prompt == prompt:
                return found
    return None


def stopped(app: App, experiment_id: str, *, actor: str, reason: str) -> None:
    """Write down that it has stopped, whatever else is written meanwhile; nothing happens if it is over already."""

    @rereading
    def written() -> None:
        found = summary(app, experiment_id)
        if found.status is not Status.STOPPED:
            keep(app, found, STOPPED, {"reason": redact(reason)}, actor=actor)

    with suppress(NotFound):
        written()


@rereading
def take_back(app: App, prompt: str, *, actor: str, reason: str) -> str | None:
    """End the experiment or holdback that runs on a prompt: everybody gets what is stable. Returns its id (of a holdback the release's).

    None: neither runs. The route changes first; what follows is mended by the watcher if this process dies.
    """
    route = app.routes.get(prompt)
    if route is None or route.split is None or route.split.is_canary:
        return None
    split, said = route.split, redact(reason)
    change = RouteChange(
        prompt=prompt, expected_revision=route.revision, stable=route.stable, commit=route.commit
    )
    what = "experiment" if split.arms else "holdback"
    app.routes.randomise(
        change, actor=actor, at=app.clock.now(), reason=f"{what} {split.release_id} ended: {said}"
    )
    if split.arms:
        stopped(app, split.release_id, actor=actor, reason=said)
    return split.release_id
