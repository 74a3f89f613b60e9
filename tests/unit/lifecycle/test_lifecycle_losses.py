"""What a gateway could not write down makes every canary hold, and nothing else."""

from __future__ import annotations

import asyncio

from promptship.gateway.losses import tell_losses
from promptship.lifecycle.losses import HOLD_S, KEEP_EVERY_S, losing, note_loss
from promptship.release.phase import Phase
from tests.support.house import House
from tests.support.plane import TOKEN, World, client
from tests.support.standin import Said, stand_in

WRONG: list[object] = [{"gateway": "", "lost": 3}, {"gateway": "g", "lost": 0}, {"lost": 3}, []]


def in_canary() -> tuple[House, str]:
    house = House()
    house.adopt()
    release = house.push("Say hello kindly.")
    house.run_flow(release)
    return house, release


def test_a_canary_holds_while_telemetry_is_lost_and_goes_on_after() -> None:
    house, release = in_canary()
    for _ in range(12):
        note_loss(house.app, gateway="g1:4281", lost=7)
        house.traffic(200, bad=0.02)
        house.look()
    held = house.release(release)
    assert (held.phase, held.stage) == (Phase.CANARY, 0)
    assert held.last_look is not None
    assert "g1:4281 cannot write its telemetry (7 lines lost)" in str(held.last_look.verdict)
    house.clock.advance(HOLD_S)
    assert losing(house.app, at=house.clock.now()) == ()
    assert house.until(release, "awaiting_approval", bad=0.02).phase is Phase.AWAITING_APPROVAL


def test_a_gateway_that_loses_all_the_time_is_noted_now_and_then() -> None:
    house = House()
    for number in range(1, 61):
        note_loss(house.app, gateway="g", lost=number)
        house.clock.advance(1)
    kept = [entry.data["lost"] for entry in house.journal.entries("losses:g")]
    assert kept == [1, 1 + KEEP_EVERY_S]


async def test_a_gateways_token_may_tell_it_and_nothing_nameless_is_kept() -> None:
    world = World()
    async with client(world.asgi(), token=TOKEN) as http:
        told = await http.post("/api/routes/losses", json={"gateway": "g:1", "lost": 3})
        wrong = [await http.post("/api/routes/losses", json=body) for body in WRONG]
    assert told.status_code == 200
    assert {answer.status_code for answer in wrong} == {400}
    assert losing(world.app, at=world.clock.now()) == (
        "gateway g:1 cannot write its telemetry (3 lines lost): is its disk full?",
    )


async def test_a_control_plane_that_is_down_is_told_later() -> None:

    said, counts = [503, 200], iter([0, 2, 2, 2, 5])
    done = asyncio.Event()

    def lost() -> int:
        count = next(counts, None)
        if count is None:
            done.set()
            return 5
        return count

    with stand_in(lambda _: Said(said.pop(0) if said else 200, {})) as server:
        telling = asyncio.create_task(tell_losses(server.url, "t", gateway="g", lost=lost, every_s=0.01))
        await asyncio.wait_for(done.wait(), 20)
        telling.cancel()
    assert [(one.path, one.json["lost"]) for one in server.asked] == [
        ("/api/routes/losses", 2), ("/api/routes/losses", 2), ("/api/routes/losses", 5),
    ]  # fmt: skip
    assert {one.headers["authorization"] for one in server.asked} == {"Bearer t"}
