"""`/api/routes`: what gateways read."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from promptship.server.plane import plane

_NO_STORE: Final = {"Cache-Control": "no-store"}


async def table(request: Request) -> Response:
    """The routing table, leases as of now."""
    content = await plane(request).broadcast.table_json()
    return Response(content, media_type="application/json", headers=_NO_STORE)


async def events(request: Request) -> Response:
    """The table on every change, the leases each second, as server-sent events."""
    broadcast = plane(request).broadcast
    await broadcast.table_json()  # a ledger that is down is a 503, not an empty stream
    headers = {**_NO_STORE, "X-Accel-Buffering": "no"}
    return StreamingResponse(broadcast.stream(), media_type="text/event-stream", headers=headers)


ROUTES: Final = [Route("/routes", table), Route("/routes/events", events)]
