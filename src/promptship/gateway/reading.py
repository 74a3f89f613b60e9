"""What an answer says about itself: usage, the beginning of its text, how it ended. Pure; the bytes are never changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from promptship.routing.refusal import TEXT_CHARACTERS_MAX, refused

_LINE_BYTES_MAX: Final = 1_000_000
"""A longer line of a stream is passed on but not read."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an observation needs of an answer. None: the answer does not tell."""

    tokens_in: int | None = None
    tokens_out: int | None = None
    refusal: bool | None = None


def read_completion(body: bytes) -> Reading | None:
    """A whole chat completion; None: it is none (HTML, empty, cut, another JSON)."""
    try:
        answer = orjson.loads(body)
        choice = answer["choices"][0]
        message = choice["message"]
        text = _text(message.get("content"))
        finish, refusal = choice.get("finish_reason") or "", message.get("refusal") or ""
        return Reading(*_usage(answer), refused(text, finish_reason=finish, refusal=refusal))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None


def is_error_body(body: bytes) -> bool:
    """Whether it is an error in OpenAI's shape."""
    try:
        return isinstance(orjson.loads(body)["error"]["message"], str)
    except (ValueError, KeyError, TypeError):
        return False


class StreamReader:
    """Reads a stream of chat completion chunks as it passes. Feed it every piece; it keeps 2,000 characters at most."""

    def __init__(self) -> None:
        self._rest = b""
        self._text = ""
        self._finish = ""
        self._refusal = ""
        self._tokens: tuple[int | None, int | None] = (None, None)
        self._ended = False
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
        return Reading(*self._tokens, refused(self._text, finish_reason=self._finish, refusal=self._refusal))

    def _event(self, data: bytes) -> None:
        if data == b"[DONE]":
            self._ended = True
            return
        try:
            self._chunk(orjson.loads(data))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            self.trouble = self.trouble or "malformed"

    def _chunk(self, chunk: dict[str, Any]) -> None:
        if "error" in chunk:
            self.trouble = "upstream_error"
            return
        if chunk.get("usage"):
            self._tokens = _usage(chunk)
        choices = chunk["choices"]
        if not choices or choices[0].get("index", 0) != 0:
            return
        delta = choices[0].get("delta") or {}
        if len(self._text) < TEXT_CHARACTERS_MAX:
            self._text = (self._text + _text(delta.get("content")))[:TEXT_CHARACTERS_MAX]
        self._refusal = self._refusal or delta.get("refusal") or ""
        if choices[0].get("finish_reason"):
            self._finish, self._ended = str(choices[0]["finish_reason"]), True


def _text(content: object) -> str:
    if isinstance(content, str):
        return content[:TEXT_CHARACTERS_MAX]
    if isinstance(content, list):  # parts, as some providers send them
        return "".join(str(part.get("text", "")) for part in content)[:TEXT_CHARACTERS_MAX]
    return ""


def _usage(answer: dict[str, Any]) -> tuple[int | None, int | None]:
    usage = answer.get("usage") or {}
    return _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
