"""The lifecycle of a release is this table; nothing moves except along it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from promptship.errors import IllegalTransition


class Phase(StrEnum):
    """Where a release stands. The comment says what is true while it stands there."""

    REQUESTED = "requested"  # opened by a push; nothing spent
    LINTED = "linted"  # no blocking finding
    EVALUATED = "evaluated"  # suites show no regression
    CANARY = "canary"  # candidate serves a share of traffic, watched
    AWAITING_APPROVAL = (
        "awaiting_approval"  # evidence is in; a person is asked; canary traffic stays, watched
    )
    APPROVED = "approved"  # enough approvers said yes
    PROMOTED = "promoted"  # candidate is the stable version
    ROLLED_BACK = "rolled_back"  # stable serves everything again
    REJECTED = "rejected"  # stopped by lint or suite before any traffic
    SUPERSEDED = "superseded"  # a newer push to the same prompt replaced it before any traffic
    CANCELLED = "cancelled"  # stopped by a person; any traffic was given back
    FAILED = "failed"  # could not be judged (for example: provider down past the deadline); never a verdict


_STOPS = frozenset({Phase.SUPERSEDED, Phase.CANCELLED, Phase.FAILED})

NEXT: Final[Mapping[Phase, frozenset[Phase]]] = {
    Phase.REQUESTED: frozenset({Phase.LINTED, Phase.REJECTED}) | _STOPS,
    Phase.LINTED: frozenset({Phase.EVALUATED, Phase.REJECTED}) | _STOPS,
    # A prompt's first version has no stable to be compared with: it goes to a person instead of a canary. So does a candidate
    # with which no experiment is allowed, and one of high risk before its canary.
    Phase.EVALUATED: frozenset({Phase.CANARY, Phase.AWAITING_APPROVAL}) | _STOPS,
    Phase.CANARY: frozenset(
        {Phase.CANARY, Phase.AWAITING_APPROVAL, Phase.APPROVED, Phase.ROLLED_BACK, Phase.CANCELLED}
    ),
    Phase.AWAITING_APPROVAL: frozenset({Phase.APPROVED, Phase.ROLLED_BACK, Phase.CANCELLED}),
    # To the canary from a yes that was asked for before any traffic: a high risk.
    Phase.APPROVED: frozenset({Phase.CANARY, Phase.PROMOTED, Phase.ROLLED_BACK, Phase.CANCELLED}),
    Phase.PROMOTED: frozenset({Phase.ROLLED_BACK}),
    Phase.ROLLED_BACK: frozenset(),
    Phase.REJECTED: frozenset(),
    Phase.SUPERSEDED: frozenset(),
    Phase.CANCELLED: frozenset(),
    Phase.FAILED: frozenset(),
}

BEFORE_TRAFFIC: Final = frozenset({Phase.REQUESTED, Phase.LINTED, Phase.EVALUATED})
OPEN: Final = BEFORE_TRAFFIC | {Phase.CANARY, Phase.AWAITING_APPROVAL, Phase.APPROVED}
"""Releases that are not over. A promoted release can still be rolled back, but nothing is waiting on it."""
WATCHED: Final = frozenset({Phase.CANARY, Phase.AWAITING_APPROVAL, Phase.APPROVED})
"""Phases in which a candidate may have traffic and therefore must be looked at."""


def step(current: Phase, to: Phase) -> Phase:
    """Return `to` when the table allows it.

    Raises:
        IllegalTransition: the table has no such edge; the message lists the allowed ones.
    """
    if to not in NEXT[current]:
        allowed = ", ".join(sorted(NEXT[current])) or "nothing: it has ended"
        message = f"a release that is {current} cannot become {to}; allowed next: {allowed}"
        raise IllegalTransition(message)
    return to
