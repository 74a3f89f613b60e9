"""An experiment with three arms on a real gateway: served by weight, sticky, counted from its spool, and the bad arm dropped."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from promptship.adapters.clock import SystemClock
from promptship.adapters.database import connect, migrate
from promptship.adapters.ledger.sql_journal import SqlJournal
from promptship.adapters.ledger.sql_ledger import SqlLedger
from promptship.adapters.ledger.sql_routes import SqlRoutes
from promptship.adapters.telemetry.measurements import SpoolMeasurements
from promptship.lifecycle import experiments
from promptship.lifecycle.app import App
from promptship.lifecycle.experiment_arms import Asked
from promptship.lifecycle.experiment_record import Status, read
from promptship.routing.choice import Choice, choose
from promptship.watcher import Watcher
from tests.support.arms_traffic import version_of
from tests.support.control_plane import ControlPlane
from tests.support.gateway import completion
from tests.support.gateway_process import Gateway, running
from tests.support.house import House
from tests.support.loopback import Asked as Request
from tests.support.loopback import raw

pytestmark = pytest.mark.system

OLD, SHORT, WARM = "Say hello.", "Say hello shortly.", "Say hello warmly."
PLAN = """
[[plans.default.canary.guardrails]]
metric = "error_rate"
"""
USERS = 120


async def answer(asked: Request, writer: asyncio.StreamWriter) -> None:
    """The provider: what WARM asks is answered with an error."""
    if asked.json["messages"][0]["content"] == WARM:
        writer.write(
            raw("400 Bad Request", b'{"error": {"message": "no"}}', "content-type: application/json")
        )
    else:
        writer.write(raw("200 OK", completion(), "content-type: application/json"))
    await writer.drain()


def on_disk(house: House, root: Path) -> App:
    """The house's app on a real ledger, and on the gateway's own spool."""
    engine, clock = connect(f"sqlite:///{root / 'ledger.db'}"), SystemClock()
    migrate(engine)
    measurements = SpoolMeasurements(engine, root / ".promptship/spool", clock, bucket_s=1.0)
    return replace(
        house.app, ledger=SqlLedger(engine), routes=SqlRoutes(engine, clock), journal=SqlJournal(engine), clock=clock,
        measurements=measurements, close=engine.dispose,
    )  # fmt: skip


async def ask_everybody(started: Gateway, app: App) -> Counter[str]:
    """Every user once; each gets exactly what the route says. Returns how often each arm was told."""
    told: Counter[str] = Counter()
    route = app.routes.table().routes["support"]
    for number in range(USERS):
        unit = f"user-{number}"
        heard = await started.ask(user=unit, prompt_variables={})
        choice = choose(route, prompt="support", pin="", unit=unit, leased=True)
        assert isinstance(choice, Choice)
        assert heard.headers["x-promptship-version"] == choice.version
        assert heard.headers.get("x-promptship-variant", "") == choice.variant
        assert heard.headers.get("x-promptship-release") == choice.release
        told[choice.variant] += 1
    return told


async def test_three_arms_by_weight_sticky_and_the_bad_one_dropped(tmp_path: Path) -> None:
    house = House(plan=PLAN, root=tmp_path)
    commits = [house.commit(text) for text in (SHORT, WARM, OLD)]
    app = on_disk(house, tmp_path)
    from promptship.lifecycle.adopting import adopt

    adopt(app, [], ref=commits[2], actor="person:test")
    asked = Asked((f"short={commits[0]}", f"warm={commits[1]}:2"))
    begun = experiments.start(app, "support", asked, share=1.0, lasts_s=None, metrics=(), actor="person:test")
    watcher = Watcher(app)
    async with running(tmp_path, app.routes.table(), answer) as (started, plane, _):
        first = await ask_everybody(started, app)
        assert set(first) == {"control", "short", "warm"}
        assert first["warm"] > first["short"]
        for _ in range(20):
            await tell(plane, app, watcher)
            if read(app, begun.id).dropped:
                break
            assert await ask_everybody(started, app) == first  # everybody keeps his arm
        found = read(app, begun.id)
        assert set(found.dropped) == {"warm"}
        assert "error_rate" in found.dropped["warm"]
        assert found.status is Status.RUNNING
        table = app.routes.table()
        await plane.push(table)
        await started.serves(table.revision)
        last = await ask_everybody(started, app)
        assert last == {"control": first["control"], "short": first["short"], "": first["warm"]}
        served = {line["version"] for line in started.lines()[-USERS:]}
        assert served == {version_of(OLD), version_of(SHORT)}
        assert {line["decision"] for line in started.lines()[-USERS:]} == {"in", "dropped"}
    assert app.ledger.verify().problems == ()
    app.close()


async def tell(plane: ControlPlane, app: App, watcher: Watcher) -> None:
    """A turn of the watcher, and what it did to route and lease, to the gateway."""
    await asyncio.to_thread(watcher.turn)
    await plane.push(app.routes.table())
