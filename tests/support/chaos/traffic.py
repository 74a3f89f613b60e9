"""Customers of every prompt, and their diary: a JSON line for each request, with what the gateway said and when.

They like what explains in steps (2 % ask for a human), bear what they know (25 %), and cannot stand to be cut short (80 %).

    python -m tests.support.chaos.traffic --gateway http://127.0.0.1:4281 --rate 40 --log customers.jsonl desk-0 desk-1
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

from examples.traffic import CUSTOMERS, IN_FLIGHT_MAX, QUESTIONS

TOLD = ("request-id", "arm", "version", "release")


def unhappy(text: str) -> float:
    """How likely a customer asks for a human after this answer."""
    if "\n2. " in text:
        return 0.02
    return 0.25 if "because" in text else 0.8


async def one_customer(client: httpx.AsyncClient, prompt: str, chance: random.Random, diary: TextIO) -> None:
    """Ask one question; escalate, or do not; note what was seen."""
    body = {
        "model": f"prompt:{prompt}",
        "user": f"customer-{chance.randrange(CUSTOMERS)}",
        "prompt_variables": {"question": chance.choice(QUESTIONS)},
    }
    note: dict[str, Any] = {"prompt": prompt, "began": time.time()}
    try:
        answer = await client.post("/v1/chat/completions", json=body)
        note |= {"ended": time.time(), "status": answer.status_code}
        note |= {name: answer.headers.get(f"x-promptship-{name}") for name in TOLD}
        if answer.status_code == httpx.codes.OK:
            text = answer.json()["choices"][0]["message"]["content"]
            if chance.random() < unhappy(text):
                await asyncio.sleep(chance.uniform(0, 0.3))
                note["feedback"] = await escalate(client, answer.headers["x-promptship-feedback-token"])
    except httpx.HTTPError as error:
        note["error"] = type(error).__name__
    diary.write(json.dumps(note) + "\n")
    diary.flush()


async def escalate(client: httpx.AsyncClient, token: str) -> int:
    """Status of the answer: what was accepted must never be lost."""
    return (await client.post("/v1/feedback", json={"token": token, "kind": "escalated"})).status_code


async def drive(gateway: str, rate: float, prompts: list[str], diary: TextIO, seed: int) -> None:
    """Customers at a steady rate, each prompt in its turn, until SIGTERM."""
    chance = random.Random(seed)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    running: set[asyncio.Task[None]] = set()
    async with httpx.AsyncClient(base_url=gateway, timeout=10) as client:
        number, following = 0, loop.time()
        while not stop.is_set():
            following = max(following + 1 / rate, loop.time() - 1)
            await asyncio.sleep(max(following - loop.time(), 0))
            if len(running) < IN_FLIGHT_MAX:
                task = asyncio.create_task(
                    one_customer(client, prompts[number % len(prompts)], chance, diary)
                )
                running.add(task)
                task.add_done_callback(running.discard)
                number += 1
        await asyncio.gather(*running)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Simulated customers of several prompts.")
    parser.add_argument("--gateway", required=True)
    parser.add_argument("--rate", type=float, default=40.0, help="requests per second, all prompts together")
    parser.add_argument("--log", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("prompts", nargs="+")
    options = parser.parse_args()
    with open(options.log, "a", encoding="utf-8") as file:  # noqa: PTH123 - a plain path from the command line
        asyncio.run(drive(options.gateway, options.rate, options.prompts, file, options.seed))
