"""Which version serves a call, in the gateway's words: a call that nothing may serve is an unknown model."""

from __future__ import annotations

from promptship.gateway.rejection import Rejection, unknown_model
from promptship.routing import choice
from promptship.routing.choice import Choice, Unserved
from promptship.routing.eligibility import NOTHING, Attributes
from promptship.routing.table import Route


def choose(
    route: Route | None, *, prompt: str, pin: str, unit: str, leased: bool, attributes: Attributes = NOTHING
) -> Choice | Rejection:
    """See `routing.choice.choose`."""
    chosen = choice.choose(route, prompt=prompt, pin=pin, unit=unit, leased=leased, attributes=attributes)
    return unknown_model(chosen.why) if isinstance(chosen, Unserved) else chosen


__all__ = ["Choice", "choose"]
