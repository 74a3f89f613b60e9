"""`/api/routes`: what gateways read."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from promptship.lifecycle.environments import environment_of
from promptship.server.plane import plane

_NO_STORE: Final = {"Cache-Control": "no-store"}


async def table(request: Request) -> Response:
    """The routing table of `?environment=` (none named: of the default one), leases as of now."""
    content = await plane(request).broadcast.table_json(_environment(request))
    return Response(content, media_type="application/json", headers=_NO_STORE)


async def events(request: Request) -> Response:
    """The table on every change, the leases each second, as server-sent events."""
    broadcast, environment = plane(request).broadcast, _environment(request)
    await broadcast.table_json(environment)  # a ledger that is down is a 503, not an empty stream
    headers = {**_NO_STORE, "X-Accel-Buffering": "no"}
    return StreamingResponse(broadcast.stream(environment), media_type="text/event-stream", headers=headers)


def _environment(request: Request) -> str:
    """The environment that is asked for, as places have it. Raises ConfigError: there is none of that name."""
    typed = request.query_params.get("environment", "")
    return environment_of(plane(request).app.settings, typed, where="query")


ROUTES: Final = [Route("/routes", table), Route("/routes/events", events)]
