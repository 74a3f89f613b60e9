"""Socket Mode: Slack's clicks and commands over a connection that we open, so that no public address is needed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from promptship.errors import PromptshipError
from promptship.settings import Settings

_log = logging.getLogger(__name__)

Handler = Callable[[str, Mapping[str, Any], str], Awaitable[dict[str, Any] | None]]
"""(kind, payload, envelope id) -> what is sent back; kind is `interactive`, `slash_commands` or one that is not ours."""

DOWN_S_MAX: Final = 20.0
"""A connection that its library could not mend in so many seconds is given up for a new one: it tries a stale address for ever."""
CHECK_S: Final = 0.5
PING_S: Final = 5.0
CLOSE_S_MAX: Final = 3.0
_TOLD_EVERY_S: Final = 60.0


class SlackSocket:
    """Keeps a connection and hands every envelope to a handler, several at a time."""

    def __init__(
        self, app_token: str, base_url: str, handle: Handler, *, down_s_max: float = DOWN_S_MAX
    ) -> None:
        self._token = app_token
        self._base_url = base_url
        self._handle = handle
        self._down_s_max = down_s_max
        self._work: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until it is cancelled. Slack being down, or a wrong token, is said in the log once a minute and tried again."""
        while True:
            client = self._client()
            connecting = asyncio.create_task(client.connect())
            try:
                await self._while_alive(client)
            finally:
                connecting.cancel()
                await self._close(client)
            _log.warning("the connection to Slack is down; making a new one")

    async def _while_alive(self, client: Any) -> None:
        seen_at = time.monotonic()
        while time.monotonic() - seen_at < self._down_s_max:
            if client.current_session is not None and await client.is_connected():
                seen_at = time.monotonic()
            await asyncio.sleep(CHECK_S)

    def _client(self) -> Any:
        from slack_sdk.socket_mode.aiohttp import SocketModeClient
        from slack_sdk.web.async_client import AsyncWebClient

        web = AsyncWebClient(base_url=self._base_url, timeout=10)
        client = SocketModeClient(self._token, web_client=web, logger=_quiet_logger(), ping_interval=PING_S)
        client.socket_mode_request_listeners.append(self._take)
        return client

    async def _take(self, client: Any, request: Any) -> None:
        """Not awaited further: the library hands over one envelope at a time."""
        task = asyncio.create_task(self._serve(client, request))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _serve(self, client: Any, request: Any) -> None:
        from slack_sdk.socket_mode.response import SocketModeResponse

        answer = None
        try:
            answer = await self._handle(request.type, request.payload, request.envelope_id)
        except PromptshipError as error:
            _log.warning("an envelope of Slack's was not understood: %s", error)
        except Exception:  # noqa: BLE001 - the next one may be understood
            _log.exception("an envelope of Slack's could not be handled")
        payload = answer if request.accepts_response_payload else None
        try:
            await client.send_socket_mode_response(SocketModeResponse(request.envelope_id, payload))
        except Exception as error:  # noqa: BLE001 - the connection went away; Slack sends it again, and it is known
            _log.warning("an envelope of Slack's could not be acknowledged: %s", type(error).__name__)

    async def _close(self, client: Any) -> None:
        with suppress(Exception):
            await asyncio.wait_for(client.close(), CLOSE_S_MAX)
        with suppress(Exception):
            await client.aiohttp_client_session.close()


def socket_for(settings: Settings, environ: Mapping[str, str], handle: Handler) -> SlackSocket | None:
    """A connection, when the app-level token is in the environment."""
    token = environ.get(settings.slack.app_token_env, "").strip()
    if not token:
        return None
    return SlackSocket(token, settings.slack.base_url.rstrip("/") + "/", handle)


def _quiet_logger() -> logging.Logger:
    """The library logs a whole trace every few seconds while Slack is down: here a line a minute."""
    logger = logging.getLogger(f"{__name__}.library")
    if not logger.filters:
        logger.addFilter(_Seldom())
    return logger


class _Seldom(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._told_at = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = None
        if record.levelno < logging.WARNING:
            return False
        now = time.monotonic()
        if now - self._told_at < _TOLD_EVERY_S:
            return False
        self._told_at = now
        return True
