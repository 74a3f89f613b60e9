"""Streams of Anthropic and Gemini as chunks of a chat completion."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final

import orjson

from promptship.adapters.providers.dialects.anthropic import FINISH
from promptship.adapters.providers.dialects.call import count, total
from promptship.adapters.providers.dialects.gemini import FILTERED
from promptship.adapters.providers.dialects.gemini import FINISH as GEMINI_FINISH
from promptship.adapters.providers.translation_answers import error_body, finish, usage

_LINE_BYTES_MAX: Final = 8_000_000
_DONE: Final = b"data: [DONE]\n\n"
_MALFORMED: Final = (
    b"data: " + error_body("the provider's stream cannot be read", "server_error", "malformed") + b"\n\n"
)


class _Stream(ABC):
    """Events in, chunks out. Chunks are made as soon as the event's line has ended."""

    def __init__(self, model: str, *, tells_usage: bool) -> None:
        self._model = model
        self._tells_usage = tells_usage
        self._id = ""
        self._rest = b""
        self._calls = 0
        self._counts: dict[str, Any] = {}
        self._broken = False

    def feed(self, piece: bytes) -> bytes:
        """What the next bytes, cut anywhere, mean."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LINE_BYTES_MAX:
            return self._break()
        return b"".join([self._line(line) for line in lines])

    def close(self) -> bytes:
        """What is still to be said at the end."""
        rest, self._rest = self._rest, b""
        return self._line(rest)

    def _line(self, line: bytes) -> bytes:
        if self._broken or not line.startswith(b"data:"):
            return b""
        try:
            return self._event(orjson.loads(line[5:]))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return self._break()

    def _break(self) -> bytes:
        self._broken, self._rest = True, b""
        return _MALFORMED

    @abstractmethod
    def _event(self, event: dict[str, Any]) -> bytes:
        """Chunks of one event."""

    @abstractmethod
    def _usage(self) -> dict[str, Any] | None:
        """Usage as told so far."""

    def _chunk(self, delta: Mapping[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return self._said([choice])

    def _said(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        chunk = {
            "id": self._id, "object": "chat.completion.chunk", "created": 0, "model": self._model, "choices": choices, **more
        }  # fmt: skip
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

    def _ended(self) -> bytes:
        told = self._usage() if self._tells_usage else None
        return (self._said([], usage=told) if told else b"") + _DONE

    def _call(self, id_: str, name: str, arguments: str) -> bytes:
        function = {"name": name, "arguments": arguments}
        call = {"index": self._calls, "id": id_, "type": "function", "function": function}
        self._calls += 1
        return self._chunk({"tool_calls": [call]})


class AnthropicStream(_Stream):
    """Anthropic's events."""

    def _event(self, event: dict[str, Any]) -> bytes:
        match event["type"]:
            case "message_start":
                message = event["message"]
                self._id, self._model = str(message.get("id") or ""), str(message.get("model") or self._model)
                self._counts |= message.get("usage") or {}
                return self._chunk({"role": "assistant", "content": ""})
            case "content_block_start" if event["content_block"].get("type") == "tool_use":
                block = event["content_block"]
                return self._call(str(block["id"]), str(block["name"]), "")
            case "content_block_delta":
                return self._delta(event["delta"])
            case "message_delta":
                self._counts |= {
                    name: one for name, one in (event.get("usage") or {}).items() if one is not None
                }
                reason = str(event["delta"].get("stop_reason") or "")
                return self._chunk({}, finish(FINISH.get(reason, reason)))
            case "message_stop":
                return self._ended()
            case "error":
                error = event["error"]
                kind = str(error.get("type") or "server_error")
                return b"data: " + error_body(str(error["message"]), kind, kind) + b"\n\n"
            case _:
                return b""

    def _delta(self, delta: Mapping[str, Any]) -> bytes:
        match delta["type"]:
            case "text_delta":
                return self._chunk({"content": delta["text"]})
            case "input_json_delta":
                call = {"index": self._calls - 1, "function": {"arguments": delta["partial_json"]}}
                return self._chunk({"tool_calls": [call]})
            case "thinking_delta":
                return self._chunk({"reasoning_content": delta["thinking"]})
            case _:
                return b""

    def _usage(self) -> dict[str, Any] | None:
        cached = count(self._counts.get("cache_read_input_tokens")) or 0
        written = count(self._counts.get("cache_creation_input_tokens")) or 0
        fresh = count(self._counts.get("input_tokens"))
        tokens_in = None if fresh is None else fresh + cached + written
        return usage(tokens_in, count(self._counts.get("output_tokens")), cached, written)


class GeminiStream(_Stream):
    """Google's answers, one after the other; the stream has no end of its own but the last line."""

    def __init__(self, model: str, *, tells_usage: bool) -> None:
        super().__init__(model, tells_usage=tells_usage)
        self._begun = False
        self._finished = False

    def close(self) -> bytes:
        """The end, if an answer gave a reason for it."""
        last = super().close()
        return last + self._ended() if self._finished and not self._broken else last

    def _event(self, event: dict[str, Any]) -> bytes:
        if "error" in event:
            kind = str(event["error"].get("status") or "server_error")
            return b"data: " + error_body(str(event["error"]["message"]), kind, kind) + b"\n\n"
        self._id = str(event.get("responseId") or self._id)
        self._model = str(event.get("modelVersion") or self._model)
        self._counts |= event.get("usageMetadata") or {}
        said = b"" if self._begun else self._chunk({"role": "assistant", "content": ""})
        self._begun = True
        candidate = (event.get("candidates") or [{}])[0]
        for part in (candidate.get("content") or {}).get("parts") or ():
            said += self._part(part)
        reason = str(candidate.get("finishReason") or "")
        if (event.get("promptFeedback") or {}).get("blockReason"):
            reason = "SAFETY"
        if reason and not self._finished:
            self._finished = True
            said += self._chunk({}, self._reason(reason))
        return said

    def _part(self, part: Mapping[str, Any]) -> bytes:
        if "functionCall" in part:
            called = part["functionCall"]
            arguments = orjson.dumps(called.get("args") or {}).decode()
            return self._call(str(called.get("id") or f"call_{self._calls}"), str(called["name"]), arguments)
        if "text" in part:
            return self._chunk({"reasoning_content" if part.get("thought") else "content": part["text"]})
        return b""

    def _reason(self, reason: str) -> str:
        if reason in FILTERED:
            return "content_filter"
        found = finish(GEMINI_FINISH.get(reason, reason.lower()))
        return "tool_calls" if self._calls and found == "stop" else found

    def _usage(self) -> dict[str, Any] | None:
        told = self._counts
        spent = total(count(told.get("candidatesTokenCount")), count(told.get("thoughtsTokenCount")))
        return usage(
            count(told.get("promptTokenCount")), spent, count(told.get("cachedContentTokenCount")) or 0, 0
        )
