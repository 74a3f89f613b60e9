"""Answers of each kind of provider, as their vendors document them, for a loopback server."""

from __future__ import annotations

from typing import Any

import orjson

from tests.support.loopback import Behaviour, raw, says


def ok(value: Any, *headers: str) -> Behaviour:
    return says(raw("200 OK", orjson.dumps(value), "content-type: application/json", *headers))


def bad(status: str, value: Any, *headers: str) -> Behaviour:
    return says(raw(status, orjson.dumps(value), "content-type: application/json", *headers))


USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}
CALL = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"city": "Ulm"}'}}

OPENAI = {
    "model": "m-1",
    "system_fingerprint": "fp",
    "choices": [{"message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": USAGE,
}
ANTHROPIC = {
    "model": "m-1",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 4,
        "cache_read_input_tokens": 4,
        "cache_creation_input_tokens": 2,
        "output_tokens": 5,
    },
}
GEMINI = {
    "modelVersion": "m-1",
    "candidates": [{"content": {"role": "model", "parts": [{"text": "hello"}]}, "finishReason": "STOP"}],
    "usageMetadata": {
        "promptTokenCount": 10,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 2,
        "cachedContentTokenCount": 4,
    },
}
BEDROCK = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hello"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 6, "cacheReadInputTokens": 4, "outputTokens": 5},
}
ANSWERS: dict[str, Any] = {
    "openai": OPENAI, "azure": OPENAI, "anthropic": ANTHROPIC, "gemini": GEMINI, "vertex": GEMINI, "bedrock": BEDROCK,
}  # fmt: skip

CALLED: dict[str, Any] = {
    "openai": {"choices": [{"message": {"content": None, "tool_calls": [CALL]}, "finish_reason": "tool_calls"}]},
    "anthropic": {
        "content": [{"type": "tool_use", "id": "c1", "name": "look_up", "input": {"city": "Ulm"}}],
        "stop_reason": "tool_use",
    },
    "gemini": {
        "candidates": [
            {"content": {"parts": [{"functionCall": {"name": "look_up", "args": {"city": "Ulm"}}}]}, "finishReason": "STOP"}
        ]
    },
    "bedrock": {
        "output": {"message": {"content": [{"toolUse": {"toolUseId": "c1", "name": "look_up", "input": {"city": "Ulm"}}}]}},
        "stopReason": "tool_use",
    },
}  # fmt: skip
CALLED |= {"azure": CALLED["openai"], "vertex": CALLED["gemini"]}

CUT: dict[str, Any] = {
    "openai": {"choices": [{"message": {"content": "hel"}, "finish_reason": "length"}]},
    "anthropic": {"content": [{"type": "text", "text": "hel"}], "stop_reason": "max_tokens"},
    "gemini": {"candidates": [{"content": {"parts": [{"text": "hel"}]}, "finishReason": "MAX_TOKENS"}]},
    "bedrock": {"output": {"message": {"content": [{"text": "hel"}]}}, "stopReason": "max_tokens"},
}
CUT |= {"azure": CUT["openai"], "vertex": CUT["gemini"]}

FILTERED: dict[str, Any] = {
    "openai": {"choices": [{"message": {"content": "hel"}, "finish_reason": "content_filter"}]},
    "anthropic": {"content": [{"type": "text", "text": ""}], "stop_reason": "refusal"},
    "gemini": {"candidates": [{"finishReason": "SAFETY"}]},
    "bedrock": {"output": {"message": {"content": [{"text": "no"}]}}, "stopReason": "guardrail_intervened"},
}
FILTERED |= {"azure": FILTERED["openai"], "vertex": FILTERED["gemini"]}
