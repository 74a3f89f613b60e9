"""A provider simulator: an OpenAI-compatible endpoint whose answers have a known quality. Not a language model.

It reads the system prompt the way a lazy model would, and answers with real randomness:

| the prompt says               | a support answer                                   | an answer's length |
|-------------------------------|----------------------------------------------------|--------------------|
| "explain", "numbered steps"   | the reason, then numbered steps                    | long               |
| "explain"                     | the reason, then one next step                     | medium             |
| "be concise"                  | one line that names the topic and explains nothing | short              |

How often a customer then asks for a human is a property of the customers: see `traffic.py`.

    python examples/simulator.py --port 4290
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

TOPICS = {
    "refund": "refund",
    "card": "card",
    "log in": "log in",
    "login": "log in",
    "fee": "fee",
    "transfer": "transfer",
}
ERROR_RATE = 0.002
LATENCY_MS_MEDIAN = 45.0


def topic_of(text: str) -> str:
    """The first known topic a text mentions."""
    lowered = text.lower()
    return next((topic for word, topic in TOPICS.items() if word in lowered), "question")


def answer(messages: list[dict[str, Any]], chance: random.Random) -> str:
    """What the simulated model says."""
    system = " ".join(str(m["content"]) for m in messages if m["role"] in {"system", "developer"}).lower()
    last = str(messages[-1]["content"])
    if "json only" in system:
        topic = topic_of(last)
        return json.dumps(
            {"queue": {"log in": "login", "refund": "refund", "card": "card"}.get(topic, "other")}
        )
    if "sort the message" in system:
        return f"Sure! I would say this is about {topic_of(last)}, so the right team will take care of it."
    if "welcome" in last.lower():
        name = next(
            (w.strip(".,") for w in last.split() if w[0].isupper() and w not in {"Write", "Acorn", "Bank"}),
            "you",
        )
        return f"Welcome to Acorn Bank, {name}! We are glad that you are here."
    return _support(topic_of(last), system, chance)


def _support(topic: str, system: str, chance: random.Random) -> str:
    if "be concise" in system:
        return f"Your {topic} request cannot be processed. See the help page about {topic}."
    reason = chance.choice(
        [
            f"because the {topic} check found two different names",
            f"because the {topic} was made after the 14 days we can act in",
            f"because our partner had not confirmed the {topic} yet",
        ]
    )
    if "numbered steps" in system:
        return (
            f"This happened {reason}.\n1. Open the app and choose {topic} (1 minute).\n"
            "2. Confirm your name (2 minutes).\n3. We write to you within one working day."
        )
    return f"This happened {reason}. You can open the app, choose {topic} and ask for a review."


async def complete(request: Request) -> Response:
    """POST /v1/chat/completions, plain or streaming."""
    body = await request.json()
    chance: random.Random = request.app.state.chance
    await asyncio.sleep(chance.lognormvariate(0, 0.35) * LATENCY_MS_MEDIAN / 1000)
    if chance.random() < ERROR_RATE:
        return JSONResponse(
            {"error": {"message": "simulated overload", "type": "server_error"}}, status_code=500
        )
    text = answer(body["messages"], chance)
    tokens_in = sum(len(str(m["content"])) for m in body["messages"]) // 4
    usage = {
        "prompt_tokens": tokens_in,
        "completion_tokens": len(text) // 4,
        "total_tokens": tokens_in + len(text) // 4,
    }
    head = {"id": f"sim-{chance.getrandbits(48):x}", "created": int(time.time()), "model": body["model"]}
    if body.get("stream"):
        return StreamingResponse(_stream(text, head, usage), media_type="text/event-stream")
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": usage})


async def _stream(text: str, head: dict[str, Any], usage: dict[str, int]) -> AsyncIterator[str]:
    head = {**head, "object": "chat.completion.chunk"}
    for word in text.split(" "):
        choice = {"index": 0, "delta": {"content": word + " "}, "finish_reason": None}
        yield f"data: {json.dumps({**head, 'choices': [choice]})}\n\n"
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    yield f"data: {json.dumps({**head, 'choices': [last], 'usage': usage})}\n\ndata: [DONE]\n\n"


async def models(_: Request) -> Response:
    """GET /v1/models."""
    return JSONResponse(
        {"object": "list", "data": [{"id": "sim-1", "object": "model", "owned_by": "simulator"}]}
    )


def build(seed: int | None) -> Starlette:
    """The simulator as an ASGI app; without a seed it is different every time."""
    routes = [Route("/v1/chat/completions", complete, methods=["POST"]), Route("/v1/models", models)]
    app = Starlette(routes=routes)
    app.state.chance = random.Random(seed)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Provider simulator: an OpenAI-compatible endpoint of known quality."
    )
    parser.add_argument("--port", type=int, default=4290)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    uvicorn.run(
        build(options.seed), host="127.0.0.1", port=options.port, log_level="warning", access_log=False
    )
