"""A provider's answer, read: a body becomes a `ChatAnswer`, a status becomes the error that says what to do about it."""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import orjson

from promptship.errors import ConfigError, Problem, PromptshipError, Refused, Unavailable
from promptship.ports import ChatAnswer

MESSAGE_CHARACTERS_MAX = 300
_LATER = frozenset({408, 409, 425, 429})
"""Client errors that a later attempt can pass."""


def parsed(body: bytes, *, provider: str, latency_ms: float) -> ChatAnswer:
    """The first choice of a chat completion.

    Raises:
        Unavailable: not a chat completion: HTML, empty, cut, or JSON of another shape.
    """
    try:
        answer = orjson.loads(body)
        choice = answer["choices"][0]
        message = choice["message"]
        calls = tuple(dict(call) for call in message.get("tool_calls") or ())
        text = _text(message)
        usage = answer.get("usage") or {}
        tokens_in, tokens_out = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        text, calls = None, ()
    if text is None and not calls:
        raise Unavailable(f"provider {provider} answered 200 with something that is no chat completion")
    return ChatAnswer(
        text=text or "",
        tool_calls=calls,
        finish_reason=str(choice.get("finish_reason") or ""),
        model=str(answer.get("model") or ""),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        latency_ms=latency_ms,
    )


def _text(message: dict[str, Any]) -> str | None:
    """The answer's text; a refusal in its own field is the text too. None: there is none."""
    content = message.get("content")
    if isinstance(content, list):  # parts, as some providers send them
        return "".join(str(part.get("text", "")) for part in content)
    if content is None:
        content = message.get("refusal")
    return content if isinstance(content, str) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


def failure(status: int, headers: Mapping[str, str], body: bytes, *, provider: str) -> PromptshipError:
    """The error of an answer that is not 200."""
    said = f"provider {provider} answered {status}{_message(body)}"
    if status in {401, 403}:
        return Refused(f"{said}; check the key in the variable that providers.{provider}.api_key_env names")
    asked_wrong = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    if status in _LATER or not asked_wrong:
        return Unavailable(said, retry_after_s=retry_after_s(headers.get("retry-after")))
    problem = Problem(
        file="promptship.toml",
        key=f"providers.{provider}",
        got=said.removeprefix(f"provider {provider} "),
        expected="a request that the provider accepts",
        advice="check base_url, the model's name and the prompt's parameters",
    )
    return ConfigError([problem])


def _message(body: bytes) -> str:
    """The provider's own words, shortened, in brackets; HTML and the like is left out."""
    try:
        error = orjson.loads(body)["error"]
        message = error["message"] if isinstance(error, dict) else error
    except (ValueError, KeyError, TypeError):
        return ""
    return f" ({' '.join(str(message).split())[:MESSAGE_CHARACTERS_MAX]})" if message else ""


def retry_after_s(value: str | None, *, now: datetime | None = None) -> float | None:
    """Seconds that a `Retry-After` header asks for (a number, or an HTTP date); None: absent or unreadable. Never negative."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        until = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())
