"""`/slack/interactions`: a click on an approval card becomes a decision in the ledger."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from promptship.adapters.slack import Click, answer_privately, read_click, verify_slack
from promptship.errors import PromptshipError, Refused, Unavailable
from promptship.lifecycle.app import App
from promptship.lifecycle.approval import approve, reject
from promptship.render.redact import redact
from promptship.render.table import clipped
from promptship.server.answers import unauthorized
from promptship.server.bodies import read_body
from promptship.server.cards import refresh_cards
from promptship.server.plane import Plane, plane, threaded

_log = logging.getLogger(__name__)

ANSWER_S_MAX: Final = 2.0
"""Slack shows an error after 3 s. Usually the decision is in the ledger before we answer; a slow ledger is not waited for."""


async def interactions(request: Request) -> Response:
    """200 for every genuine interaction; what became of it is shown on the card, or to the person who clicked."""
    here, body = plane(request), await read_body(request)
    headers = request.headers
    try:
        verify_slack(
            here.slack_secret, headers.get("x-slack-request-timestamp", ""), body,
            headers.get("x-slack-signature", ""), here.app.clock.now(),
        )  # fmt: skip
    except Refused as refusal:
        return unauthorized(str(refusal))
    click = read_click(body)
    if click is not None:
        decided = asyncio.Event()
        here.later(_handle(here, click, decided))
        try:
            await asyncio.wait_for(decided.wait(), ANSWER_S_MAX)
        except TimeoutError:
            _log.info("the decision on release %s takes longer than Slack waits", click.release_id)
    return Response(status_code=200)


async def _handle(here: Plane, click: Click, decided: asyncio.Event) -> None:
    try:
        refusal = await threaded(_decide, here.app, click)
    finally:
        decided.set()
    if refusal:
        await threaded(_explain, here.app, click, refusal)
    else:
        await threaded(refresh_cards, here.app, click.release_id)


def _decide(app: App, click: Click) -> str:
    """Write the decision down; returns why it did not count, empty when it did."""
    decide = approve if click.approve else reject
    reason = "" if click.approve else f"rejected in Slack by {redact(clipped(click.name, 80))}"
    try:
        decide(app, click.release_id, who=click.user, via="slack", seq=click.seq, reason=reason)
    except Unavailable as error:
        return f"Your decision could not be written down; please click again. ({error})"
    except PromptshipError as error:
        return f"Your decision did not count: {error}"
    except Exception:  # noqa: BLE001 - the person who clicked is owed an answer
        _log.exception("a decision on release %s failed", click.release_id)
        return "Your decision could not be written down: something went wrong here, the log has the details."
    return ""


def _explain(app: App, click: Click, refusal: str) -> None:
    try:
        answer_privately(click, refusal, base_url=app.settings.slack.base_url)
    except PromptshipError as error:
        _log.warning("could not tell %s why a decision did not count: %s", click.user, error)


ROUTES: Final = [Route("/slack/interactions", interactions, methods=["POST"])]
