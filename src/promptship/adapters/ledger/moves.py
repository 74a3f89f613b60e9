"""What a ledger allows, whatever it is kept in: ids, phases, changes of a route. Pure; shared by SQL and memory."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

from pydantic import TypeAdapter, ValidationError

from promptship.errors import Conflict, IllegalTransition, NotFound
from promptship.ports import Append, RouteChange
from promptship.release.events import PHASE_AFTER, Fact, Requested, StageStarted
from promptship.release.phase import Phase, step
from promptship.release.policy import Experiment
from promptship.routing.split import BUCKETS
from promptship.routing.table import Part, Route, Split

WITHOUT_VERDICT: Final = frozenset({Phase.FAILED, Phase.CANCELLED, Phase.SUPERSEDED})
"""Ends that say nothing about the commit: it may be tried again."""
PREFIX_CHARACTERS_MIN = 6
"""Shortest prefix of a digest that names a version."""
ADOPTED = "adopted: it is what production served already"
"""Reason of a route that began without a release."""
NAMED_SAFE = "named as what the kill switch serves: {}"
KILLED, REVIVED = "kill switch on: {}", "kill switch off: {}"
_PARTS: Final = TypeAdapter(tuple[Part, ...])


def release_ids(prompt: str, commit: str, attempt: int) -> Iterator[str]:
    """Ids for the release of (prompt, commit), best first: `r-` and 10 base32 characters of their hash, longer ones if those are taken.

    Derived, not drawn: whoever announces the same push computes the same id. Later attempts end in `-2`, `-3`, ...
    """
    digest = hashlib.sha256(f"{prompt}\0{commit}".encode()).digest()
    letters = base64.b32encode(digest).decode().lower().rstrip("=")
    suffix = f"-{attempt}" if attempt > 1 else ""
    for length in (10, 20, len(letters)):
        yield f"r-{letters[:length]}{suffix}"


def wanted_id(release: str) -> str:
    """What somebody typed, as the beginning of an id: any case, with or without `r-`."""
    typed = release.strip().lower()
    return typed if typed.startswith("r-") else f"r-{typed}"


def the_one(what: str, typed: str, wanted: str, found: Sequence[str]) -> str:
    """The one of `found` that was meant: an exact hit, or the only one. Raises NotFound and names the candidates."""
    if wanted in found:
        return wanted
    if not found:
        raise NotFound(f"no {what} {typed}")
    if len(found) > 1:
        raise NotFound(f"{what} {typed} could be {', '.join(found)}: type more of it")
    return found[0]


def opening(fact: Fact) -> Requested:
    """The fact a release begins with. Raises IllegalTransition for any other."""
    if not isinstance(fact, Requested):
        raise IllegalTransition(f"a release begins with requested, not {fact.kind}")
    return fact


def phase_after(phase: Phase, facts: Sequence[Fact]) -> tuple[Phase, bool]:
    """Phase after the facts, and whether any of them moved it (a stage counts). Raises IllegalTransition."""
    moved = False
    for fact in facts:
        to = PHASE_AFTER[fact.kind]
        if to is not None:
            phase, moved = step(phase, to), True
    return phase, moved


def check_seq(release_id: str, *, seq: int, expected: int) -> None:
    """Raises Conflict unless the release still ends where the caller read it."""
    if seq != expected:
        raise Conflict(f"release {release_id} is at event {seq}, not {expected}: it moved on, read it again")


def check_revision(change: RouteChange, revision: int) -> None:
    """Raises Conflict unless the route (0: none) is still the one the change was decided on."""
    if revision != change.expected_revision:
        got = f"is at revision {revision}" if revision else "does not exist"
        raise Conflict(
            f"the route of {change.prompt} {got}, not {change.expected_revision}: it moved on, read it again"
        )


def check_distinct(appends: Sequence[Append]) -> None:
    """Raises IllegalTransition when a release or a route would be written twice: the second could not have read the first."""
    for what, names in (
        ("release", [one.release_id for one in appends]),
        ("route of", [one.route.prompt for one in appends if one.route is not None]),
    ):
        for name, times in Counter(names).items():
            if times > 1:
                raise IllegalTransition(f"{what} {name} occurs {times} times in one transaction")


def check_change(change: RouteChange, *, release_id: str, prompt: str, facts: Sequence[Fact]) -> None:
    """Raises IllegalTransition for a route change that its release could not explain."""
    problem = None
    if not facts:
        problem = "comes without an event that explains it"
    elif change.prompt != prompt:
        problem = f"is for {change.prompt}, the release is of {prompt}"
    elif change.candidate is None and (change.release_id is not None or change.stage is not None):
        problem = "names a release or a stage but no candidate"
    elif change.candidate is not None and (
        change.release_id != release_id or change.stage is None or not change.salt
    ):
        problem = "names a candidate without this release, a stage and a salt"
    elif change.experiment is not None or change.arms:
        problem = "names an experiment: that is none of a release's"
    elif change.held is not None and (change.candidate is None or change.candidate != change.stable):
        problem = "holds a version back without having made the candidate stable"
    elif not 0 <= change.share <= 1:
        problem = f"has share {change.share}; expected 0 to 1"
    if problem:
        raise IllegalTransition(f"release {release_id}: the route change {problem}")


def check_split(change: RouteChange, stable: str | None) -> None:
    """Raises IllegalTransition for a change without a release that is not only of what is randomised. `stable`: as it is now."""
    limits = [0, *(part.upto for part in change.arms)]
    problem = None
    if stable is None or change.stable != stable:
        problem = "would make another version stable: only a release does that"
    elif change.release_id is not None or change.candidate is not None or change.held is not None:
        problem = "names a release, a candidate or a held version: only a release does that"
    elif (change.experiment is None) != (not change.arms) or (
        change.experiment is not None and not change.salt
    ):
        problem = "names arms without an experiment and its salt, or an experiment without arms"
    elif not 0 <= change.share <= 1:
        problem = f"has share {change.share}; expected 0 to 1"
    elif change.arms and (
        len(change.arms) == 1 or limits[-1] != BUCKETS or any(a >= b for a, b in pairwise(limits))
        or change.arms[0].dropped
    ):  # fmt: skip
        problem = (
            f"has arms that end at {limits[1:]}; expected two or more, growing to {BUCKETS}, with a control"
        )
    if problem:
        raise IllegalTransition(f"the route change of {change.prompt} {problem}")


def named(change: RouteChange) -> tuple[str, ...]:
    """Every version that a route would name after the change."""
    versions = (change.stable, change.candidate, change.held, *(part.version for part in change.arms))
    return tuple(one for one in versions if one is not None)


def check_versions(change: RouteChange, known: Sequence[str]) -> None:
    """Raises NotFound when the route would name a version whose content nobody kept."""
    for digest in named(change):
        if digest not in known:
            raise NotFound(
                f"no version {digest} in the ledger: keep it before a route of {change.prompt} names it"
            )


def reason_of(facts: Sequence[Fact]) -> str:
    """The facts' reason in one line, as the history of a route shows it: that of the last one that moved the release."""
    fact = next((fact for fact in reversed(facts) if PHASE_AFTER[fact.kind] is not None), facts[-1])
    if isinstance(fact, StageStarted):
        return f"stage {fact.stage + 1}: {100 * fact.share:g} % of the traffic"
    reason = str(getattr(fact, "reason", ""))
    words = fact.kind.replace("_", " ")
    return f"{words}: {reason}" if reason else words


