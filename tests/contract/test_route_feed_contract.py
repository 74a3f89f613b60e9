"""What every `RouteFeed` promises, and how the one over HTTP keeps it when the control plane does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from promptship.adapters.memory.route_feed import MemoryRouteFeed
from promptship.client.feed import HttpRouteFeed
from promptship.client.live import elapsed
from promptship.routing.table import RoutingTable
from tests.support.control_plane import ControlPlane
from tests.support.gateway import CANDIDATE, Now, table
from tests.support.loopback import Behaviour, Loopback

ONE = table(revision=1, candidate=CANDIDATE, lease_s=20.0)
TWO = table(revision=2, candidate=CANDIDATE, lease_s=20.0)


@asynccontextmanager
async def served(plane: Behaviour, **options: object) -> AsyncIterator[AsyncIterator[RoutingTable]]:
    async with Loopback(plane) as server:
        feed = HttpRouteFeed(server.url, "tok", poll_s=0.01, **options)  # type: ignore[arg-type]
        async with aclosing(feed.follow()) as tables:  # type: ignore[type-var]
            yield tables


async def following(tables: AsyncIterator[RoutingTable]) -> RoutingTable:
    async with asyncio.timeout(5):
        return await anext(tables)


async def reaches(tables: AsyncIterator[RoutingTable], wanted: int) -> RoutingTable:
    while (seen := await following(tables)).revision != wanted:
        pass
    return seen


def lease(routes: RoutingTable) -> float:
    split = routes.routes["support"].split
    assert split is not None
    return split.lease_s


@pytest.mark.parametrize("kind", ["http", "memory"])
async def test_the_table_at_once_and_then_every_change(kind: str) -> None:
    plane, memory = ControlPlane(ONE), MemoryRouteFeed(ONE)
    async with served(plane) as over_http:
        tables = over_http if kind == "http" else memory.follow()
        assert (await following(tables)).revision == 1
        if kind == "http":
            await plane.push(TWO)
        else:
            memory.push(TWO)
        assert (await reaches(tables, 2)).routes.keys() == TWO.routes.keys()


async def test_memory_feed_serves_every_follower() -> None:
    memory = MemoryRouteFeed()
    first, second = memory.follow(), memory.follow()
    waiting = [asyncio.ensure_future(anext(one)) for one in (first, second)]
    await asyncio.sleep(0)
    memory.push(ONE)
    assert [await one for one in waiting] == [ONE, ONE]


async def test_a_lease_notice_renews_without_a_change() -> None:
    plane = ControlPlane(ONE)
    now = Now()
    async with served(plane, monotonic=now.monotonic) as tables:
        assert lease(await following(tables)) == 20.0
        await plane.renew(1, {"support": 12.5, "another": 3.0})
        renewed = await following(tables)
        assert (renewed.revision, lease(renewed)) == (1, 12.5)


async def test_a_prompt_that_a_notice_leaves_out_keeps_only_what_is_left() -> None:
    plane = ControlPlane(ONE)
    now = Now()
    async with served(plane, monotonic=now.monotonic) as tables:
        await following(tables)
        waiting = asyncio.ensure_future(following(tables))
        await asyncio.sleep(0.05)
        now.seconds += 15.0
        await plane.renew(1, {})
        assert lease(await waiting) == 5.0


async def test_a_notice_of_a_revision_that_passed_us_by_fetches_the_table() -> None:
    plane = ControlPlane(ONE)
    async with served(plane) as tables:
        await following(tables)
        plane.current = TWO
        await plane.renew(2, {"support": 9.0})
        assert (await following(tables)).revision == 2


@pytest.mark.parametrize("broken", [{"/api/routes/events"}, {"/api/routes/events", "/api/routes"}])
async def test_it_polls_while_the_stream_is_broken_and_never_ends(broken: set[str]) -> None:
    plane = ControlPlane(ONE)
    async with served(plane) as tables:
        await following(tables)
        plane.broken = broken
        await plane.say(b"")  # ends the stream
        waiting = asyncio.ensure_future(reaches(tables, 2))
        await asyncio.sleep(0.05)
        plane.current = TWO
        plane.broken = broken - {"/api/routes"}
        assert (await waiting).revision == 2


@pytest.mark.parametrize(
    "event",
    [b"event: table\ndata: {\n\n", b"event: lease\ndata: []\n\n", b"event: table\ndata: {}\n\n", b""],
)
async def test_nonsense_in_the_stream_is_survived(event: bytes) -> None:
    plane = ControlPlane(ONE)
    async with served(plane) as tables:
        await following(tables)
        plane.current = TWO
        await plane.say(event)
        assert (await reaches(tables, 2)).revision == 2


async def test_unknown_events_and_split_data_lines_are_read_as_the_standard_says() -> None:
    plane = ControlPlane(ONE)
    async with served(plane) as tables:
        await following(tables)
        await plane.say(b"event: news\nid: 4\ndata: x\n\ndata: y\n\n")
        first, _, second = TWO.model_dump_json().partition(",")
        await plane.say(f"event:table\ndata: {first},\ndata: {second}\n\n".encode())
        assert (await following(tables)).revision == 2


async def test_a_refused_token_is_said_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    plane = ControlPlane(ONE)
    async with Loopback(plane) as server:
        feed = HttpRouteFeed(server.url, "wrong", poll_s=0.001)
        async with aclosing(feed.follow()) as tables:  # type: ignore[type-var]
            waiting = asyncio.ensure_future(anext(tables))
            while len(server.asked) < 4:  # noqa: ASYNC110 - a list has no event
                await asyncio.sleep(0.001)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
    assert caplog.text.count("answered 401 to /api/routes") == 1
    assert "wrong" not in caplog.text


def test_time_only_shortens_leases() -> None:
    assert lease(elapsed(ONE, 5.0)) == 15.0
    assert lease(elapsed(ONE, 500.0)) == 0.0
    assert elapsed(table(), 5.0) == table()
