"""`/slack/interactions` and `/slack/commands`: Slack over HTTP. Only what Slack signed, lately, and once, is acted on."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from promptship.adapters.slack import form_in, payload_in, verify_slack
from promptship.errors import Refused
from promptship.server.answers import unauthorized
from promptship.server.bodies import read_body
from promptship.server.plane import Plane, plane
from promptship.server.slack_actions import Answer, act, obey

_log = logging.getLogger(__name__)


async def interactions(request: Request) -> Response:
    """200 for every genuine interaction; what became of it is shown on the card, or to the person who clicked."""
    return await _genuine(request, payload_in, act)


async def commands(request: Request) -> Response:
    """200 with an answer that only the person who typed the command sees."""
    return await _genuine(request, form_in, obey)


async def _genuine(
    request: Request,
    read: Callable[[bytes], dict[str, Any]],
    handle: Callable[[Plane, Mapping[str, Any]], Awaitable[Answer]],
) -> Response:
    here, body = plane(request), await read_body(request)
    headers, now = request.headers, here.app.clock.now()
    signature = headers.get("x-slack-signature", "")
    try:
        verify_slack(here.slack_secret, headers.get("x-slack-request-timestamp", ""), body, signature, now)
        here.seen.once(signature, now)
    except Refused as refusal:
        here.refused(str(refusal))
        return unauthorized(str(refusal))
    answer = await handle(here, read(body))
    return Response(status_code=200) if answer is None else JSONResponse(answer)


ROUTES: Final = [
    Route("/slack/interactions", interactions, methods=["POST"]),
    Route("/slack/commands", commands, methods=["POST"]),
]
