"""Answers of Anthropic, Gemini and Bedrock as chat completions: whole ones here, streams in translation_streams.py."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol
from uuid import uuid4

import orjson

from promptship.adapters.providers.dialects.bedrock_stream import EVENT_STREAM
from promptship.adapters.providers.events import ODD
from promptship.chat import ChatAnswer

FINISHES: Final = frozenset({"stop", "length", "tool_calls", "content_filter"})
"""What OpenAI's SDKs know; any other end of an answer is a stop."""
_DROPPED: Final = frozenset({b"content-type", b"content-length", b"transfer-encoding"})
_BYTES_MAX: Final = 32_000_000
_STREAMS: Final = frozenset({"text/event-stream", EVENT_STREAM})


class Streaming(Protocol):
    """Translates one stream."""

    def feed(self, piece: bytes) -> bytes:
        """What the next bytes, cut anywhere, mean."""
        ...

    def close(self) -> bytes:
        """What is still to be said at the end."""
        ...


class Translating(Protocol):
    """Translates the answer to one call."""

    def whole(self, status: int, content: bytes) -> bytes:
        """A whole answer or error; what cannot be read stays as it is."""
        ...

    def stream(self) -> Streaming:
        """What translates a stream."""
        ...


@dataclass(frozen=True, slots=True)
class Translator:
    """Translates the answer of a provider with words of its own to one of chat completions."""

    answer: Callable[[Any], ChatAnswer]
    streaming: Callable[[], Streaming]

    def stream(self) -> Streaming:
        """What translates a stream."""
        return self.streaming()

    def whole(self, status: int, content: bytes) -> bytes:
        """A whole answer or error as OpenAI would say it; what cannot be read stays as it is."""
        try:
            value = orjson.loads(content)
            if status >= HTTPStatus.BAD_REQUEST:
                return _error(value)
            return completion(self.answer(value), str(value.get("id") or value.get("responseId") or new_id()))
        except ODD:
            return content


class Inner(Protocol):
    """The provider's answer as it is."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Raw headers."""
        ...

    @property
    def content_type(self) -> str:
        """Media type."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body."""
        ...

    async def aclose(self) -> None:
        """Close it."""
        ...


class TranslatedAnswer:
    """An answer in the words of one API, made of one in others as it comes."""

    __slots__ = ("_inner", "_translator", "status")

    def __init__(self, inner: Inner, translator: Translating) -> None:
        self._inner = inner
        self._translator = translator
        self.status = inner.status

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Raw headers of the provider, with the media type of the translation."""
        kept = [pair for pair in self._inner.headers if pair[0].lower() not in _DROPPED]
        return [*kept, (b"content-type", self.content_type.encode())]

    @property
    def content_type(self) -> str:
        """Media type."""
        return "text/event-stream" if self._is_stream else "application/json"

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body's bytes; raises what the provider's raise."""
        if self._is_stream:
            stream = self._translator.stream()
            async for piece in self._inner.chunks():
                if said := stream.feed(piece):
                    yield said
            if said := stream.close():
                yield said
            return
        content = bytearray()
        async for piece in self._inner.chunks():
            content += piece
            if len(content) > _BYTES_MAX:
                break
        yield self._translator.whole(self.status, bytes(content))

    async def aclose(self) -> None:
        """As the provider's."""
        await self._inner.aclose()

    @property
    def _is_stream(self) -> bool:
        return self.status == HTTPStatus.OK and self._inner.content_type in _STREAMS


@dataclass(frozen=True, slots=True)
class MadeAnswer:
    """An answer that no provider gave, or one that has been read already."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Sequence[tuple[bytes, bytes]] = ((b"content-type", b"application/json"),)
    """Raw headers."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body."""
        yield self.body

    async def aclose(self) -> None:
        """Nothing to close."""


def completion(answer: ChatAnswer, id_: str) -> bytes:
    """A chat completion of what was answered."""
    calls = [
        {**call, "id": call.get("id") or f"call_{id_}_{index}"}
        for index, call in enumerate(answer.tool_calls)
    ]
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if calls:
        message["tool_calls"] = calls
    if "reasoning" in answer.metadata:
        message["reasoning_content"] = answer.metadata["reasoning"]
    if answer.text == "" and not calls:
        message["content"] = ""
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish(answer.finish_reason)}
    made: dict[str, Any] = {
        "id": id_, "object": "chat.completion", "created": int(time.time()), "model": answer.model, "choices": [choice]
    }  # fmt: skip
    written = answer.metadata.get("tokens_cache_written") or 0
    made["usage"] = usage(answer.tokens_in, answer.tokens_out, answer.tokens_cached or 0, written)
    return orjson.dumps(made)


def new_id() -> str:
    """For an answer to which its provider gave none."""
    return f"chatcmpl-{uuid4().hex}"


def finish(reason: str) -> str:
    """A reason for the end that OpenAI's SDKs know."""
    return reason if reason in FINISHES else "stop"


def usage(tokens_in: int | None, tokens_out: int | None, cached: int, written: int) -> dict[str, Any] | None:
    """Usage in OpenAI's words; None: the provider did not say."""
    if tokens_in is None or tokens_out is None:
        return None
    details = {"cached_tokens": cached, "cache_write_tokens": written}
    total = tokens_in + tokens_out
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": total, "prompt_tokens_details": details}  # fmt: skip


def error_body(message: str, kind: str, code: str | None, param: str | None = None) -> bytes:
    """An error in OpenAI's shape."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def _error(value: Mapping[str, Any]) -> bytes:
    """Anthropic's and Google's errors have the same heart. Raises one of `ODD`: it is none."""
    error = value["error"]
    kind = str(error.get("type") or error.get("status") or "upstream_error")
    return error_body(str(error["message"]), kind, kind)
