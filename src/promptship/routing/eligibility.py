"""Who takes part in an experiment: one decision for gateways, clients and OFREP. Pure: the policy, and what a request says of itself.

It is made before the arm is drawn and without knowing it, so it thins out both arms alike and the sample ratio holds.
Attributes are looked at here and go no further: what is written down is the word of the decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from promptship.release.policy import CONSENT, Experiment, comparable

Attributes = Mapping[str, Any]
"""Name -> text, number, true or false; None and absent are the same: not known."""
NOTHING: Final[Attributes] = {}


class Decision(StrEnum):
    """Why a request is in the experiment or outside it; empty: there is none."""

    NONE = ""
    IN = "in"
    KILLED = "killed"
    """The kill switch is on: the safe version serves."""
    PINNED = "pinned"
    NO_UNIT = "no_unit"
    """The request names nobody."""
    LAPSED = "lapsed"
    """The lease of the canary has ended."""
    NOT_ALLOWED = "not_allowed"
    EXCLUDED = "excluded"
    UNKNOWN = "unknown"
    """It does not say what `exclude` asks for."""
    NO_CONSENT = "no_consent"
    OUTSIDE = "outside"
    """Of the segments."""
    NOT_DRAWN = "not_drawn"
    """Beyond the share of an experiment with several arms."""
    DROPPED = "dropped"
    """Its arm was dropped: the control's version serves it, uncounted."""


def eligible(policy: Experiment | None, attributes: Attributes) -> Decision:
    """`IN` exactly when the policy lets a request with these attributes take part; else the first reason why not.

    Texts are equal whatever their case. A value of another kind than the rule's (the text "true" where the rule has `true`)
    says nothing about it, as if it were absent.
    """
    if policy is None:
        return Decision.IN
    if not policy.allowed:
        return Decision.NOT_ALLOWED
    excluded = [_is_one_of(attributes.get(name), values) for name, values in policy.exclude.items()]
    if True in excluded:
        return Decision.EXCLUDED
    if policy.exclude_unknown and None in excluded:
        return Decision.UNKNOWN
    if policy.consent == "required" and attributes.get(CONSENT) is not True:
        return Decision.NO_CONSENT
    if not all(_is_one_of(attributes.get(name), values) for name, values in policy.segments.items()):
        return Decision.OUTSIDE
    return Decision.IN


def _is_one_of(value: Any, values: Sequence[Any]) -> bool | None:
    """None: the value is absent, or of no kind that the rule knows."""
    kind, said = comparable(value)
    wanted = [one for of, one in map(comparable, values) if of == kind]
    return said in wanted if wanted and kind else None
