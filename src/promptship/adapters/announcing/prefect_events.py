"""What happens to releases as events of Prefect, so that teams hang their automations on them; over HTTP, without importing Prefect."""

from __future__ import annotations

from datetime import UTC
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import httpx

from promptship.adapters.announcing.posting import LATER, MENDED, post
from promptship.adapters.announcing.told import event_id, event_type, is_news, told_of
from promptship.adapters.hooks import is_loopback
from promptship.adapters.prefect_api import credentials
from promptship.release.events import Event, Fact
from promptship.release.history import Release

TIMEOUT_S: Final = 10.0


class PrefectEvents:
    """Resource `promptship.release.<id>`, related to `promptship.prompt.<name>`; the same event has the same id.

    Args:
        api_url: Prefect's, with `/api`.
        server_url: address of the control plane.
        auth: `user:password`; None: from PREFECT_API_AUTH_STRING.
    """

    name: Final = "prefect"

    def __init__(self, api_url: str, *, server_url: str, auth: str | None = None) -> None:
        self._url = f"{api_url.rstrip('/')}/events"
        self._server_url = server_url
        self._client = httpx.Client(
            headers=credentials(auth), timeout=TIMEOUT_S, trust_env=not is_loopback(api_url)
        )

    def wants(self, fact: Fact) -> bool:
        """Everything but looks."""
        return is_news(fact)

    def tell(self, event: Event, release: Release) -> None:
        """Emit it. Raises Unavailable, or Refused when Prefect does not take it."""
        told = [self._event(event, release)]
        post(self._client, self._url, "Prefect's events", later=LATER | MENDED, json=told)

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def _event(self, event: Event, release: Release) -> dict[str, Any]:
        resource = {
            "prefect.resource.id": f"promptship.release.{release.id}",
            "prefect.resource.name": f"{release.prompt} at {release.commit[:12]}",
        }
        prompt = {
            "prefect.resource.id": f"promptship.prompt.{release.prompt}",
            "prefect.resource.role": "prompt",
            "prefect.resource.name": release.prompt,
        }
        return {
            "id": str(uuid5(NAMESPACE_URL, f"promptship:{event_id(event)}")),
            "occurred": event.at.astimezone(UTC).isoformat(),
            "event": event_type(event),
            "resource": resource,
            "related": [prompt],
            "payload": told_of(event, release, server_url=self._server_url),
        }
