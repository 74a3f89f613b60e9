"""A gateway process between a control plane and a provider on loopback."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from promptship.routing.table import RoutingTable
from promptship.settings import (
    GatewaySettings,
    ModelSettings,
    OtelSettings,
    ProviderSettings,
    ServerSettings,
    Settings,
)
from tests.support import run_gateway
from tests.support.control_plane import ControlPlane
from tests.support.loopback import Behaviour, Loopback

BODY: dict[str, Any] = {"model": "prompt:support", "prompt_variables": {"question": "why?"}}


@dataclass
class Gateway:
    """A running one."""

    process: asyncio.subprocess.Process
    http: httpx.AsyncClient
    root: Path
    address: str

    async def ask(self, **fields: Any) -> httpx.Response:
        return await self.http.post("/v1/chat/completions", json=BODY | fields)

    def lines(self, kind: str = "observations") -> list[dict[str, Any]]:
        """Every whole line of the spool; a torn one fails."""
        found: list[dict[str, Any]] = []
        for path in sorted((self.root / ".promptship/spool" / kind).glob("*.jsonl")):
            content = path.read_bytes()
            assert content.endswith(b"\n") or not content
            found += [orjson.loads(line) for line in content.splitlines()]
        return found

    async def serves(self, revision: int) -> None:
        """Wait until it knows that table."""
        await until(lambda: self._health("revision", revision))

    async def _health(self, key: str, value: object) -> bool:
        return bool((await self.http.get("/healthz")).json()[key] == value)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - another process has no event for us
            await asyncio.sleep(0.02)


@asynccontextmanager
async def gateway(
    root: Path,
    control: str,
    upstream: str,
    *,
    file_bytes_max: int | None = None,
    models: Mapping[str, ModelSettings] | None = None,
    providers: Mapping[str, ProviderSettings] | None = None,
    otel: OtelSettings | None = None,
    **more: Any,
) -> AsyncIterator[Gateway]:
    """A gateway process; killed at the end if it still runs. No file of it may grow beyond `file_bytes_max`."""
    port = int(control.rpartition(":")[2])
    settings = Settings(
        gateway=GatewaySettings(**({"port": 0, "timeout": 20.0} | more)),
        server=ServerSettings(port=port),
        providers={"main": ProviderSettings(base_url=f"{upstream}/v1"), **(providers or {})},
        models=dict(models or {}),
        otel=otel or OtelSettings(),
    )

    def limited() -> None:
        if file_bytes_max is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, file_bytes_max))

    with (root / "stderr").open("wb") as told:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            run_gateway.__file__,
            str(root),
            settings.model_dump_json(),
            stdout=asyncio.subprocess.PIPE,
            stderr=told,
            env=dict(os.environ) | {"KEY": "upstream-key"},
            preexec_fn=limited,
        )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            address = (await process.stdout.readline()).decode().strip()
        async with httpx.AsyncClient(base_url=address, timeout=30.0) as client:
            yield Gateway(process, client, root, address)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def running(
    root: Path, routes: RoutingTable, upstream: Behaviour, **options: Any
) -> AsyncIterator[tuple[Gateway, ControlPlane, Loopback]]:
    """Gateway, control plane and provider, once the gateway knows the routes."""
    plane = ControlPlane(routes)
    async with (
        Loopback(plane) as control,
        Loopback(upstream) as provider,
        gateway(root, control.url, provider.url, **options) as started,
    ):
        await started.serves(routes.revision)
        yield started, plane, provider
