"""Routes by environment over HTTP: a gateway is told its own, and a change elsewhere is no news to it."""

import asyncio
from datetime import timedelta

import orjson

from promptship.ports import RouteChange
from promptship.release.events import RolledBack
from promptship.server.feed import RouteBroadcast
from promptship.settings import EnvironmentSettings
from tests.support.plane import CANDIDATE, STABLE, World, client, in_canary


def staged() -> World:
    """Two environments; each serves the prompt, and the default one has a canary."""
    world = World()
    environments = {"staging": EnvironmentSettings(branch="staging")}
    world.settings = world.settings.model_copy(update={"environments": environments})
    in_canary(world)
    world.app.routes.adopt("staging/support-reply", CANDIDATE, actor="person:mira", at=world.clock.now())
    return world


async def test_a_table_is_that_of_the_environment_that_is_asked_for() -> None:
    async with client(staged().asgi()) as http:
        plain = (await http.get("/api/routes")).json()
        named = (await http.get("/api/routes", params={"environment": "production"})).json()
        staging = (await http.get("/api/routes", params={"environment": "staging"})).json()
    assert plain == named
    assert set(plain["routes"]) == set(staging["routes"]) == {"support-reply"}
    assert plain["routes"]["support-reply"]["stable"] == STABLE.digest
    assert plain["routes"]["support-reply"]["split"]["candidate"] == CANDIDATE.digest
    assert staging["routes"]["support-reply"]["stable"] == CANDIDATE.digest
    assert set(staging["versions"]) == {CANDIDATE.digest}


async def test_an_environment_that_is_not_there_is_one_clear_error() -> None:
    async with client(staged().asgi()) as http:
        for path in ("/api/routes", "/api/routes/events"):
            answer = await http.get(path, params={"environment": "stagin"})
            assert answer.is_client_error
            assert "environments here: staging, production" in answer.text
        opened = await http.post(
            "/api/releases", json={"prompt": "x", "ref": "main", "who": "mira", "environment": "nowhere"}
        )
        assert opened.is_client_error
        assert "expected the name of an environment" in opened.text


async def test_what_is_done_to_a_prompt_is_done_in_the_environment_of_the_query() -> None:
    world = staged()
    async with client(world.asgi()) as http:
        path = "/api/prompts/support-reply"
        here = (await http.get(f"{path}/history")).json()
        there = (await http.get(f"{path}/history", params={"environment": "staging"})).json()
        assert (here["prompt"], there["prompt"]) == ("support-reply", "staging/support-reply")
        said = {"who": "mira", "reason": "fire", "to": CANDIDATE.digest}
        killed = await http.post(f"{path}/kill", params={"environment": "staging"}, json=said)
        listed = (await http.get("/api/releases", params={"environment": "staging"})).json()
    assert killed.is_success
    assert listed["releases"] == []
    route = world.app.routes.get("support-reply")
    assert route is not None
    assert route.killed is None
    assert route.split is not None


async def test_streams_tell_changes_and_leases_of_their_own_environment_only() -> None:
    world = staged()
    broadcast = RouteBroadcast(world.app.routes, poll_s=0.01, lease_s=0.02)
    running = asyncio.create_task(broadcast.run())
    heard: dict[str, list[tuple[str, dict[str, object]]]] = {"": [], "staging": []}

    async def listen(environment: str) -> None:
        async for event in broadcast.stream(environment):
            if event.startswith(b"event: "):
                name, data = event.decode().split("\n")[:2]
                told = (name.removeprefix("event: "), orjson.loads(data.removeprefix("data: ")))
                heard[environment].append(told)

    async def until(environment: str, kind: str, times: int) -> None:
        while sum(one == kind for one, _ in heard[environment]) < times:  # noqa: ASYNC110 - a stream has no event for us
            await asyncio.sleep(0.01)

    listening = [asyncio.create_task(listen(one)) for one in heard]
    async with asyncio.timeout(20):
        for one in heard:
            await until(one, "lease", 2)
        production = world.app.routes.get("support-reply")
        assert production is not None
        change = RouteChange(
            prompt="support-reply", expected_revision=production.revision, stable=CANDIDATE.digest, commit="b" * 40
        )  # fmt: skip
        release = world.app.release(world.app.ledger.summaries()[0].id)
        world.app.ledger.append(
            release.id, [RolledBack(by="person", reason="x", version=STABLE.digest)], expected_seq=release.seq,
            actor="person:mira", at=world.clock.now() + timedelta(seconds=1), route=change,
        )  # fmt: skip
        await until("", "table", 2)
        seen = len(heard["staging"])
        await until("staging", "lease", sum(kind == "lease" for kind, _ in heard["staging"]) + 2)
    assert [kind for kind, _ in heard["staging"]].count("table") == 1
    assert all(kind == "lease" for kind, _ in heard["staging"][seen:])
    leases = [data for kind, data in heard["staging"] if kind == "lease"]
    table = next(data for kind, data in heard["staging"] if kind == "table")
    assert all(one == {"revision": table["revision"], "leases": {}} for one in leases)
    first = next(data for kind, data in heard[""] if kind == "lease")
    assert set(first["leases"]) == {"support-reply"}  # type: ignore[call-overload]
    broadcast.close()
    await running
    await asyncio.gather(*listening)
