"""The route feed: one poller for all, tables on every change, leases as of the moment they are sent."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import orjson
import pytest

from promptship.errors import Unavailable
from promptship.lifecycle.ending import cancel
from promptship.ports import RouteChange
from promptship.release import events as e
from promptship.release.plan import Plan
from promptship.routing.table import Route, RoutingTable
from promptship.server.feed import RouteBroadcast
from tests.support.plane import CANDIDATE, STABLE, World, client, in_canary


class Counted:
    """Routes that count their reads and can be down."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.down = False
        self.reads = {"table": 0, "revision": 0, "get": 0}

    def _read(self, name: str) -> None:
        self.reads[name] += 1
        if self.down:
            raise Unavailable("down")

    def table(self) -> RoutingTable:
        self._read("table")
        table: RoutingTable = self.real.table()
        return table

    def revision(self) -> int:
        self._read("revision")
        revision: int = self.real.revision()
        return revision

    def get(self, prompt: str) -> Route | None:
        self._read("get")
        route: Route | None = self.real.get(prompt)
        return route


@pytest.fixture
async def fed() -> AsyncIterator[tuple[World, Counted, RouteBroadcast]]:
    world = World()
    routes = Counted(world.routes)
    broadcast = RouteBroadcast(routes, poll_s=0.01, lease_s=0.02)  # type: ignore[arg-type]
    running = asyncio.create_task(broadcast.run())
    async with asyncio.timeout(20):
        yield world, routes, broadcast
    broadcast.close()
    await running


async def next_of(stream: AsyncIterator[bytes], kind: str, where: Any = lambda _: True) -> Any:
    async for event in stream:
        name, _, data = event.partition(b"\n")
        if name == b"event: " + kind.encode():
            content = orjson.loads(data.removeprefix(b"data: "))
            if where(content):
                return content
    pytest.fail("the stream ended")


Fed = tuple[World, Counted, RouteBroadcast]


async def test_the_table_comes_at_once_and_on_every_change(fed: Fed) -> None:
    world, _, broadcast = fed
    stream = broadcast.stream()
    assert (await next_of(stream, "table"))["routes"] == {}
    release_id = in_canary(world)
    first = await next_of(
        stream, "table", lambda table: table["routes"].get("support-reply", {}).get("split")
    )
    assert first["routes"]["support-reply"]["split"]["release_id"] == release_id
    assert len(first["versions"]) == 2
    cancel(world.app, release_id, actor="person:mira", reason="x")
    last = await next_of(stream, "table", lambda table: table["revision"] > first["revision"])
    assert last["routes"]["support-reply"]["split"] is None


async def test_leases_are_told_as_they_are_now(fed: Fed) -> None:
    world, _, broadcast = fed
    release_id = in_canary(world)
    stream = broadcast.stream()
    revision = (await next_of(stream, "table"))["revision"]
    assert await next_of(stream, "lease") == {"revision": revision, "leases": {"support-reply": 60.0}}
    world.clock.advance(45)
    await next_of(stream, "lease", lambda notice: notice["leases"] == {"support-reply": 15.0})
    world.app.routes.renew("support-reply", release_id, until=world.clock.now().replace(hour=1))
    await next_of(stream, "lease", lambda notice: notice["leases"]["support-reply"] > 1000)


async def test_who_comes_later_gets_the_lease_that_is_left_then(fed: Fed) -> None:
    world, _, broadcast = fed
    in_canary(world)
    await next_of(broadcast.stream(), "table")
    world.clock.advance(50)
    await asyncio.sleep(0.3)  # longer than a table may be shared
    table = await next_of(broadcast.stream(), "table")
    assert table["routes"]["support-reply"]["split"]["lease_s"] == 10.0


async def test_a_lease_of_another_split_is_not_told_for_the_one_that_is_known() -> None:
    world = World()
    release_id = in_canary(world)
    known = world.app.routes.table()
    assert RouteBroadcast(world.app.routes)._leases(known) == {"support-reply": 60.0}
    cancel(world.app, release_id, actor="person:mira", reason="x")
    assert RouteBroadcast(world.app.routes)._leases(known) == {}
    in_another = world.app.ledger.open_release(
        e.Requested(prompt="support-reply", path="p", commit="f" * 40, author="a@b"),
        actor="flow",
        at=world.clock.now(),
    )[0]
    route = world.app.routes.get("support-reply")
    assert route is not None
    facts: list[e.Fact] = [
        e.Linted(version=CANDIDATE.digest, plan=Plan().model_dump(mode="json")),
        e.Evaluated(stable=STABLE.digest, verdict={}),
        e.StageStarted(stage=0, share=0.01, salt="s", stable=STABLE.digest),
    ]
    change = RouteChange(
        prompt="support-reply", expected_revision=route.revision, stable=STABLE.digest, commit=STABLE.commit,
        release_id=in_another, candidate=CANDIDATE.digest, stage=0, share=0.01, salt="s",
        lease_until=world.clock.now() + timedelta(seconds=30),
    )  # fmt: skip
    world.app.ledger.append(
        in_another, facts, expected_seq=0, actor="flow", at=world.clock.now(), route=change
    )
    assert RouteBroadcast(world.app.routes)._leases(known) == {}


async def test_many_streams_share_one_read(fed: Fed) -> None:
    world, routes, broadcast = fed
    in_canary(world)
    streams = [broadcast.stream() for _ in range(200)]
    before = routes.reads["table"]
    tables = await asyncio.gather(*(next_of(stream, "table") for stream in streams))
    assert {table["revision"] for table in tables} == {2}
    # They come within a moment, so a handful of reads serves all; 200 would mean one each.
    assert routes.reads["table"] - before <= 20


async def test_the_poller_outlives_trouble_and_says_nothing_meanwhile(fed: Fed) -> None:
    world, routes, broadcast = fed
    stream = broadcast.stream()
    await next_of(stream, "table")
    routes.down = True
    seen = routes.reads["revision"]
    while routes.reads["revision"] < seen + 3:  # noqa: ASYNC110 - the poller knows nobody who waits for it
        await asyncio.sleep(0.01)
    routes.down = False
    in_canary(world)
    await next_of(stream, "table", lambda table: table["routes"])


async def test_closing_ends_every_stream(fed: Fed) -> None:
    _, _, broadcast = fed
    streams = [broadcast.stream() for _ in range(3)]
    for stream in streams:
        await next_of(stream, "table")
    broadcast.close()
    for stream in streams:
        assert [event async for event in stream if event.startswith(b"event: table")] == []


async def test_a_ledger_that_is_down_is_a_503() -> None:
    world = World()
    routes = Counted(world.routes)
    routes.down = True
    world.routes = routes  # type: ignore[assignment]
    async with client(world.asgi()) as http:
        for path in ("/api/routes", "/api/routes/events"):
            assert (await http.get(path)).status_code == 503
