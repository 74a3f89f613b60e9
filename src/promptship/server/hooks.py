"""`/hooks/<sender>`: a push becomes releases, a pull request a review.

Every sender is one `Sender`: it says whether a request is genuine and what it tells of. What is done then is the same for all and
safe to repeat: a release is one prompt at one commit, a review one pull request at one commit.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from promptship.adapters.hooks import Push, verify
from promptship.adapters.hosts.events import (
    Event,
    Nothing,
    PullChanged,
    read_github,
    read_gitlab,
    verify_github,
    verify_gitlab,
)
from promptship.errors import PromptshipError, Refused
from promptship.lifecycle import reviewing
from promptship.lifecycle.app import App
from promptship.lifecycle.environments import branches
from promptship.lifecycle.opening import Opened
from promptship.lifecycle.pushes import receive_push
from promptship.release.phase import Phase
from promptship.server.answers import answer, unauthorized
from promptship.server.bodies import BODY_BYTES_MAX, Announcement, parse, read_body
from promptship.server.plane import Plane, plane, threaded

_log = logging.getLogger(__name__)

HOST_BODY_BYTES_MAX: Final = 10_000_000
"""Of a code host's webhook: it tells of up to 2,048 commits."""
ANSWER_S: Final = 8.0
"""GitHub hangs up after 10 s. What takes longer, a large fetch, goes on after the answer."""


_HEADS: Final = "refs/heads/"


class Sender(Protocol):
    """Something that announces pushes."""

    bytes_max: int

    def verify(self, plane: Plane, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Raises Refused unless the request is genuine and fresh. `headers` ignores case."""
        ...

    def read(self, plane: Plane, headers: Mapping[str, str], body: bytes) -> Event:
        """What it tells of. Raises ConfigError."""
        ...


class PostReceive:
    """Our own post-receive hook (`promptship.adapters.hooks`)."""

    bytes_max = BODY_BYTES_MAX

    def verify(self, plane: Plane, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """HMAC over timestamp and body, at most five minutes old."""
        verify(plane.secret, headers, body, now)

    def read(self, plane: Plane, headers: Mapping[str, str], body: bytes) -> Event:  # noqa: ARG002 - all is in the body
        """Before, after, reference."""
        said = parse(body, Announcement)
        return Push(said.before, said.after, said.ref)


class GitHubHook:
    """Webhooks of GitHub: a repository's, an organisation's or an app's."""

    bytes_max = HOST_BODY_BYTES_MAX

    def verify(self, plane: Plane, headers: Mapping[str, str], body: bytes, now: datetime) -> None:  # noqa: ARG002 - GitHub signs no time
        """HMAC over the raw body."""
        secret = os.environ.get(plane.app.settings.github.webhook_secret_env, "").strip()
        verify_github(secret, headers, body)

    def read(self, plane: Plane, headers: Mapping[str, str], body: bytes) -> Event:
        """push, pull_request; anything else is ignored."""
        return read_github(plane.app.settings.github.repository, headers, body)


class GitLabHook:
    """Webhooks of GitLab."""

    bytes_max = HOST_BODY_BYTES_MAX

    def verify(self, plane: Plane, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Standard Webhooks, or the secret token."""
        settings = plane.app.settings.gitlab
        token, key = (
            os.environ.get(name, "").strip()
            for name in (settings.webhook_token_env, settings.signing_key_env)
        )
        verify_gitlab(token, key, headers, body, now)

    def read(self, plane: Plane, headers: Mapping[str, str], body: bytes) -> Event:
        """Pushes, merge requests; anything else is ignored."""
        return read_gitlab(plane.app.settings.gitlab.project, headers, body)


SENDERS: Final[Mapping[str, Sender]] = {"git": PostReceive(), "github": GitHubHook(), "gitlab": GitLabHook()}


async def receive(request: Request) -> Response:
    """202 with the releases that the push opened or had opened before, the review it asked for, or why it is ignored."""
    here, sender = plane(request), SENDERS.get(request.path_params["sender"])
    if sender is None:
        raise HTTPException(404, f"no such sender; there are: {', '.join(SENDERS)}")
    body = await read_body(request, bytes_max=sender.bytes_max)
    try:
        sender.verify(here, request.headers, body, here.app.clock.now())
    except Refused as refusal:
        return unauthorized(str(refusal))
    event = sender.read(here, request.headers, body)
    ignored = _ignored(here.app, event)
    if ignored:
        return answer({"releases": [], "ignored": ignored}, 202)
    if isinstance(event, Push):
        return answer(await _in_time(here, _in_turn(here, event)), 202)
    assert isinstance(event, PullChanged)  # noqa: S101 - of three kinds
    return answer(await _in_time(here, threaded(_review, here.app, event)), 202)


async def _in_turn(here: Plane, push: Push) -> dict[str, Any]:
    """A remote that hangs must not keep every thread: approvals and routes need them, too."""
    async with here.pushes:
        return await threaded(_open, here.app, push)


async def _in_time(here: Plane, work: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """What the work comes to; after `ANSWER_S` that it still goes on."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=ANSWER_S)
    if done:
        return task.result()
    here.later(_finish(task))
    return {"releases": [], "later": "the push is still being fetched; its releases follow"}


async def _finish(task: asyncio.Future[dict[str, Any]]) -> None:
    try:
        await task
    except PromptshipError as error:
        _log.error("a push was announced and could not be taken in: %s", error)


def _ignored(app: App, event: Event) -> str:
    """Why nothing follows; empty: something does."""
    released = [f"{_HEADS}{branch}" for branch in branches(app.settings)]
    if isinstance(event, Nothing):
        return event.why
    if isinstance(event, PullChanged):
        return "" if event.host in app.hosts else f"no {event.host} is configured"
    if event.ref not in released:
        known = ", ".join(one.removeprefix(_HEADS) for one in released)
        return f"{event.ref} is not released, only pushes to {known} are"
    if event.deleted:
        return f"{event.ref.removeprefix(_HEADS)} was deleted; what is served stays as it is"
    return ""


def _open(app: App, push: Push) -> dict[str, Any]:
    branch = push.ref.removeprefix(_HEADS)
    taken = receive_push(app, before=push.before, after=push.after, branch=branch)
    opened = [_told(app, one) for one in taken.opened]
    more = {
        "removed": taken.removed,
        "as_served": taken.as_served,
        "rolled_back": taken.rolled_back,
    }
    told = {name: list(prompts) for name, prompts in more.items() if prompts}
    return {"releases": opened, **told, "url": app.settings.server_url}


def _told(app: App, one: Opened) -> dict[str, Any]:
    """A release of the push; `stopped`: what lint found that keeps it from going on."""
    told = {"id": one.release_id, "prompt": one.prompt, "created": one.created}
    release = app.release(one.release_id)
    return {**told, "stopped": release.reason} if release.phase is Phase.REJECTED else told


def _review(app: App, event: PullChanged) -> dict[str, Any]:
    created = reviewing.ask(app, host=event.host, number=event.number, head=event.head)
    review = {"host": event.host, "number": event.number, "head": event.head, "created": created}
    return {"releases": [], "review": review}


ROUTES: Final = [Route("/hooks/{sender}", receive, methods=["POST"])]
