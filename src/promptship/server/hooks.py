"""`/hooks/<sender>`: a push becomes releases.

Every sender of pushes is one `Sender`: it says whether a request is genuine and which push it tells of. What is done with the
push is the same for all and safe to repeat: a release is one prompt at one commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from promptship.adapters.hooks import Push, verify
from promptship.errors import Refused
from promptship.lifecycle.app import App
from promptship.lifecycle.opening import open_for_push
from promptship.server.answers import answer, unauthorized
from promptship.server.bodies import Announcement, parse, read_body
from promptship.server.plane import Plane, plane, threaded


class Sender(Protocol):
    """Something that announces pushes."""

    def verify(self, plane: Plane, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Raises Refused unless the request is genuine and fresh. `headers` ignores case."""
        ...

    def read(self, headers: Mapping[str, str], body: bytes) -> Push | None:
        """The push; None when the request tells of something else (a ping). Raises ConfigError."""
        ...


class PostReceive:
    """Our own post-receive hook (`promptship.adapters.hooks`)."""

    def verify(self, plane: Plane, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """HMAC over timestamp and body, at most five minutes old."""
        verify(plane.secret, headers, body, now)

    def read(self, headers: Mapping[str, str], body: bytes) -> Push:  # noqa: ARG002 - all is in the body
        """Before, after, reference."""
        said = parse(body, Announcement)
        return Push(said.before, said.after, said.ref)


SENDERS: Final[Mapping[str, Sender]] = {"git": PostReceive()}


async def receive(request: Request) -> Response:
    """202 with the releases that the push opened or had opened before, or with why it is ignored."""
    here, sender = plane(request), SENDERS.get(request.path_params["sender"])
    if sender is None:
        raise HTTPException(404, f"no such sender; there are: {', '.join(SENDERS)}")
    body = await read_body(request)
    try:
        sender.verify(here, request.headers, body, here.app.clock.now())
    except Refused as refusal:
        return unauthorized(str(refusal))
    push = sender.read(request.headers, body)
    ignored = _ignored(here.app, push)
    if push is None or ignored:
        return answer({"releases": [], "ignored": ignored}, 202)
    opened = await threaded(_open, here.app, push)
    return answer({"releases": opened, "url": here.app.settings.server_url}, 202)


def _ignored(app: App, push: Push | None) -> str:
    """Why a push releases nothing; empty: it does."""
    branch = app.settings.repository.branch
    if push is None:
        return "not a push"
    if push.ref != f"refs/heads/{branch}":
        return f"{push.ref} is not released, only pushes to {branch} are"
    if push.deleted:
        return f"{branch} was deleted; what is served stays as it is"
    return ""


def _open(app: App, push: Push) -> list[dict[str, object]]:
    author = app.repository.resolve(push.after).author
    opened = open_for_push(app, before=push.before, after=push.after, actor=f"push:{author}")
    return [{"id": one.release_id, "prompt": one.prompt, "created": one.created} for one in opened]


ROUTES: Final = [Route("/hooks/{sender}", receive, methods=["POST"])]
