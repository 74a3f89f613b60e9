"""Simulated customers: a steady rate of requests through the gateway, some of whom ask for a human afterwards.

Whether a customer escalates depends only on the answer he got, with these chances:

    numbered steps 6 %     a reason 12 %     no reason at all 35 %     an error 50 %

One JSON line per answered request goes to `--log`, so that the demo can say when the first bad answer was given and when the
last customer saw the candidate.

    python examples/traffic.py --gateway http://127.0.0.1:4281 --rate 50 --log traffic.jsonl
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import time
from typing import Any, TextIO

import httpx

QUESTIONS = (
    "Why was my refund declined?",
    "How long does a refund take?",
    "My card was blocked abroad, what now?",
    "I cannot log in after three tries",
    "What is this fee of 4.90?",
    "My transfer has not arrived",
)
CUSTOMERS = 5_000
IN_FLIGHT_MAX = 200


def escalation_chance(status: int, text: str) -> float:
    """How likely a customer asks for a human after this answer."""
    if status != httpx.codes.OK:
        return 0.5
    if "\n2. " in text:
        return 0.06
    return 0.12 if "because" in text else 0.35


async def one_customer(client: httpx.AsyncClient, chance: random.Random, log: TextIO) -> None:
    """Ask one question; escalate, or do not."""
    body = {
        "model": "prompt:support",
        "user": f"customer-{chance.randrange(CUSTOMERS)}",
        "prompt_variables": {"question": chance.choice(QUESTIONS)},
    }
    began = time.time()
    try:
        answer = await client.post("/v1/chat/completions", json=body)
    except httpx.HTTPError as error:
        _write(log, {"at": began, "error": type(error).__name__})
        return
    text = answer.json()["choices"][0]["message"]["content"] if answer.status_code == httpx.codes.OK else ""
    escalated = chance.random() < escalation_chance(answer.status_code, text)
    headers = answer.headers
    token = headers.get("x-promptship-feedback-token")
    if escalated and token:
        # Most customers who want a human say so within a second or two.
        await asyncio.sleep(chance.uniform(0.1, 1.2))
        await _escalate(client, token)
    seen = {name: headers.get(f"x-promptship-{name}") for name in ("arm", "version", "release")}
    _write(log, {"at": began, "status": answer.status_code, "escalated": escalated, **seen})


async def _escalate(client: httpx.AsyncClient, token: str) -> None:
    try:
        await client.post("/v1/feedback", json={"token": token, "kind": "escalated"})
    except httpx.HTTPError:
        return


def _write(log: TextIO, line: dict[str, Any]) -> None:
    log.write(json.dumps(line) + "\n")
    log.flush()


async def drive(gateway: str, rate: float, log: TextIO, seed: int | None) -> None:
    """Start customers at a steady rate until SIGTERM; a gateway that is too slow makes them queue, never pile up without end."""
    chance = random.Random(seed)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    running: set[asyncio.Task[None]] = set()
    async with httpx.AsyncClient(base_url=gateway, timeout=10, limits=limits) as client:
        following = loop.time()
        while not stop.is_set():
            following += 1 / rate
            await asyncio.sleep(max(following - loop.time(), 0))
            if len(running) < IN_FLIGHT_MAX:
                task = asyncio.create_task(one_customer(client, chance, log))
                running.add(task)
                task.add_done_callback(running.discard)
        await asyncio.gather(*running)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Simulated customers of the support prompt.")
    parser.add_argument("--gateway", default="http://127.0.0.1:4281")
    parser.add_argument("--rate", type=float, default=50.0, help="requests per second")
    parser.add_argument("--log", required=True)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    with open(options.log, "a", encoding="utf-8") as file:  # noqa: PTH123 - a plain path from the command line
        asyncio.run(drive(options.gateway, options.rate, file, options.seed))
