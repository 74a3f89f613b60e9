"""Taking the looks of a release again, from nothing but its ledger: is every verdict what its numbers say, and every effect its verdict's?

A look is recomputed from the state that the look before it left in the ledger and from the counts it was given itself. The first begins
with stable's history. So if each one agrees, all of them follow from the counts, and where one does not, it is named. Numbers agree when
they do to 9 digits: processors differ in the last one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final

from pydantic import ValidationError

from promptship.canary.differences import DIGITS, Difference, Replay, differing
from promptship.canary.evidence import Baseline, Health, Outcome, StageCounts, Verdict
from promptship.canary.look import take_look
from promptship.canary.state import State
from promptship.errors import IllegalTransition
from promptship.lifecycle.app import App
from promptship.release import events as e
from promptship.release.history import Release, advance, fold
from promptship.release.phase import Phase

_ANY: Final = ("stage_started", "approval_requested", "approved")
FOLLOWS: Final[dict[Outcome, tuple[str, ...]]] = {
    Outcome.ROLL_BACK: ("rolled_back",),
    Outcome.ADVANCE: _ANY,
    Outcome.ASK: ("approval_requested",),
}
"""What comes right after a verdict with an effect, in the same transaction."""


@dataclass(slots=True)
class _Found:
    looks: int = 0
    equal: int = 0
    differences: list[Difference] = field(default_factory=list)
    unrecorded: list[int] = field(default_factory=list)


def replay(app: App, release_id: str, *, within: float = DIGITS) -> Replay:
    """Take every look of a release again; numbers agree when they do to `within`, 0 being bit by bit.

    Raises:
        NotFound: there is no such release.
    """
    history = app.ledger.events(release_id)
    found = _Found()
    for problem in app.ledger.verify(release_id).problems:
        found.differences.append(
            Difference(seq=-1, look=None, what="chain", recorded=problem, recomputed="an unbroken chain")
        )
    release = fold(history[:1])
    before: e.Event | None = None
    for event, after in zip_longest(history[1:], history[2:]):
        if isinstance(event.fact, e.Looked):
            _look(found, release, event, event.fact, within)
            found.differences += _effects(release, event, event.fact, after)
        found.differences += _causes(release, event, before)
        release, before = advance(release, event), event
    return Replay(
        release_id=release_id, prompt=release.prompt, looks=found.looks, equal=found.equal,
        differences=tuple(found.differences), unrecorded=tuple(found.unrecorded),
    )  # fmt: skip


def _look(found: _Found, release: Release, event: e.Event, looked: e.Looked, within: float) -> None:
    found.looks += 1
    if looked.given is None:
        found.unrecorded.append(looked.look)
        return
    try:
        state, verdict = _again(release, looked, looked.given)
        # What an older promptship did not write down yet has its default.
        told = Verdict.model_validate(looked.verdict), State.model_validate(looked.state)
    except (ValidationError, IllegalTransition) as error:
        found.differences.append(
            Difference(
                seq=event.seq, look=looked.look, what="look", recorded="counts or state that cannot be read",
                recomputed=str(error).splitlines()[0],
            )
        )  # fmt: skip
        return
    pairs = [
        *differing("verdict", _numbers(told[0]), _numbers(verdict), within=within),
        *differing("state", *(one.model_dump(mode="json") for one in (told[1], state)), within=within),
    ]
    found.differences += [
        Difference(seq=event.seq, look=looked.look, what=what, recorded=recorded, recomputed=recomputed)
        for what, recorded, recomputed in pairs
    ]
    found.equal += not pairs


def _numbers(verdict: Verdict) -> dict[str, Any]:
    """A verdict without its sentences: their wording may change from version to version, and they say nothing that is not in a number."""
    return verdict.model_dump(mode="json", exclude={"findings": {"__all__": {"because", "needs"}}})


def _again(release: Release, looked: e.Looked, given: dict[str, Any]) -> tuple[State, Verdict]:
    if release.plan is None or release.stage is None or release.stage_started_at is None:
        raise IllegalTransition("a look before the canary began")
    plan, last = release.plan.canary, release.last_look
    if last is None:
        state = State.fresh(plan, Baseline.model_validate(given.get("baseline", {})))
    else:
        state = State.model_validate(last.state)
    return take_look(
        plan, looked.stage, looked.look, state, StageCounts.model_validate(given.get("counts", {})),
        Health(problems=tuple(given.get("problems", ()))),
        elapsed_s=(looked.as_of - release.stage_started_at).total_seconds(),
    )  # fmt: skip


def _effects(
    release: Release, event: e.Event, looked: e.Looked, after: e.Event | None
) -> Iterator[Difference]:
    """A verdict that has an effect must be followed by it at once; while people decide, only a rollback has one."""
    try:
        outcome = Verdict.model_validate(looked.verdict).outcome
    except ValidationError:
        return  # said already: the recomputed one differs
    expected = FOLLOWS.get(outcome, ())
    if outcome is not Outcome.ROLL_BACK and (release.phase is not Phase.CANARY or release.group):
        return  # a group moves when all of it can, which the ledger of one release does not say
    kind = None if after is None else after.fact.kind
    if expected and kind not in expected:
        yield Difference(
            seq=event.seq, look=looked.look, what="effect", recorded=kind or "nothing",
            recomputed=f"{outcome.value}: {' or '.join(expected)}",
        )  # fmt: skip


def _causes(release: Release, event: e.Event, before: e.Event | None) -> Iterator[Difference]:
    """What only a verdict can cause must follow the look that says so."""
    match event.fact:
        case e.RolledBack(by="guardrail"):
            wanted = Outcome.ROLL_BACK
        case e.StageStarted(stage=stage) if stage > 0:
            wanted = Outcome.ADVANCE
        case e.ApprovalRequested(question="promote"):
            wanted = Outcome.ADVANCE
        case e.ApprovalRequested(question="undecided"):
            wanted = Outcome.ASK
        case _:
            return
    if release.group and not isinstance(event.fact, e.RolledBack):
        # Written by the look at another of its group: this one must have been ready for it, or the other one undecided.
        said = release.last_look.verdict if release.last_look is not None else {}
        if wanted is Outcome.ASK:
            return
    else:
        said = before.fact.verdict if before is not None and isinstance(before.fact, e.Looked) else {}
    try:
        outcome = Verdict.model_validate(said).outcome
    except ValidationError:
        outcome = None
    if outcome is not wanted:
        yield Difference(
            seq=event.seq, look=release.looks or None, what="effect", recorded=event.fact.kind,
            recomputed=f"{'no look' if outcome is None else outcome.value} before it, expected {wanted.value}",
        )  # fmt: skip
