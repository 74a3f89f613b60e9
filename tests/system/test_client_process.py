"""The client in processes of its own, against a gateway process: what it loads, forks, threads, ends; and a gateway that dies."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from promptship.client import AsyncClient
from tests.support import client_programs
from tests.support.client_gateway import becomes
from tests.support.control_plane import ControlPlane
from tests.support.gateway import CANDIDATE, STABLE_DIGEST, table
from tests.support.gateway_process import Gateway, running
from tests.support.loopback import raw, says

pytestmark = pytest.mark.system

WHY = {"question": "why?"}
UNITS = [f"u{number}" for number in range(40)]


@asynccontextmanager
async def serving(root: Path) -> AsyncIterator[tuple[Gateway, ControlPlane]]:
    routes = table(revision=1, candidate=CANDIDATE, share=0.5, lease_s=600.0)
    async with running(root, routes, says(raw("200 OK"))) as (started, plane, _):
        yield started, plane


async def run(what: str, gateway: str, cache: Path) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore::DeprecationWarning", client_programs.__file__, what, gateway, str(cache),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, err.decode()) == (0, "")
    return out.decode().splitlines()


async def test_it_loads_nothing_heavy_and_at_first_next_to_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as (started, _):
        assert await run("light", started.address, tmp_path) == ["[]", "[]"]
        assert len(started.lines()) == 1


async def test_a_forked_child_goes_on_by_itself_and_the_end_of_a_process_sends_what_waits(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as (started, _):
        told = await run("forked", started.address, tmp_path)
        assert sorted(line.split()[0] for line in told) == ["child", "parent"]
        assert len({line.split()[1] for line in told}) == 1
        assert {line.split()[2] for line in told} == {"1"}
        assert sorted(line["latency_ms"] for line in started.lines()) == [1.0, 2.0, 2.0]


async def test_sixteen_threads_share_one_client_and_none_is_left(tmp_path: Path) -> None:
    async with serving(tmp_path) as (started, _):
        assert await run("threads", started.address, tmp_path) == ["16 1 16 []"]
        assert len({line["id"] for line in started.lines()}) == 16


async def test_a_rollback_reaches_the_client_and_a_dead_gateway_changes_nothing(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as (started, plane),
        AsyncClient(started.address, key="", cache=tmp_path / "cache") as client,
    ):
        support = await client.get("support")
        arms = {unit: support.choose(unit).arm for unit in UNITS}
        assert set(arms.values()) == {"stable", "candidate"}
        asked = await asyncio.gather(*(started.ask(user=unit) for unit in UNITS))
        assert {
            unit: answer.headers["x-promptship-arm"] for unit, answer in zip(UNITS, asked, strict=True)
        } == arms
        await plane.push(table(revision=2))
        await becomes(lambda: client.state.revision == 2)
        assert {support.choose(unit).version for unit in UNITS} == {STABLE_DIGEST}
        started.process.send_signal(signal.SIGKILL)
        await started.process.wait()
        await becomes(lambda: bool(client.state.trouble))
        assert support.render(WHY, unit="u").version == STABLE_DIGEST
        async with AsyncClient(started.address, key="", cache=tmp_path / "cache") as restarted:
            assert (await restarted.get("support")).render(WHY).version == STABLE_DIGEST
            assert restarted.state.source == "disk"


async def test_a_gateway_that_is_told_to_stop_does_not_wait_for_who_follows_it(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as (started, _),
        AsyncClient(started.address, key="", cache=None) as client,
    ):
        await client.get("support")
        await becomes(lambda: client.state.source == "gateway")
        started.process.terminate()
        # Far less than the 10 s that a running request would be given.
        assert await asyncio.wait_for(started.process.wait(), 8) == 0
