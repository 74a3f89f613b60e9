"""Frames as Amazon Bedrock streams them."""

from __future__ import annotations

import zlib
from typing import Any

import orjson


def frame(kind: str, value: dict[str, Any], *, message_type: str = "event") -> bytes:
    """One frame of `application/vnd.amazon.eventstream`."""
    name = ":event-type" if message_type == "event" else ":exception-type"
    given = {":message-type": message_type, name: kind, ":content-type": "application/json"}
    headers = b"".join(
        bytes([len(key)]) + key.encode() + b"\x07" + len(text).to_bytes(2) + text.encode()
        for key, text in given.items()
    )
    payload = orjson.dumps(value)
    prelude = (16 + len(headers) + len(payload)).to_bytes(4) + len(headers).to_bytes(4)
    prelude += zlib.crc32(prelude).to_bytes(4)
    whole = prelude + headers + payload
    return whole + zlib.crc32(whole).to_bytes(4)


CONVERSED: dict[str, Any] = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hello"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 5, "outputTokens": 3, "cacheReadInputTokens": 2, "cacheWriteInputTokens": 1},
}
CONVERSED_EVENTS = [
    frame("messageStart", {"role": "assistant"}),
    frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "hel"}}),
    frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "lo"}}),
    frame("contentBlockStop", {"contentBlockIndex": 0}),
    frame("messageStop", {"stopReason": "end_turn"}),
    frame("metadata", {"usage": CONVERSED["usage"], "metrics": {"latencyMs": 1}}),
]
USED_EVENTS = [
    frame("messageStart", {"role": "assistant"}),
    frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}}),
    frame(
        "contentBlockStart",
        {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t-1", "name": "find"}}},
    ),
    frame("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"a"'}}}),
    frame("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": ":1}"}}}),
    frame("messageStop", {"stopReason": "tool_use"}),
    frame("metadata", {"usage": CONVERSED["usage"]}),
]
