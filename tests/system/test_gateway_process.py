"""The gateway as a real process, between a control plane and a provider on loopback that a test can take away."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest

from promptship.prompts.digest import digest
from promptship.routing.split import takes_candidate
from promptship.settings import GatewaySettings, Settings
from tests.support import run_gateway
from tests.support.control_plane import ControlPlane
from tests.support.gateway import CANDIDATE, SALT, STABLE, completion, event, table
from tests.support.gateway_process import BODY, Gateway, gateway, running, until
from tests.support.loopback import Asked, Loopback, raw, says

pytestmark = pytest.mark.system

CANARY = table(candidate=CANDIDATE, share=0.5, lease_s=30.0)
ANSWERS = says(raw("200 OK", completion(), "content-type: application/json"))


async def test_it_splits_streams_and_takes_feedback(tmp_path: Path) -> None:
    async def answer(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if not asked.json.get("stream"):
            await ANSWERS(asked, writer)
            return
        pieces = [event("Hel"), event("lo"), event(finish="stop"), b"data: [DONE]\n\n"]
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for piece in pieces:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async with running(tmp_path, CANARY, answer) as (started, _, provider):
        for number in range(40):
            unit = f"user-{number}"
            heard = await started.ask(user=unit, stream=bool(number % 2))
            inside = takes_candidate(SALT, unit, 0.5)
            assert heard.status_code == 200
            assert heard.headers["x-promptship-arm"] == ("candidate" if inside else "stable")
            assert heard.headers["x-promptship-version"] == digest(CANDIDATE if inside else STABLE)
            told = provider.asked[-1].json["messages"][0]["content"]
            assert told == ("Candidate. why?" if inside else "Stable. why?")
        token = heard.headers["x-promptship-feedback-token"]
        said = await started.http.post("/v1/feedback", json={"token": token, "kind": "escalated"})
        assert said.status_code == 202
        assert len(started.lines()) == 40
        (line,) = started.lines("feedback")
        assert line["request"] == heard.headers["x-promptship-request-id"]
        assert line["release"] == "r-1"


async def test_a_client_that_leaves_ends_the_call_to_the_provider(tmp_path: Path) -> None:
    async def first_word(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + event("Hel"))
        await asyncio.Event().wait()

    async with running(tmp_path, table(), first_word) as (started, _, provider):
        async with started.http.stream("POST", "/v1/chat/completions", json=BODY | {"stream": True}) as heard:
            assert await anext(heard.aiter_raw()) == event("Hel")
            assert provider.cut_off == 0

        async def cut_off() -> bool:
            return provider.cut_off == 1

        await until(cut_off)

        async def written() -> bool:
            return bool(started.lines())

        await until(written)
        (line,) = started.lines()
        assert (line["status"], line["error"], line["streamed"]) == (499, False, True)


async def test_kill_9_under_load_loses_no_acknowledged_request(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    enough = asyncio.Event()

    async def client(started: Gateway, number: int) -> None:
        while True:
            heard = await started.ask(user=f"user-{number}")
            acknowledged.append(heard.headers["x-promptship-request-id"])
            if len(acknowledged) >= 300:
                enough.set()

    async with running(tmp_path, CANARY, ANSWERS) as (started, _, _provider):
        clients = [asyncio.create_task(client(started, number)) for number in range(8)]
        async with asyncio.timeout(60):
            await enough.wait()
        started.process.kill()
        await started.process.wait()
        ended = await asyncio.gather(*clients, return_exceptions=True)
        assert all(isinstance(end, httpx.HTTPError) for end in ended)
        counted = Counter(line["id"] for line in started.lines())
        assert set(acknowledged) <= set(counted)
        assert set(counted.values()) == {1}
        # Those that were answered but not yet read: at most one per client.
        assert len(counted) - len(acknowledged) <= len(clients)


async def test_without_the_control_plane_it_serves_the_last_stable(tmp_path: Path) -> None:
    plane = ControlPlane(table(candidate=CANDIDATE, share=1.0, lease_s=2.0))
    async with Loopback(ANSWERS) as provider:
        async with Loopback(plane) as control, gateway(tmp_path, control.url, provider.url) as started:
            await started.serves(1)

            async def arm_is(arm: str) -> bool:
                return bool((await started.ask(user="u")).headers["x-promptship-arm"] == arm)

            async def renewed_and_candidate() -> bool:
                await plane.renew(1, {"support": 3.0})
                return await arm_is("candidate")

            await until(renewed_and_candidate)
            # The control plane falls silent, then goes away: the lease runs out on the gateway's own clock.
            gone = control.url
            await control.stop()
            await until(lambda: arm_is("stable"))
            heard = [await started.ask(user=f"user-{number}") for number in range(50)]
            assert {one.headers["x-promptship-arm"] for one in heard} == {"stable"}
            assert {one.headers["x-promptship-version"] for one in heard} == {digest(STABLE)}
            assert {line["release"] for line in started.lines()[-50:]} == {None}
        async with gateway(tmp_path, gone, provider.url) as again:
            await again.serves(1)
            assert (await again.http.get("/healthz")).json()["source"] == "disk"
            assert (await again.ask(user="u")).headers["x-promptship-arm"] == "stable"


async def test_a_change_of_the_route_reaches_it_and_the_rollback_too(tmp_path: Path) -> None:
    async with running(tmp_path, table(candidate=CANDIDATE, share=1.0), ANSWERS) as (started, plane, _):
        assert (await started.ask(user="u")).headers["x-promptship-arm"] == "candidate"
        await plane.push(table(revision=2))
        await started.serves(2)
        assert (await started.ask(user="u")).headers["x-promptship-arm"] == "stable"


async def test_sigterm_lets_running_requests_end_and_exits_with_0(tmp_path: Path) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(request: Asked, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await go_on.wait()
        await ANSWERS(request, writer)

    async with running(tmp_path, table(), slowly) as (started, _, _provider):
        asking = asyncio.create_task(started.ask())
        await asked.wait()
        started.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)  # let the stop begin
        assert started.process.returncode is None
        go_on.set()
        assert (await asking).status_code == 200
        async with asyncio.timeout(15):
            assert await started.process.wait() == 0
        assert len(started.lines()) == 1


async def test_a_taken_port_is_one_clear_error(tmp_path: Path) -> None:
    async with Loopback(ANSWERS) as taken:
        settings = Settings(gateway=GatewaySettings(port=int(taken.url.rpartition(":")[2])))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            run_gateway.__file__,
            str(tmp_path),
            settings.model_dump_json(),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
    assert process.returncode != 0
    assert "the gateway cannot listen on 127.0.0.1:" in said.decode()
