"""The programs of docs/clients.md run against a gateway process, as they stand there but for its address."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, blocks
from tests.support.gateway import CANDIDATE, completion, table
from tests.support.gateway_process import running
from tests.support.loopback import raw, says

pytestmark = pytest.mark.system

PROGRAMS = [block.text for block in blocks(ROOT / "docs" / "clients.md") if block.language == "python"]
STATED = "http://127.0.0.1:4281"


async def run(program: str, provider: str, cache: Path) -> str:
    environment = dict(os.environ) | {
        "OPENAI_API_KEY": "unused", "OPENAI_BASE_URL": f"{provider}/v1", "XDG_CACHE_HOME": str(cache),
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, err.decode()) == (0, "")
    return out.decode()


async def test_the_quick_start_renders_reports_and_hears_the_customer(tmp_path: Path) -> None:
    routes = table(candidate=CANDIDATE, share=0.5)
    answer = says(raw("200 OK", completion("It arrives today."), "content-type: application/json"))
    async with running(tmp_path, routes, answer) as (gateway, _, provider):
        quick_start, later, with_asyncio = PROGRAMS[:3]
        await run((quick_start + later).replace(STATED, gateway.address), provider.url, tmp_path)
        (seen,), (said,) = gateway.lines(), gateway.lines("feedback")
        assert (seen["tokens_in"], seen["refusal"], seen["error"], seen["release"]) == (
            7,
            False,
            False,
            "r-1",
        )
        assert (said["request"], said["kind"], said["unit"]) == (seen["id"], "escalated", seen["unit"])
        assert said["request_at_ms"] == seen["at_ms"]
        assert (asked := provider.asked[0].json)["messages"][0]["content"].endswith("Where is my parcel?")
        assert asked["model"] == "gpt-x"
        told = await run(with_asyncio.replace(STATED, gateway.address), provider.url, tmp_path)
        assert told.split() == ["gpt-x", seen["version"][:12], seen["arm"]]


async def test_openfeature(tmp_path: Path) -> None:
    pytest.importorskip(
        "openfeature.contrib.provider.ofrep", reason="openfeature-provider-ofrep is not installed"
    )
    program = next(text for text in PROGRAMS if "OFREPProvider" in text) + "print(messages)\n"
    async with running(tmp_path, table(), says(raw("200 OK"))) as (gateway, _, provider):
        told = await run(program.replace(STATED, gateway.address), provider.url, tmp_path)
        assert told == "[{'role': 'system', 'content': 'Stable. Where is my parcel?'}]\n"
