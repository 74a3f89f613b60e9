"""CloudEvents 1.0 (structured, JSON) to an address, signed as Standard Webhooks has it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import httpx
import orjson

from promptship.adapters.announcing.posting import post
from promptship.adapters.announcing.told import event_id, event_type, is_news, told_of
from promptship.adapters.standard_webhooks import key_of, signed
from promptship.release.events import Event, Fact
from promptship.release.history import Release
from promptship.settings.announcing import WebhookSettings

_CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"


class Webhook:
    """One address. An event that comes again after a crash has the same `id` and `webhook-id`: receivers go by that.

    Args:
        settings: where to, and what of.
        secret: key of the signature, `whsec_` and base64 or any other text; empty: unsigned.
        server_url: address of the control plane: the events' `source`.
    """

    def __init__(self, settings: WebhookSettings, *, secret: str, server_url: str) -> None:
        self.name = f"webhook:{settings.name}"
        self._settings = settings
        self._key = key_of(secret, plain=True)
        self._server_url = server_url.rstrip("/")
        self._client = httpx.Client(timeout=settings.timeout, follow_redirects=False)

    def wants(self, fact: Fact) -> bool:
        """Kinds that the settings name."""
        return fact.kind in self._settings.events if self._settings.events else is_news(fact)

    def tell(self, event: Event, release: Release) -> None:
        """Send it. Raises Unavailable (5xx, 429, no answer) or Refused (any other answer but 2xx)."""
        if self._settings.prompts and release.prompt not in self._settings.prompts:
            return
        body = self._cloud_event(event, release)
        headers = {"content-type": _CONTENT_TYPE, "user-agent": "promptship"}
        if self._key:
            headers |= signed(self._key, event_id(event), body, at=datetime.now(UTC))
        post(self._client, self._settings.url, self.name, content=body, headers=headers)

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def _cloud_event(self, event: Event, release: Release) -> bytes:
        return orjson.dumps(
            {
                "specversion": "1.0",
                "id": event_id(event),
                "source": self._server_url,
                "type": event_type(event),
                "subject": release.prompt,
                "time": event.at.astimezone(UTC).isoformat(),
                "datacontenttype": "application/json",
                "data": told_of(event, release, server_url=self._server_url),
            }
        )
