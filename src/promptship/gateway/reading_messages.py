"""Answers of Anthropic's messages. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from promptship.adapters.otel_json import Told
from promptship.gateway.reading import ODD, Reading, StreamReader, Usage, count, word
from promptship.routing.refusal import TEXT_CHARACTERS_MAX, refused


def read_message(body: bytes) -> Reading | None:
    """A whole message; None: it is none."""
    try:
        answer = orjson.loads(body)
        blocks = answer["content"]
        text = "".join(str(block["text"]) for block in blocks if block["type"] == "text")[
            :TEXT_CHARACTERS_MAX
        ]
        finish = _finish(answer.get("stop_reason"))
        told = Told(word(answer.get("id")), word(answer.get("model")), word(finish))
        return Reading(_usage(answer["usage"]), refused(text, finish_reason=finish), told=told)
    except ODD:
        return None


class MessageReader(StreamReader):
    """Events of a message."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, Any] = {}

    def _chunk(self, chunk: dict[str, Any]) -> None:
        match chunk["type"]:
            case "message_start":
                self._named(chunk["message"])
                self._counted(chunk["message"].get("usage"))
            case "content_block_delta":
                self.spoke, delta = True, chunk["delta"]
                if delta.get("type") == "text_delta":
                    self._said(delta["text"])
            case "message_delta":
                self._finish = _finish(chunk["delta"].get("stop_reason")) or self._finish
                self._counted(chunk.get("usage"))
            case "message_stop":
                self._ended = True
            case "error":
                self.trouble = "upstream_error"
            case _:
                pass  # beginnings and ends of blocks, pings, and what Anthropic may add

    def _counted(self, usage: dict[str, Any] | None) -> None:
        """The start tells the input, the last delta the output; counts grow, they are not added."""
        self._counts |= {name: value for name, value in (usage or {}).items() if value is not None}
        self._usage = _usage(self._counts)


def _finish(reason: object) -> str:
    return "content_filter" if reason == "refusal" else str(reason or "")


def _usage(usage: dict[str, Any]) -> Usage:
    """Anthropic counts what came from its cache, and went to it, beside the input."""
    fresh = count(usage.get("input_tokens"))
    cached, written = (
        count(usage.get("cache_read_input_tokens")) or 0,
        count(usage.get("cache_creation_input_tokens")) or 0,
    )
    return Usage(
        None if fresh is None else fresh + cached + written,
        count(usage.get("output_tokens")),
        cached,
        written,
    )
