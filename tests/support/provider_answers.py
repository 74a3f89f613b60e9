"""What providers say, in their own words: whole answers and streams, as a loopback server sends them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from promptship.adapters.providers.dialects.bedrock_stream import EVENT_STREAM
from tests.support.bedrock_frames import CONVERSED, CONVERSED_EVENTS
from tests.support.gateway import completion, event
from tests.support.loopback import Asked, Behaviour, raw

RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "gpt-x-1",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "temperature": 1.0,
    "top_p": 1.0,
    "output": [
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "hello", "annotations": []}],
        }
    ],
    "usage": {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 11,
    },
}
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x-1",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 5,
        "output_tokens": 3,
        "cache_read_input_tokens": 2,
        "cache_creation_input_tokens": 1,
    },
}
GENERATED: dict[str, Any] = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "hello"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 6, "candidatesTokenCount": 2, "totalTokenCount": 8},
    "modelVersion": "gemini-x-1",
    "responseId": "g-1",
}
EMBEDDINGS: dict[str, Any] = {
    "object": "list",
    "model": "embed-x",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}


def sse(*events: Mapping[str, Any]) -> list[bytes]:
    """Events with their names, as OpenAI's responses and Anthropic send them."""
    return [b"event: %b\ndata: %b\n\n" % (str(one["type"]).encode(), orjson.dumps(one)) for one in events]


RESPONSE_EVENTS = sse(
    {
        "type": "response.created",
        "sequence_number": 0,
        "response": {**RESPONSE, "status": "in_progress", "output": [], "usage": None},
    },
    {
        "type": "response.output_item.added",
        "sequence_number": 1,
        "output_index": 0,
        "item": {**RESPONSE["output"][0], "status": "in_progress", "content": []},
    },
    {
        "type": "response.content_part.added",
        "sequence_number": 2,
        "item_id": "msg_1",
        "output_index": 0,
        "content_index": 0,
        "part": {"type": "output_text", "text": "", "annotations": []},
    },
    *(
        {
            "type": "response.output_text.delta",
            "sequence_number": number,
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 0,
            "delta": text,
            "logprobs": [],
        }
        for number, text in enumerate(("hel", "lo"), 3)
    ),
    {"type": "response.completed", "sequence_number": 5, "response": RESPONSE},
)
MESSAGE_EVENTS = sse(
    {
        "type": "message_start",
        "message": {
            **MESSAGE,
            "content": [],
            "stop_reason": None,
            "usage": {**MESSAGE["usage"], "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hel"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 3},
    },
    {"type": "message_stop"},
)
CHAT_EVENTS = [
    event("hel"),
    event("lo"),
    event(finish="stop"),
    event(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}),
    b"data: [DONE]\n\n",
]
_PART = {"content": {"role": "model", "parts": [{"text": "hel"}]}}
GENERATED_EVENTS = [
    b"data: " + orjson.dumps({**GENERATED, "candidates": [_PART]}) + b"\r\n\r\n",
    b"data: "
    + orjson.dumps(
        {
            **GENERATED,
            "candidates": [{**_PART, "content": {"parts": [{"text": "lo"}]}, "finishReason": "STOP"}],
        }
    )
    + b"\r\n\r\n",
]
WHOLE: dict[str, bytes] = {
    "/chat/completions": completion("hello"),
    "/responses": orjson.dumps(RESPONSE),
    "/messages": orjson.dumps(MESSAGE),
    "/embeddings": orjson.dumps(EMBEDDINGS),
    ":generateContent": orjson.dumps(GENERATED),
    "/converse": orjson.dumps(CONVERSED),
}
STREAMS: dict[str, Sequence[bytes]] = {
    "/chat/completions": CHAT_EVENTS,
    "/responses": RESPONSE_EVENTS,
    "/messages": MESSAGE_EVENTS,
    ":streamGenerateContent": GENERATED_EVENTS,
    "/converse-stream": CONVERSED_EVENTS,
}


def every_provider(*, lacks: Sequence[str] = ()) -> Behaviour:
    """Answers each kind of call in its own words, streamed when it asks for that; `lacks`: ends of paths that it does not have."""

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        path = asked.path.partition("?")[0]
        is_stream = asked.json.get("stream") is True or path.endswith(
            (":streamGenerateContent", "/converse-stream")
        )
        table: Mapping[str, Any] = STREAMS if is_stream else WHOLE
        answer = None
        if not path.endswith(tuple(lacks)):
            answer = next((one for end, one in table.items() if path.endswith(end)), None)
        if answer is None:
            writer.write(raw("404 Not Found", b'{"error": {"message": "no such path"}}'))
        elif isinstance(answer, bytes):
            writer.write(raw("200 OK", answer, "content-type: application/json"))
        else:
            media = EVENT_STREAM if path.endswith("/converse-stream") else "text/event-stream"
            head = f"HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ntransfer-encoding: chunked\r\n\r\n"
            writer.write(head.encode())
            for piece in answer:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    return behave
