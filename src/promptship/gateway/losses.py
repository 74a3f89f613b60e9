"""Tells the control plane while lines of telemetry are being lost, so that no canary goes on with what is left of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import httpx

from promptship.adapters.hooks import is_loopback

_log = logging.getLogger(__name__)
EVERY_S: Final = 2.0
TIMEOUT_S: Final = 5.0


async def tell_losses(
    server_url: str, token: str, *, gateway: str, lost: Callable[[], int], every_s: float = EVERY_S
) -> None:
    """Say so whenever `lost` has grown, until cancelled. A control plane that is down is told later.

    Args:
        server_url: the control plane.
        token: the gateway's.
        gateway: how the control plane and people know this one.
        lost: lines that were lost since the gateway began.
        every_s: seconds between two looks.
    """
    url, told = f"{server_url.rstrip('/')}/api/routes/losses", 0
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        headers=headers, timeout=TIMEOUT_S, trust_env=not is_loopback(server_url)
    ) as client:
        while True:
            await asyncio.sleep(every_s)
            count = lost()
            if count == told:
                continue
            try:
                answer = await client.post(url, json={"gateway": gateway, "lost": count})
                answer.raise_for_status()
            except httpx.HTTPError as error:
                _log.warning("the control plane does not know yet that telemetry is being lost: %s", type(error).__name__)  # fmt: skip
            else:
                told = count
