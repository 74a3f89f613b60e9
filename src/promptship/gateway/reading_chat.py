"""Answers of chat completions. Pure."""

from __future__ import annotations

from typing import Any, Final

import orjson

from promptship.adapters.otel_json import Told
from promptship.gateway.reading import ODD, Reading, StreamReader, Usage, count, text_of, word
from promptship.routing.refusal import refused

_SAYS: Final = ("content", "tool_calls", "refusal", "reasoning_content", "reasoning", "function_call")
"""Fields of a delta that are part of an answer; the first chunk often holds a role only."""


def read_completion(body: bytes) -> Reading | None:
    """A whole chat completion; None: it is none (HTML, empty, cut, another JSON)."""
    try:
        answer = orjson.loads(body)
        choice = answer["choices"][0]
        message = choice["message"]
        text = text_of(message.get("content"))
        finish, refusal = choice.get("finish_reason") or "", message.get("refusal") or ""
        told = Told(word(answer.get("id")), word(answer.get("model")), word(finish))
        return Reading(_usage(answer), refused(text, finish_reason=finish, refusal=refusal), told=told)
    except ODD:
        return None


class ChatReader(StreamReader):
    """Chunks of a chat completion."""

    def _chunk(self, chunk: dict[str, Any]) -> None:
        if "error" in chunk:
            self.trouble = "upstream_error"
            return
        self._named(chunk)
        if chunk.get("usage"):
            self._usage = _usage(chunk)
        choices = chunk["choices"]
        if not choices or choices[0].get("index", 0) != 0:
            return
        delta = choices[0].get("delta") or {}
        self.spoke = self.spoke or any(delta.get(name) for name in _SAYS)
        self._said(delta.get("content"))
        self._refusal = self._refusal or delta.get("refusal") or ""
        if choices[0].get("finish_reason"):
            self._finish, self._ended = str(choices[0]["finish_reason"]), True


def _usage(answer: dict[str, Any]) -> Usage:
    usage = answer.get("usage") or {}
    details = usage.get("prompt_tokens_details") or {}
    return Usage(
        count(usage.get("prompt_tokens")),
        count(usage.get("completion_tokens")),
        count(details.get("cached_tokens")) or 0,
        count(details.get("cache_write_tokens")) or 0,
    )
