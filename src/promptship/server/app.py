"""The control plane as an ASGI application."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from promptship.adapters.scorer_state import read_state
from promptship.adapters.scorer_state import told as scoring_told
from promptship.adapters.secrets import gateway_token
from promptship.adapters.slack import SlackTalk, socket_for, talk_for
from promptship.errors import ConfigError, Problem, PromptshipError
from promptship.lifecycle.app import App
from promptship.lifecycle.sampling import Samplings
from promptship.render.redact import keep_secret
from promptship.server import decide, hooks, losses, pages, releases, routes, slack
from promptship.server.access import RequireToken
from promptship.server.answers import on_crash, on_http_error, on_promptship_error
from promptship.server.feed import RouteBroadcast
from promptship.server.openapi import serve_document
from promptship.server.plane import Plane, plane
from promptship.server.slack_actions import take


def create_app(
    app: App, *, token: str, secret: bytes, slack_secret: str | None = None, talk: SlackTalk | None = None
) -> Starlette:
    """The control plane over these ports.

    Args:
        app: the ports.
        token: bearer token of the API and of the dashboard's sign-in.
        secret: key of the hook's signatures and of browser sessions.
        slack_secret: Slack's signing secret; None: from the environment variable that the settings name.
        talk: how people are talked to in Slack; None: with the bot token of the environment.

    Raises:
        ConfigError: an empty token or secret, with which everybody could come in.
    """
    if not token.strip() or not secret.strip():
        raise ConfigError([Problem("control plane", "token or signing key", "empty", "expected a secret")])
    if slack_secret is None:
        slack_secret = os.environ.get(app.settings.slack.signing_secret_env, "")
    keep_secret(token, secret.decode("utf-8", "replace"), slack_secret)
    broadcast = RouteBroadcast(app.routes, complete=Samplings(app).add)
    talk = talk or talk_for(app.settings, os.environ)
    built = Plane(app, token, secret, slack_secret, broadcast, talk)
    asgi = Starlette(
        routes=[
            Route("/healthz", healthz, methods=["GET"]),
            Route("/openapi.json", serve_document, methods=["GET"]),
            *hooks.ROUTES,
            *slack.ROUTES,
            *pages.ROUTES,
            *decide.ROUTES,
            Mount(
                "/api",
                routes=[*routes.ROUTES, *losses.ROUTES, *releases.ROUTES],
                middleware=[Middleware(RequireToken, token, gateway_token(secret))],
            ),
        ],
        exception_handlers={
            PromptshipError: on_promptship_error,
            HTTPException: on_http_error,
            Exception: on_crash,
        },
        lifespan=_lifespan,
    )
    asgi.state.plane = built
    return asgi


async def healthz(request: Request) -> Response:
    """200 while the process answers; it asks nothing of ledger or Prefect, so that their trouble does not restart us.

    `scoring`: how the scorer of this machine gets on, if there is one.
    """
    state = await run_in_threadpool(read_state, plane(request).app.settings.data)
    told = {} if state is None else {"scoring": scoring_told(state, time.time())}
    return JSONResponse({"status": "ok", **told})


@asynccontextmanager
async def _lifespan(asgi: Starlette) -> AsyncIterator[None]:
    built: Plane = asgi.state.plane
    tasks = [asyncio.create_task(built.broadcast.run())]
    socket = socket_for(built.app.settings, os.environ, partial(take, built))
    if socket is not None:
        tasks.append(asyncio.create_task(socket.run()))
    try:
        yield
    finally:
        built.broadcast.close()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        await built.drain()