def route_of(
    *, prompt: str, revision: int, stable: str | None, stable_commit: str, release_id: str | None, candidate: str | None,
    stage: int | None, share: float, salt: str, lease_until: datetime | None, policy: str | None, killed: str | None,
    safe: str | None, held: str | None, experiment: str | None, arms: str | None,  # noqa: ARG001 - the safe version does not serve
    now: datetime,
) -> Route:  # fmt: skip
    """The route as it is kept: the lease becomes the seconds that are left of it now, 0 once it has lapsed.

    A policy or arms that cannot be read (a newer program wrote them) leave nothing randomised: nobody gets a version by rules that
    are not known.
    """
    split = None
    readable, rules = _policy(policy)
    if readable and experiment is not None:
        release_id, candidate, stage = experiment, "", 0
    parts = parts_of(arms)
    if (
        candidate is not None
        and release_id is not None
        and stage is not None
        and readable
        and parts is not None
    ):
        left_s = (lease_until - now).total_seconds() if lease_until is not None else 0.0
        split = Split(
            release_id=release_id, candidate=candidate, stage=stage, share=share, salt=salt, lease_s=max(0.0, left_s),
            policy=rules, held=held, arms=parts,
        )  # fmt: skip
    return Route(
        prompt=prompt, revision=revision, stable=stable, commit=stable_commit, split=split, killed=killed
    )


def policy_text(policy: Experiment | None) -> str | None:
    """A policy as it is kept."""
    return None if policy is None else policy.model_dump_json()


def arms_text(arms: Sequence[Part]) -> str | None:
    """Arms as they are kept."""
    return _PARTS.dump_json(tuple(arms)).decode() if arms else None


def parts_of(text: str | None) -> tuple[Part, ...] | None:
    """What `arms_text` made; None: it cannot be read."""
    if text is None:
        return ()
    try:
        return _PARTS.validate_json(text)
    except ValidationError:
        return None


def _policy(text: str | None) -> tuple[bool, Experiment | None]:
    """Whether it can be read, and the policy."""
    if text is None:
        return True, None
    try:
        return True, Experiment.model_validate_json(text)
    except ValidationError:
        return False, None
