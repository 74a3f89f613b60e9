"""Who is told of what happens to releases, beside Slack."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from promptship.release.duration import Duration
from promptship.release.events import PHASE_AFTER
from promptship.settings.section import Section


class WebhookSettings(Section):
    """An address that is sent a CloudEvent for what happens to releases."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,59}$")]
    """Its place in the ledger's deliveries: under another name it is told anew, from then on."""
    url: Annotated[str, Field(pattern=r"^https?://\S+$")]
    secret_env: str = ""
    """Environment variable with the key that signs what is sent (Standard Webhooks: `whsec_` and base64, or any text); empty: unsigned."""
    events: tuple[str, ...] = ()
    """Kinds of events, such as `promoted`; empty: all but `looked`, of which there is one every few seconds."""
    prompts: tuple[str, ...] = ()
    """Prompts; empty: all."""
    timeout: Duration = 10.0
    """Deadline of one attempt."""

    @field_validator("events")
    @classmethod
    def _known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [kind for kind in kinds if kind not in PHASE_AFTER]
        if unknown:
            message = f"no such event: {', '.join(unknown)}; there are {', '.join(PHASE_AFTER)}"
            raise ValueError(message)
        return kinds
