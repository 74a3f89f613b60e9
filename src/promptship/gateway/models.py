"""GET /v1/models and /v1/models/{id}: every released prompt the application may use, in a shape that OpenAI's and Anthropic's SDKs both read."""

from __future__ import annotations

from typing import Any, Final

import orjson

from promptship.client.live import LiveTable
from promptship.gateway.intake import SCHEME, SCHEMES
from promptship.gateway.keys import released
from promptship.gateway.rejection import NO_ROUTES, unknown_model
from promptship.gateway.wire import JSON, Receive, Reply, Scope

PATH: Final = "/v1/models"
_SINCE: Final = "1970-01-01T00:00:00Z"


class Models:
    """The prompts as models."""

    def __init__(self, live: LiveTable) -> None:
        self._live = live

    async def __call__(self, scope: Scope, _receive: Receive, reply: Reply) -> None:
        """The list, or one of it; 404 when that one has never been released."""
        wanted = scope["path"][len(PATH) :].removeprefix("/")
        table = self._live.table
        if table is None:  # an empty list would say that there are no prompts
            await reply.reject(NO_ROUTES)
            return
        names = released(scope, table)
        if not wanted:
            data = [_model(name) for name in names]
            ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
            body = {"object": "list", "data": data, "has_more": False, **ends}
            await reply.whole(200, [JSON], orjson.dumps(body))
            return
        scheme = next((one for one in SCHEMES if wanted.startswith(one)), "")
        name = wanted.removeprefix(scheme)
        if name in names:
            await reply.whole(200, [JSON], orjson.dumps(_model(name)))
        else:
            await reply.reject(unknown_model(f"no version of the prompt {name[:120]!r} has been released"))


def _model(name: str) -> dict[str, Any]:
    openai = {"id": SCHEME + name, "object": "model", "created": 0, "owned_by": "promptship"}
    return {**openai, "type": "model", "display_name": name, "created_at": _SINCE}
