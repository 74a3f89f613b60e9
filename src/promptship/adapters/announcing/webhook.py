"""CloudEvents 1.0 (structured, JSON) to an address, signed as Standard Webhooks has it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import httpx
import orjson

from promptship.adapters.announcing.told import event_id, event_type, is_news, told_of
from promptship.adapters.standard_webhooks import signed
from promptship.errors import Refused, Unavailable
from promptship.release.events import Event, Fact
from promptship.release.history import Release
from promptship.settings.announcing import WebhookSettings

_CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"
_LATER: Final = frozenset({408, 425, 429})
"""Answers below 500 after which the same may be sent again."""


class Webhook:
    """One address. An event that comes again after a crash has the same `id` and `webhook-id`: receivers go by that.

    Args:
        settings: where to, and what of.
        secret: key of the signature; empty: unsigned.
        server_url: address of the control plane: the events' `source`.
    """

    def __init__(self, settings: WebhookSettings, *, secret: str, server_url: str) -> None:
        self.name = f"webhook:{settings.name}"
        self._settings = settings
        self._secret = secret
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
        if self._secret:
            headers |= signed(self._secret, event_id(event), body, at=datetime.now(UTC))
        try:
            answer = self._client.post(self._settings.url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"{self.name}: no answer ({type(error).__name__})") from error
        if answer.is_success:
            return
        said = f"{self.name} answered {answer.status_code}"
        if answer.is_server_error or answer.status_code in _LATER:
            after = answer.headers.get("Retry-After", "")
            raise Unavailable(said, retry_after_s=float(after) if after.isdecimal() else None)
        raise Refused(said)

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
