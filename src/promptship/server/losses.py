"""`/api/routes/losses`: a gateway says that it cannot write its telemetry down. Below `/routes`, which its token opens."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from promptship.lifecycle.losses import note_loss
from promptship.server.answers import answer
from promptship.server.bodies import Body, read_json
from promptship.server.plane import plane, threaded


class Losses(Body):
    """`lost`: lines since the gateway began."""

    gateway: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,119}$")]
    lost: Annotated[int, Field(ge=1, le=10**15)]


async def losses(request: Request) -> Response:
    """Note that a gateway loses telemetry: canaries hold."""
    said = await read_json(request, Losses)
    await threaded(note_loss, plane(request).app, gateway=said.gateway, lost=said.lost)
    return answer({})


ROUTES: Final = [Route("/routes/losses", losses, methods=["POST"])]
