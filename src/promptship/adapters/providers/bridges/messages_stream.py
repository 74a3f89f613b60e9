"""Chunks of a chat completion as the events of a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promptship.adapters.providers.bridges.chunks import ChunkEvents
from promptship.adapters.providers.bridges.content import Fields
from promptship.adapters.providers.bridges.messages_told import (
    started,
    stop_of,
    text_block,
    thinking_block,
    tool_block,
    usage_of,
)
from promptship.adapters.providers.events import named_event


class MessageStream(ChunkEvents):
    """One block after the other: thoughts, text, calls, as they come."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks = 0
        self._open: tuple[str, object] | None = None
        self._refused = False

    def _begin(self, chunk: Mapping[str, Any]) -> bytes:
        made = started(str(chunk.get("id") or ""), str(chunk.get("model") or ""))
        return self._told("message_start", message=made)

    def _thought(self, text: str) -> bytes:
        return self._more(("thinking", None), thinking_block(""), "thinking_delta", "thinking", text)

    def _text(self, text: str) -> bytes:
        return self._more(("text", None), text_block(""), "text_delta", "text", text)

    def _refusal(self, text: str) -> bytes:
        self._refused = True
        return self._text(text)

    def _call(self, call: Mapping[str, Any]) -> bytes:
        key, function = ("tool_use", call.get("index", 0)), call.get("function") or {}
        block: Fields = {}
        if self._open != key:
            self._new_call(key)
            block = tool_block(call, {})
        arguments = str(function.get("arguments") or "")
        return self._more(key, block, "input_json_delta", "partial_json", arguments)

    def _end(self) -> bytes:
        stop = "refusal" if self._refused else stop_of(self._finish)
        delta = {"stop_reason": stop, "stop_sequence": None}
        said = self._end_block() + self._told("message_delta", delta=delta, usage=usage_of(self._usage))
        return said + self._told("message_stop")

    def _error(self, message: str, kind: str, code: str) -> bytes:
        told = {"type": kind if kind.endswith("_error") else "api_error", "message": message, "param": None}
        return self._told("error", error={**told, "code": code})

    def _more(self, key: tuple[str, object], block: Fields, kind: str, field: str, text: str) -> bytes:
        said = b""
        if self._open != key:
            said = self._end_block() + self._told(
                "content_block_start", index=self._blocks, content_block=block
            )
            self._open = key
        if not text:
            return said
        return said + self._told("content_block_delta", index=self._blocks, delta={"type": kind, field: text})

    def _end_block(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        self._blocks += 1
        return self._told("content_block_stop", index=self._blocks - 1)

    @staticmethod
    def _told(name: str, **fields: Any) -> bytes:
        return named_event(name, {"type": name, **fields})
