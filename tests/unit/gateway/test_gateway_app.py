"""Paths, health, feedback, routes on disk, start and stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from promptship.client.kept import KeptRoutes
from promptship.client.live import Known
from promptship.routing.observation import Feedback
from promptship.routing.table import RoutingTable
from promptship.routing.token import Claims, sign
from tests.support.gateway import CANDIDATE, SECRET, Bench, Heard, ListSpool, bench, table

CLAIMS = Claims("req-1", 5, "support", "abc", "candidate", "r-1", 2)
TOKEN = sign(SECRET, CLAIMS)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/", 404),
        ("GET", "/healthz", 200),
        ("GET", "/v1/models", 200),
    ],
)
async def test_paths(tmp_path: Path, method: str, path: str, status: int) -> None:
    heard = await bench(tmp_path).ask(method, path)
    assert heard.status == status
    assert ("error" in heard.json) == (status >= 400)


async def test_models_lists_the_prompts(tmp_path: Path) -> None:
    heard = await bench(tmp_path).ask("GET", "/v1/models")
    assert [model["id"] for model in heard.json["data"]] == ["prompt:support"]


async def give(gateway: Bench, **fields: Any) -> Heard:
    return await gateway.ask("POST", "/v1/feedback", orjson.dumps(fields))


async def test_feedback_becomes_one_line_that_repeats_the_token(tmp_path: Path) -> None:
    gateway = bench(tmp_path)
    heard = await give(gateway, token=TOKEN, kind="thumbs_down")
    assert heard.status == 202
    (line,) = gateway.spool.lines
    assert isinstance(line, Feedback)
    assert (line.request, line.request_at_ms, line.prompt, line.version) == ("req-1", 5, "support", "abc")
    assert (line.arm, line.release, line.stage, line.kind, line.value) == (
        "candidate",
        "r-1",
        2,
        "thumbs_down",
        True,
    )
    assert heard.json == {"id": line.id}


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"token": TOKEN[:-1], "kind": "escalated"}, 401, "token"),
        ({"token": sign(b"x" * 16, CLAIMS), "kind": "escalated"}, 401, "token"),
        ({"token": "", "kind": "escalated"}, 401, "token"),
        ({"kind": "escalated"}, 400, "token"),
        ({"token": TOKEN}, 400, "kind"),
        ({"token": TOKEN, "kind": "Escalated"}, 400, "kind"),
        ({"token": TOKEN, "kind": "x" * 41}, 400, "kind"),
        ({"token": TOKEN, "kind": "x", "value": 1}, 400, "value"),
        ({"token": TOKEN, "kind": "x", "comment": "no"}, 400, "comment"),
    ],
)
async def test_feedback_that_does_not_fit_is_refused_and_not_written(
    tmp_path: Path, fields: dict[str, Any], status: int, param: str
) -> None:
    gateway = bench(tmp_path)
    heard = await give(gateway, **fields)
    assert (heard.status, heard.error["param"]) == (status, param)
    assert gateway.spool.lines == []


async def test_feedback_is_only_accepted_once_written(tmp_path: Path) -> None:
    heard = await give(
        bench(tmp_path, spool=ListSpool(broken=True)), token=TOKEN, kind="escalated", value=False
    )
    assert heard.status == 503


class Running:
    """The lifespan of a gateway."""

    def __init__(self, gateway: Bench) -> None:
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[str] = []
        self._task = asyncio.create_task(gateway.app({"type": "lifespan"}, self._incoming.get, self._send))
        self._incoming.put_nowait({"type": "lifespan.startup"})

    async def _send(self, message: Any) -> None:
        self.sent.append(message["type"])

    async def stop(self) -> None:
        self._incoming.put_nowait({"type": "lifespan.shutdown"})
        await self._task


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the condition is a file or another task's state
            await asyncio.sleep(0.001)


async def test_it_starts_follows_the_feed_and_closes_what_it_holds(tmp_path: Path) -> None:
    gateway = bench(tmp_path)
    gateway.app._live._known = Known()
    running = Running(gateway)
    await until(lambda: running.sent)
    assert (await gateway.ask("GET", "/healthz")).status == 503
    assert (await gateway.chat()).error["code"] == "no_routes_yet"
    assert (await gateway.ask("GET", "/v1/models")).error["code"] == "no_routes_yet"  # not: there are none
    gateway.feed.push(table(revision=4))
    await until(gateway.kept.exists)
    health = (await gateway.ask("GET", "/healthz")).json
    assert (health["status"], health["revision"], health["source"]) == ("ok", 4, "control plane")
    await running.stop()
    assert running.sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert gateway.upstream.closed
    assert gateway.spool.closed


async def test_it_starts_from_disk_with_every_lease_lapsed(tmp_path: Path) -> None:
    KeptRoutes(tmp_path / "gateway-routes.json").save(table(candidate=CANDIDATE, share=1.0))
    gateway = bench(tmp_path)
    gateway.app._live._known = Known()
    running = Running(gateway)
    await until(lambda: running.sent)
    await gateway.chat({"user": "u"})
    assert [(seen.arm, seen.release) for seen in gateway.spool.observations] == [("stable", None)]
    assert (await gateway.ask("GET", "/healthz")).json["source"] == "disk"
    await running.stop()


async def test_it_never_goes_back_to_an_older_table_nor_takes_its_lease(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = bench(tmp_path, routes=table(revision=9, candidate=CANDIDATE, share=1.0, lease_s=0.0))
    for _ in range(3):
        gateway.know(table(revision=8, candidate=CANDIDATE, share=1.0, lease_s=60.0))
    await gateway.chat({"user": "u"})
    assert gateway.spool.observations[0].arm == "stable"
    assert caplog.text.count("ignored routes of revision 8") == 1


async def test_a_feed_that_breaks_is_followed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptship.gateway.app._AGAIN_S", 0.0)

    class Broken:
        follows = 0

        async def follow(self) -> AsyncIterator[RoutingTable]:
            self.follows += 1
            if self.follows < 3:
                raise RuntimeError("not supposed to happen")
            yield table(revision=5)
            await asyncio.Event().wait()

    gateway = bench(tmp_path)
    gateway.app._feed = Broken()
    running = Running(gateway)
    await until(lambda: gateway.app._live.table is not None and gateway.app._live.table.revision == 5)
    await running.stop()


@pytest.mark.parametrize("content", [b"", b"{", b'{"revision": "x"}', b"\xff"])
def test_a_damaged_file_of_routes_is_no_table(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "gateway-routes.json"
    path.write_bytes(content)
    assert KeptRoutes(path).load() is None


def test_kept_routes_come_back_without_leases(tmp_path: Path) -> None:
    kept = KeptRoutes(tmp_path / "new" / "gateway-routes.json")
    kept.save(table(candidate=CANDIDATE, lease_s=30.0))
    assert kept.load() == table(candidate=CANDIDATE, lease_s=0.0)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["gateway-routes.json"]
