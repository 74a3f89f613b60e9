"""Socket Mode against a stand-in of Slack's side: envelopes are acknowledged, and a broken connection is made anew."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from promptship.adapters.slack import SlackSocket, socket_for
from promptship.release.phase import Phase
from promptship.settings import Settings, SlackSettings
from tests.support.plane import MIRA, World, waiting

pytestmark = pytest.mark.system
WAIT_S = 40


class Slack:
    """`apps.connections.open`, and the connection it leads to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connections: asyncio.Queue[web.WebSocketResponse] = asyncio.Queue()
        self.acks: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.opened = 0
        self.trouble = 0
        """So many calls of `apps.connections.open` fail first."""

    async def open(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer xapp-test"
        self.opened += 1
        if self.opened <= self.trouble:
            return web.json_response({"ok": False, "error": "internal_error"})
        return web.json_response({"ok": True, "url": f"ws://127.0.0.1:{self.port}/link"})

    async def link(self, request: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        await connection.send_json({"type": "hello", "num_connections": 1})
        self.connections.put_nowait(connection)
        async for message in connection:
            if message.type == WSMsgType.TEXT:
                self.acks.put_nowait(json.loads(message.data))
        return connection


@asynccontextmanager
async def slack() -> AsyncIterator[Slack]:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    fake = Slack(sock.getsockname()[1])
    app = web.Application()
    app.router.add_post("/api/apps.connections.open", fake.open)
    app.router.add_get("/link", fake.link)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    try:
        yield fake
    finally:
        await runner.cleanup()


def envelope(number: int, kind: str = "slash_commands") -> dict[str, Any]:
    payload = {"user_id": "UMIRA", "text": f"status {number}"}
    return {"envelope_id": f"e-{number}", "type": kind, "payload": payload, "accepts_response_payload": True}


async def test_envelopes_are_answered_and_a_broken_connection_is_made_anew() -> None:
    handled: list[tuple[str, str]] = []

    async def handle(kind: str, payload: Mapping[str, Any], envelope_id: str) -> dict[str, Any] | None:
        handled.append((kind, envelope_id))
        if envelope_id == "e-2":
            raise RuntimeError("a defect of ours")
        return {"text": f"answer to {payload['text']}"}

    async with slack() as fake, asyncio.timeout(WAIT_S):
        running = asyncio.create_task(
            SlackSocket("xapp-test", f"http://127.0.0.1:{fake.port}/api/", handle).run()
        )
        first = await fake.connections.get()
        for number in (1, 2):
            await first.send_json(envelope(number))
        acks = sorted([await fake.acks.get() for _ in range(2)], key=lambda ack: str(ack["envelope_id"]))
        assert acks == [
            {"envelope_id": "e-1", "payload": {"text": "answer to status 1"}},
            {"envelope_id": "e-2"},
        ]
        await first.close()
        second = await fake.connections.get()
        await second.send_json(envelope(3, "interactive"))
        assert (await fake.acks.get())["envelope_id"] == "e-3"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert handled == [("slash_commands", "e-1"), ("slash_commands", "e-2"), ("interactive", "e-3")]


async def test_a_slack_that_is_down_at_the_start_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptship.adapters.slack.socket.PING_S", 0.2)

    async def handle(_kind: str, _payload: Mapping[str, Any], _envelope_id: str) -> None:
        return None

    async with slack() as fake, asyncio.timeout(WAIT_S):
        fake.trouble = 2
        socket_mode = SlackSocket("xapp-test", f"http://127.0.0.1:{fake.port}/api/", handle)
        running = asyncio.create_task(socket_mode.run())
        await (await fake.connections.get()).send_json(envelope(1))
        assert (await fake.acks.get())["envelope_id"] == "e-1"
        assert fake.opened > 2
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_socket_mode_is_used_exactly_when_there_is_an_app_token() -> None:
    async def handle(_kind: str, _payload: Mapping[str, Any], _envelope_id: str) -> None:
        return None

    settings = Settings(slack=SlackSettings(channel="C1"))
    assert socket_for(settings, {"SLACK_APP_TOKEN": "xapp-1"}, handle) is not None
    assert socket_for(settings, {"SLACK_APP_TOKEN": " "}, handle) is None
    assert socket_for(settings, {}, handle) is None


async def test_the_control_plane_is_clicked_over_the_connection_it_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-test")
    async with slack() as fake, asyncio.timeout(WAIT_S):
        base_url = f"http://127.0.0.1:{fake.port}/api/"
        world = World(Settings(approvers=(MIRA,), slack=SlackSettings(channel="C1", base_url=base_url)))
        release_id, asgi = waiting(world), world.asgi()
        value = json.dumps({"release_id": release_id, "seq": 5})
        payload = {
            "type": "block_actions", "user": {"id": "UMIRA"},
            "actions": [{"action_id": "promptship_approve", "value": value}],
        }  # fmt: skip
        async with asgi.router.lifespan_context(asgi):
            connection = await fake.connections.get()
            await connection.send_json({"envelope_id": "e-1", "type": "interactive", "payload": payload})
            assert (await fake.acks.get())["envelope_id"] == "e-1"
            await asgi.state.plane.drain()
        assert world.app.release(release_id).phase is Phase.PROMOTED
