"""Streams of Anthropic, Gemini and Bedrock as chunks of a chat completion."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Final

import orjson

from promptship.adapters.providers.bridges.content import tool_call
from promptship.adapters.providers.dialects.anthropic import COUNTS as MESSAGE_COUNTS
from promptship.adapters.providers.dialects.anthropic import FINISH
from promptship.adapters.providers.dialects.bedrock import COUNTS as CONVERSE_COUNTS
from promptship.adapters.providers.dialects.bedrock_stream import Frames
from promptship.adapters.providers.dialects.call import count, total
from promptship.adapters.providers.dialects.gemini import FILTERED, signature_of
from promptship.adapters.providers.dialects.gemini import FINISH as GEMINI_FINISH
from promptship.adapters.providers.events import ODD, Events
from promptship.adapters.providers.translation_answers import error_body, finish, new_id, usage

_DONE: Final = b"data: [DONE]\n\n"


class ChatChunks(Events):
    """Chunks of a chat completion, made of what a provider tells."""

    def __init__(self, model: str, *, tells_usage: bool) -> None:
        super().__init__()
        self._model = model
        self._tells_usage = tells_usage
        self._created = int(time.time())
        self._id = new_id()
        self._calls = 0
        self._counts: dict[str, Any] = {}

    def _error(self, message: str, kind: str, code: str) -> bytes:
        return b"data: " + error_body(message, kind, code) + b"\n\n"

    @abstractmethod
    def _usage(self) -> dict[str, Any] | None:
        """Usage as told so far."""

    def _chunk(self, delta: Mapping[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return self._said([choice])

    def _said(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        chunk = {
            "id": self._id, "object": "chat.completion.chunk", "created": self._created, "model": self._model, "choices": choices, **more
        }  # fmt: skip
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

    def _ended(self) -> bytes:
        told = self._usage() if self._tells_usage else None
        return (self._said([], usage=told) if told else b"") + _DONE

    def _call(self, id_: str, name: str, arguments: str, extra: object = None) -> bytes:
        call = {"index": self._calls, **tool_call(id_, name, arguments, extra)}
        self._calls += 1
        return self._chunk({"tool_calls": [call]})


class AnthropicStream(ChatChunks):
    """Anthropic's events."""

    def _event(self, event: dict[str, Any]) -> bytes:
        match event["type"]:
            case "message_start":
                message = event["message"]
                self._id = str(message.get("id") or self._id)
                self._model = str(message.get("model") or self._model)
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
                return self._error(str(error["message"]), kind, kind)
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
        return _counted(self._counts, MESSAGE_COUNTS)


class GeminiStream(ChatChunks):
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
            return self._error(str(event["error"]["message"]), kind, kind)
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
            id_ = str(called.get("id") or f"call_{self._id}_{self._calls}")
            return self._call(id_, str(called["name"]), arguments, signature_of(part))
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


class BedrockStream(ChatChunks):
    """Bedrock's frames. It tells no id and no model; tokens come after the end of the message."""

    def __init__(self, model: str, *, tells_usage: bool) -> None:
        super().__init__(model, tells_usage=tells_usage)
        self._frames = Frames()
        self._finished = False

    def feed(self, piece: bytes) -> bytes:
        """What the next bytes, cut anywhere, mean."""
        if self._broken:
            return b""
        try:
            return b"".join([self._event({"kind": kind, **told}) for kind, told in self._frames.feed(piece)])
        except ODD:
            return self._break()

    def close(self) -> bytes:
        """The end, if there was a reason for it."""
        return self._ended() if self._finished and not self._broken else b""

    def _event(self, event: dict[str, Any]) -> bytes:
        match event["kind"]:
            case "messageStart":
                return self._chunk({"role": "assistant", "content": ""})
            case "contentBlockStart" if "toolUse" in event.get("start", {}):
                used = event["start"]["toolUse"]
                return self._call(str(used["toolUseId"]), str(used["name"]), "")
            case "contentBlockDelta":
                return self._delta(event["delta"])
            case "messageStop":
                reason = str(event.get("stopReason") or "")
                self._finished = True
                return self._chunk({}, finish(FINISH.get(reason, reason)))
            case "metadata":
                self._counts = event.get("usage") or {}
                return b""
            case "exception":
                self._broken = True
                return self._error(str(event["message"]), str(event["type"]), str(event["type"]))
            case _:
                return b""

    def _delta(self, delta: Mapping[str, Any]) -> bytes:
        if "text" in delta:
            return self._chunk({"content": delta["text"]})
        if "toolUse" in delta:
            call = {"index": self._calls - 1, "function": {"arguments": delta["toolUse"]["input"]}}
            return self._chunk({"tool_calls": [call]})
        thought = (delta.get("reasoningContent") or {}).get("text")
        return self._chunk({"reasoning_content": thought}) if thought else b""

    def _usage(self) -> dict[str, Any] | None:
        return _counted(self._counts, CONVERSE_COUNTS)


def _counted(told: Mapping[str, Any], names: tuple[str, str, str, str]) -> dict[str, Any] | None:
    fresh, cached, written, said = (count(told.get(name)) for name in names)
    tokens_in = None if fresh is None else fresh + (cached or 0) + (written or 0)
    return usage(tokens_in, said, cached or 0, written or 0)
