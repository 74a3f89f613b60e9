"""What an answer says about itself: usage, the beginning of its text, how it ended. Pure; the bytes are never changed.

Each API has its own words (reading_chat.py, reading_responses.py, reading_messages.py); what they share is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final

import orjson

from promptship.adapters.otel_json import UNTOLD, Told
from promptship.routing.refusal import TEXT_CHARACTERS_MAX, refused

_LINE_BYTES_MAX: Final = 1_000_000
"""A longer line of a stream is passed on but not read."""
ODD: Final = (ValueError, KeyError, IndexError, TypeError, AttributeError)
"""What reading raises where an answer is not what it should be."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. None: the answer does not tell."""

    tokens_in: int | None = None
    tokens_out: int | None = None
    cached: int = 0
    """Part of `tokens_in` that the provider read from its cache."""
    cache_written: int = 0
    """Part of `tokens_in` that the provider wrote to its cache."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an observation needs of an answer."""

    usage: Usage = Usage()
    refusal: bool | None = None
    """None: there is no text to judge."""
    trouble: str = ""
    """What is wrong with the answer although its status was 200: `upstream_error`, or empty."""
    told: Told = UNTOLD


class StreamReader(ABC):
    """Reads a stream as it passes. Feed it every piece; it keeps 2,000 characters at most."""

    def __init__(self) -> None:
        self._rest = b""
        self._text = ""
        self._finish = ""
        self._refusal = ""
        self._id = ""
        self._model = ""
        self._usage = Usage()
        self._ended = False
        self.spoke = False
        """Whether anything of the answer itself has come: text, a call, a thought."""
        self.trouble = ""
        """`malformed` or `upstream_error`, when the stream has said so itself."""

    def feed(self, piece: bytes) -> None:
        """The next bytes, cut anywhere."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line.startswith(b"data:"):
                self._event(line[5:].strip())
        if len(self._rest) > _LINE_BYTES_MAX:
            self._rest = b""

    def close(self) -> str:
        """At the end of the stream: what is wrong with it, or an empty text. Without an ending it was cut off."""
        if self._rest.startswith(b"data:"):  # the last event may lack its line end
            self._event(self._rest[5:].strip())
        self._rest = b""
        if self.trouble:
            return self.trouble
        return "" if self._ended else "cut_off"

    def reading(self) -> Reading:
        """What the stream told so far."""
        refusal = refused(self._text, finish_reason=self._finish, refusal=self._refusal)
        return Reading(self._usage, refusal, told=Told(self._id, self._model, self._finish))

    def _named(self, answer: dict[str, Any]) -> None:
        """The answer's id and model: the first that tells them holds."""
        if not self._id:
            self._id, self._model = word(answer.get("id")), word(answer.get("model"))

    def _said(self, text: object) -> None:
        if len(self._text) < TEXT_CHARACTERS_MAX:
            self._text = (self._text + text_of(text))[:TEXT_CHARACTERS_MAX]

    def _event(self, data: bytes) -> None:
        if data == b"[DONE]":
            self._ended = True
            return
        try:
            self._chunk(orjson.loads(data))
        except ODD:
            self.trouble = self.trouble or "malformed"

    @abstractmethod
    def _chunk(self, chunk: dict[str, Any]) -> None:
        """One event. Whatever `ODD` it raises makes the stream malformed."""


def is_error_body(body: bytes) -> bool:
    """Whether it is an error in OpenAI's shape, or in Anthropic's, which has the same heart."""
    try:
        return isinstance(orjson.loads(body)["error"]["message"], str)
    except (ValueError, KeyError, TypeError):
        return False


def text_of(content: object) -> str:
    """The beginning of a text, or of its parts as some providers send them."""
    if isinstance(content, str):
        return content[:TEXT_CHARACTERS_MAX]
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)[:TEXT_CHARACTERS_MAX]
    return ""


def word(value: object) -> str:
    """A short text; empty: not one."""
    return value[:128] if isinstance(value, str) else ""


def count(value: object) -> int | None:
    """A number of tokens; None: not one."""
    return value if isinstance(value, int) and value >= 0 else None
