"""Chunks of a chat completion as the events of a response."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from promptship.adapters.providers.bridges.chunks import ChunkEvents
from promptship.adapters.providers.bridges.content import Fields
from promptship.adapters.providers.bridges.responses_told import (
    call_item,
    ended,
    message_item,
    reasoning_item,
    refusal_part,
    started,
    text_part,
    thought_part,
)
from promptship.adapters.providers.events import named_event


@dataclass(frozen=True)
class _Kind:
    """One kind of what is said: the names of its events."""

    name: str
    """Of its events: `response.<name>.delta`, `.done`."""
    part: str
    """Of the events around it: `response.<part>.added`, `.done`; empty: it has none."""
    indexed: str
    """Field with the part's index."""
    told: str
    """Field of `.done` with all that was said."""
    made: Callable[[str], Fields]


_TEXT: Final = _Kind("output_text", "content_part", "content_index", "text", text_part)
_REFUSAL: Final = _Kind("refusal", "content_part", "content_index", "refusal", refusal_part)
_THOUGHT: Final = _Kind(
    "reasoning_summary_text", "reasoning_summary_part", "summary_index", "text", thought_part
)
_CALL: Final = _Kind("function_call_arguments", "", "", "arguments", lambda _: {})


class ResponseStream(ChunkEvents):
    """One item after the other: thoughts, text, refusal, calls, as they come."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        super().__init__()
        self._asked = asked
        self._made: Fields = {}
        self._id = ""
        self._number = 0
        self._output: list[Fields] = []
        self._open: tuple[_Kind, object] | None = None
        self._said: list[str] = []

    def _begin(self, chunk: Mapping[str, Any]) -> bytes:
        self._id = str(chunk.get("id") or "")
        self._made = started(self._id, chunk.get("created"), str(chunk.get("model") or ""), self._asked)
        said = self._told("response.created", response=self._made)
        return said + self._told("response.in_progress", response=self._made)

    def _thought(self, text: str) -> bytes:
        return self._more(_THOUGHT, text)

    def _text(self, text: str) -> bytes:
        return self._more(_TEXT, text)

    def _refusal(self, text: str) -> bytes:
        return self._more(_REFUSAL, text)

    def _call(self, call: Mapping[str, Any]) -> bytes:
        key, function = (_CALL, call.get("index", 0)), call.get("function") or {}
        said = b""
        if self._open != key:
            self._new_call(key)
            said = self._end_item()
            begun = {**call, "function": {"name": function["name"], "arguments": ""}}
            said += self._start_item(key, call_item(self._id, len(self._output), begun))
        return said + self._delta(_CALL, str(function.get("arguments") or ""))

    def _end(self) -> bytes:
        said = self._end_item()
        if all(
            item["type"] == "reasoning" for item in self._output
        ):  # an answer that says nothing is still a message
            said += self._more(_TEXT, "") + self._end_item()
        whole = ended(self._made, self._output, self._finish, self._usage)
        return said + self._told(f"response.{whole['status']}", response=whole)

    def _error(self, message: str, kind: str, code: str) -> bytes:
        error = {"message": message, "type": kind, "param": None, "code": code}
        return self._told("error", code=code, message=message, param=None, error=error)

    def _more(self, kind: _Kind, text: str) -> bytes:
        said = b""
        if self._open != (kind, None):
            said = self._end_item()
            number = len(self._output)
            if kind is _THOUGHT:
                item = {**reasoning_item(self._id, number, ""), "summary": []}
            else:
                item = message_item(self._id, number, [])
            said += self._start_item((kind, None), item)
        return said + self._delta(kind, text)

    def _delta(self, kind: _Kind, text: str) -> bytes:
        if not text:
            return b""
        self._said.append(text)
        return self._told(f"response.{kind.name}.delta", **self._place(kind), delta=text)

    def _start_item(self, key: tuple[_Kind, object], item: Fields) -> bytes:
        self._open, self._said, (kind, _) = key, [], key
        if "status" in item:
            item = {**item, "status": "in_progress"}
        self._output.append(item)
        said = self._told("response.output_item.added", output_index=len(self._output) - 1, item=item)
        if kind.part:
            said += self._told(f"response.{kind.part}.added", **self._place(kind), part=kind.made(""))
        return said

    def _end_item(self) -> bytes:
        if self._open is None:
            return b""
        (kind, _), self._open = self._open, None
        text = "".join(self._said)
        item = self._output[-1]
        said = self._told(f"response.{kind.name}.done", **self._place(kind), **{kind.told: text})
        if kind.part:
            part = kind.made(text)
            said += self._told(f"response.{kind.part}.done", **self._place(kind), part=part)
            item = {**item, ("summary" if kind is _THOUGHT else "content"): [part]}
        else:
            item = {**item, "arguments": text}
        if "status" in item:
            item = {**item, "status": "completed"}
        self._output[-1] = item
        return said + self._told("response.output_item.done", output_index=len(self._output) - 1, item=item)

    def _place(self, kind: _Kind) -> Fields:
        place: Fields = {"item_id": self._output[-1]["id"], "output_index": len(self._output) - 1}
        return {**place, kind.indexed: 0} if kind.indexed else place

    def _told(self, name: str, **fields: Any) -> bytes:
        event = {"type": name, "sequence_number": self._number, **fields}
        self._number += 1
        return named_event(name, event)
