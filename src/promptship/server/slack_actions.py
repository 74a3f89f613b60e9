"""What a click, a filled-in modal and a command do. HTTP and Socket Mode both end here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from promptship.adapters.slack import (
    REASON,
    Click,
    Command,
    Rejection,
    answer_privately,
    read_command,
    read_interaction,
    reject_view,
)
from promptship.errors import PromptshipError, Refused, Unavailable
from promptship.lifecycle.app import App
from promptship.lifecycle.approval import approve, may_reject, reject, roll_back
from promptship.render.redact import redact
from promptship.render.table import clipped
from promptship.server.cards import refresh_cards
from promptship.server.plane import Plane, threaded
from promptship.server.slack_commands import run_command

_log = logging.getLogger(__name__)

ANSWER_S_MAX: Final = 2.0
"""Slack shows an error after 3 s. Usually the decision is in the ledger before we answer; a slow ledger is not waited for."""
_MODAL_ERROR_MAX: Final = 250
Answer = dict[str, Any] | None
"""What is sent back at once: None is an empty answer."""


async def act(here: Plane, payload: Mapping[str, Any]) -> Answer:
    """Act on an interaction. Raises ConfigError: it is ours and malformed."""
    done = read_interaction(payload)
    match done:
        case Click():
            await _shortly(here, lambda settled: _clicked(here, done, settled))
        case Rejection():
            refusals = await _shortly(here, lambda settled: _rejected(here, done, settled))
            if refusals:
                return {
                    "response_action": "errors",
                    "errors": {REASON: clipped(refusals[0], _MODAL_ERROR_MAX)},
                }
    return None


async def obey(here: Plane, fields: Mapping[str, Any]) -> Answer:
    """Run a slash command; only the person who typed it sees the answer. Raises ConfigError: malformed."""
    command = read_command(fields)
    texts = await _shortly(here, lambda settled: _commanded(here, command, settled))
    return {"response_type": "ephemeral", "text": texts[0] if texts else "Working on it …"}


async def take(here: Plane, kind: str, payload: Mapping[str, Any], envelope_id: str) -> Answer:
    """An envelope of Socket Mode, once. Raises ConfigError: malformed."""
    try:
        here.seen.once(f"envelope {envelope_id}", here.app.clock.now())
    except Refused as refusal:
        here.refused(str(refusal))
        return None
    match kind:
        case "interactive":
            return await act(here, payload)
        case "slash_commands":
            return await obey(here, payload)
        case _:
            return None


class _Settled:
    """Where work leaves what is to be answered at once, as long as anybody waits for it."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.texts: list[str] = []
        self.is_late = False


async def _shortly(here: Plane, work: Callable[[_Settled], Awaitable[None]]) -> list[str]:
    """Start work, and wait for it as long as Slack lets us; it goes on afterwards."""
    settled = _Settled()

    async def begin() -> None:
        try:
            await work(settled)
        finally:
            settled.event.set()

    here.later(begin())
    try:
        await asyncio.wait_for(settled.event.wait(), ANSWER_S_MAX)
    except TimeoutError:
        settled.is_late = True
        _log.info("an action in Slack takes longer than Slack waits")
    return settled.texts


async def _clicked(here: Plane, click: Click, settled: _Settled) -> None:
    if click.decision == "reject":
        refusal = await threaded(_attempt, lambda: _ask_why(here, click))
    else:
        refusal = await threaded(_attempt, lambda: _decide(here.app, click))
    settled.event.set()
    if refusal:
        await threaded(_explain, here.app, click.response_url, refusal)
    elif click.decision != "reject":
        await threaded(refresh_cards, here.app, click.release_id)


async def _rejected(here: Plane, said: Rejection, settled: _Settled) -> None:
    refusal = await threaded(_attempt, lambda: _reject(here.app, said))
    if refusal and not settled.is_late:
        settled.texts.append(refusal)
    settled.event.set()
    if refusal and settled.is_late:
        await threaded(_whisper, here, said, refusal)
    if not refusal:
        await threaded(refresh_cards, here.app, said.release_id)


async def _commanded(here: Plane, command: Command, settled: _Settled) -> None:
    text = await threaded(run_command, here.app, command)
    if settled.is_late:
        await threaded(_explain, here.app, command.response_url, text)
    else:
        settled.texts.append(text)
    settled.event.set()


def _attempt(decide: Callable[[], None]) -> str:
    """Do it; returns why it did not count, empty when it did."""
    try:
        decide()
    except Unavailable as error:
        return f"Your decision could not be written down; please click again. ({error})"
    except PromptshipError as error:
        return f"Your decision did not count: {error}"
    except Exception:  # noqa: BLE001 - the person who clicked is owed an answer
        _log.exception("a decision in Slack failed")
        return "Your decision could not be written down: something went wrong here, the log has the details."
    return ""


def _decide(app: App, click: Click) -> None:
    name = redact(clipped(click.name, 80))
    if click.decision == "approve":
        approve(app, click.release_id, who=click.user, via="slack", seq=click.seq)
    else:
        reason = f"rolled back in Slack by {name}"
        roll_back(app, click.release_id, who=click.user, via="slack", reason=reason)


def _ask_why(here: Plane, click: Click) -> None:
    """Whoever may not reject is told at once; the others say why first."""
    may_reject(here.app, click.release_id, who=click.user, via="slack", seq=click.seq)
    release = here.app.release(click.release_id)
    view = reject_view(
        release_id=release.id, seq=click.seq, prompt=f"{release.prompt}, release {release.id}", channel=click.channel
    )  # fmt: skip
    here.talk.open(click.trigger_id, view)


def _reject(app: App, said: Rejection) -> None:
    reject(app, said.release_id, who=said.user, via="slack", seq=said.seq, reason=redact(said.reason.strip()))


def _explain(app: App, response_url: str, text: str) -> None:
    try:
        answer_privately(response_url, text, base_url=app.settings.slack.base_url)
    except PromptshipError as error:
        _log.warning("an action in Slack could not be answered: %s", error)


def _whisper(here: Plane, said: Rejection, text: str) -> None:
    try:
        here.talk.whisper(said.channel, said.user, text)
    except PromptshipError as error:
        _log.warning("an action in Slack could not be answered: %s", error)
