"""Chunks of a chat completion, read for the streams that are made of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from promptship.adapters.providers.events import Events


class ChunkEvents(Events):
    """Tells its subclass what the chunks say, in order: the beginning, thoughts, texts, refusals, calls, the end."""

    def __init__(self) -> None:
        super().__init__()
        self._begun = False
        self._over = False
        self._finish = ""
        self._usage: Mapping[str, Any] | None = None
        self._called: set[object] = set()

    def close(self) -> bytes:
        """The end, where `[DONE]` was left out after the reason for the end."""
        last = super().close()
        return last + self._done() if self._finish and not self._broken else last

    def _event(self, chunk: dict[str, Any]) -> bytes:
        if "error" in chunk:
            error = chunk["error"]
            kind = str(error.get("type") or "server_error")
            self._broken = True
            return self._error(str(error["message"]), kind, str(error.get("code") or kind))
        said = b"" if self._begun else self._begin(chunk)
        self._begun = True
        self._usage = chunk.get("usage") or self._usage
        choices = chunk["choices"]
        if not choices or choices[0].get("index", 0) != 0:
            return said
        delta = choices[0].get("delta") or {}
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought and isinstance(thought, str):
            said += self._thought(thought)
        if delta.get("content"):
            said += self._text(str(delta["content"]))
        if delta.get("refusal"):
            said += self._refusal(str(delta["refusal"]))
        for call in delta.get("tool_calls") or ():
            said += self._call(call)
        self._finish = str(choices[0].get("finish_reason") or "") or self._finish
        return said

    def _done(self) -> bytes:
        if self._over or not self._begun:
            return b""
        self._over = True
        return self._end()

    def _new_call(self, key: object) -> None:
        """Raises ValueError: it had ended already, and an API that tells one thing after the other cannot go back to it."""
        if key in self._called:
            raise ValueError("a call that had ended goes on")
        self._called.add(key)

    @abstractmethod
    def _begin(self, chunk: Mapping[str, Any]) -> bytes:
        """The first chunk, with the answer's id and model."""

    @abstractmethod
    def _thought(self, text: str) -> bytes:
        """More of what it thinks."""

    @abstractmethod
    def _text(self, text: str) -> bytes:
        """More of what it says."""

    @abstractmethod
    def _refusal(self, text: str) -> bytes:
        """More of why it does not answer."""

    @abstractmethod
    def _call(self, call: Mapping[str, Any]) -> bytes:
        """A call's beginning, or more of its arguments."""

    @abstractmethod
    def _end(self) -> bytes:
        """All has been said; usage and the reason are known, if they ever are."""
