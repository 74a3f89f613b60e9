"""Answers of OpenAI's responses. Pure."""

from __future__ import annotations

from typing import Any, Final

import orjson

from promptship.adapters.otel_json import Told
from promptship.gateway.reading import ODD, Reading, StreamReader, Usage, count, word
from promptship.routing.refusal import TEXT_CHARACTERS_MAX, refused

_ENDS: Final = frozenset({"response.completed", "response.incomplete"})


def read_response(body: bytes) -> Reading | None:
    """A whole response; None: it is none."""
    try:
        answer = orjson.loads(body)
        if answer.get("status") in {"failed", "cancelled"}:
            return Reading(_usage(answer), None, "upstream_error")
        text, refusal = _said(answer["output"])
        finish = _finish(answer)
        told = Told(word(answer.get("id")), word(answer.get("model")), word(finish))
        return Reading(_usage(answer), refused(text, finish_reason=finish, refusal=refusal), told=told)
    except ODD:
        return None


class ResponseReader(StreamReader):
    """Events of a response."""

    def _chunk(self, chunk: dict[str, Any]) -> None:
        kind = chunk["type"]
        self.spoke = self.spoke or kind.endswith(".delta")
        if kind == "response.output_text.delta":
            self._said(chunk["delta"])
        elif kind == "response.refusal.delta":
            self._refusal = self._refusal or str(chunk["delta"])
        elif kind in _ENDS:
            self._ended = True
            self._usage = _usage(chunk["response"])
            self._finish = _finish(chunk["response"])
            self._named(chunk["response"])
        elif kind in {"error", "response.failed"}:
            self.trouble = "upstream_error"


def _said(items: list[dict[str, Any]]) -> tuple[str, str]:
    """The beginning of what was said, and of what was refused."""
    text, refusal = "", ""
    for item in items:
        for part in item.get("content") or () if item.get("type") == "message" else ():
            if part.get("type") == "refusal":
                refusal = refusal or str(part.get("refusal") or "")
            elif len(text) < TEXT_CHARACTERS_MAX:
                text += str(part.get("text") or "")
    return text[:TEXT_CHARACTERS_MAX], refusal


def _finish(answer: dict[str, Any]) -> str:
    return str((answer.get("incomplete_details") or {}).get("reason") or "")


def _usage(answer: dict[str, Any]) -> Usage:
    usage = answer.get("usage") or {}
    details = usage.get("input_tokens_details") or {}
    return Usage(
        count(usage.get("input_tokens")),
        count(usage.get("output_tokens")),
        count(details.get("cached_tokens")) or 0,
        count(details.get("cache_write_tokens")) or 0,
    )
