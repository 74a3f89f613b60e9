"""An event of a release as somebody outside is told of it. Pure.

Told is what happened and where the release stands: no prompt, no answer, no state of the statistics. The ledger has the rest.
"""

from __future__ import annotations

from typing import Any, Final

from promptship.release.events import Event, Fact, Looked
from promptship.release.history import Release
from promptship.render.redact import redact_data

TYPE_PREFIX: Final = "promptship.release."
_HEAVY: Final = frozenset({"kind", "state", "given", "plan", "findings", "verdict", "salt"})
"""Of a fact: what is long, or of no use outside."""


def event_type(event: Event) -> str:
    """`promptship.release.promoted`."""
    return TYPE_PREFIX + event.fact.kind


def event_id(event: Event) -> str:
    """The same event has the same id, however often it is told."""
    return f"{event.release_id}:{event.seq}"


def is_news(fact: Fact) -> bool:
    """Everything but looks, of which there is one every few seconds."""
    return not isinstance(fact, Looked)


def told_of(event: Event, release: Release, *, server_url: str) -> dict[str, Any]:
    """The event's data: the release as it stands now, and what was said in the event."""
    said = event.fact.model_dump(mode="json")
    data: dict[str, Any] = {
        "release": release.id,
        "prompt": release.prompt,
        "commit": release.commit,
        "version": release.version,
        "phase": release.phase.value,
        "stage": release.stage,
        "share": release.share,
        "seq": event.seq,
        "actor": event.actor,
        "event": {key: value for key, value in said.items() if key not in _HEAVY},
        "url": f"{server_url}/releases/{release.id}",
    }
    told: dict[str, Any] = redact_data(data)
    return told
